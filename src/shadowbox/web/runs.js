/** Page of one run or of several: curves that are kept up to date while a run is training. */
import { chart, shape, short } from "./chart.js";
import { curveTools, grouped, saving, settingOf, smoothed } from "./curve_tools.js";
import { el, plain, say } from "./parts.js";
import { fetchJson } from "./web.js";

const INTERVAL = 2000; // ms
const MOST_POINTS = 2400; // points of a curve on this page; above it all are fetched again, thinned
const BACKGROUND = ["lr", "norm", "examples_per_s"]; // figures that are folded, in this order

const COLORS = 6; // of the curves of one chart
const FEW = 4; // figures of a learner's own that are all shown
const ENDS = /\.(low|high)$/; // of an interval
const LOOP = ["train", "val"]; // kinds of lines of the loop; others are a learner's own
const SILENT = "No line for 5 minutes: it was killed, or a step takes longer than that.";

const sources = JSON.parse(document.body.dataset.runs).map((source) => ({ ...source, ...fresh() }));
const common = sharedFolders(sources.map(({ name }) => name)); // letters that all names share
const alone = sources.length === 1;
const baselinesFit = alone || document.body.dataset.baselines === "1"; // all runs share their data
const spot = document.getElementById("curves");
const folded = el(
  "details",
  {},
  el("summary", {}, "Everything else that was measured"),
);
folded.addEventListener("toggle", () => folded.open && draw());
const charts = new Map();
const drawn = new Map(); // name of a figure -> its curves, as they are drawn
const settings = new Set(sources.map(({ name }) => settingOf(name)));
const tools = curveTools(spot, settings.size < sources.length, draw);
const watching = document.getElementById("watch") && (await import("./run_match.js"));
let axis = "step";
let shown = ""; // state of the log of which the learner's part is shown

/** Length of the folders that all names begin with, in letters. */
function sharedFolders([first, ...others]) {
  const folders = [...first.matchAll(/\//g)].map(({ index }) => index + 1).reverse();
  const isShared = (letters) => others.every((name) => name.startsWith(first.slice(0, letters)));
  return folders.find(isShared) ?? 0;
}

function fresh() {
  return { after: -1, seen: -1, part: "", curves: {}, news: null };
}

// ---- reading the logs ----

async function refresh() {
  const due = sources.filter(({ news }) => !news || grows(news));
  if (!document.hidden && due.length) {
    const problems = (await Promise.all(due.map(follow))).filter(Boolean);
    draw();
    problems.push(...sources.flatMap(({ news }) => news?.damaged ?? []));
    say(document.getElementById("damage"), problems.join(" "));
  }
  const behind = sources.some(({ news }) => news?.read < 1); // a long log comes in parts
  if (sources.some(({ news }) => !news || grows(news))) setTimeout(refresh, behind ? 0 : INTERVAL);
}

/** Fetch the new lines of a run; returns the message of a failure, otherwise an empty string. */
async function follow(run) {
  try {
    const news = await fetchJson(`${run.source}?after=${run.after}&events=${run.seen}`);
    const longest = Math.max(0, ...Object.values(run.curves).map(({ step }) => step.length));
    const replaced = news.part !== run.part || news.step < run.after; // by a resumed run
    const caughtUp = run.news?.read < 1 && news.read === 1; // its parts were thinned differently
    if (run.part && (replaced || caughtUp || longest > MOST_POINTS)) {
      Object.assign(run, fresh(), { part: "" });
      return await follow(run);
    }
    take(run, news);
    return "";
  } catch (error) {
    return error.message;
  }
}

function take(run, news) {
  for (const [kind, { step, seconds, figures }] of Object.entries(news.curves)) {
    const curve = (run.curves[kind] ??= { step: [], seconds: [], figures: {} });
    for (const name of Object.keys(figures)) curve.figures[name] ??= curve.step.map(() => null);
    for (const [name, values] of Object.entries(curve.figures)) {
      values.push(...(figures[name] ?? step.map(() => null)));
    }
    curve.step.push(...step);
    curve.seconds.push(...seconds);
  }
  run.news = { ...news, events: news.events ?? run.news?.events ?? [] };
  [run.part, run.after, run.seen] = [news.part, news.step, news.happened];
}

/** Show the part of the page that the learner brings, again whenever the log has grown. */
async function ownPart({ own, news }) {
  const grown = `${news.part} ${news.step} ${news.happened} ${news.state}`;
  if (grown === shown) return;
  shown = grown;
  const text = await fetch(own).then((answer) => (answer.ok ? answer.text() : ""), () => "");
  const part = new DOMParser().parseFromString(text, "text/html"); // the server has escaped it
  document.getElementById("own").replaceChildren(...part.body.childNodes);
}

const grows = ({ state, read }) => read < 1 || !over(state);
const over = (state) => ["finished", "early stop", "called off", "stopped"].includes(state);

// ---- drawing ----

function draw() {
  const loaded = sources.filter(({ news }) => news);
  if (!loaded.length) return;
  const { scores, others } = names(loaded);
  const score = el("div", {});
  if (!charts.size) spot.replaceChildren(score, folded);
  for (const name of scores) show(name, spot.firstElementChild, loaded);
  for (const name of others) show(name, folded, loaded, folded.open);
  folded.hidden = !others.length;
  state(loaded);
  if (alone) {
    say(document.getElementById("verdict"), loaded[0].news.verdict);
    time(loaded[0].news.time);
    events(loaded[0].news.events);
    watching?.show(loaded[0].news.playing);
    ownPart(loaded[0]);
  }
}

/** Names of the figures: the loss and the validated ones are `scores`, the others are folded. */
function names(loaded) {
  const all = (kind) => [
    ...new Set(loaded.flatMap(({ curves }) => Object.keys(curves[kind]?.figures ?? {}))),
  ];
  const bare = all("val").filter((name) => !name.includes("/") && !ENDS.test(name));
  const trained = all("train");
  const kinds = new Set(loaded.flatMap(({ curves }) => Object.keys(curves)));
  const own = [...kinds]
    .filter((kind) => !LOOP.includes(kind))
    .flatMap((kind) => ownFigures(loaded, kind, all(kind)).map((name) => `${kind}/${name}`));
  const loss = trained.filter((name) => name === "loss");
  // of many figures of a learner's own, those with an interval come first and the others are folded
  const measured = own.filter((name) => own.length <= FEW || hasInterval(loaded, name));
  const scores = [...new Set([...measured, ...loss, ...bare])];
  const rest = [...own, ...trained].filter((name) => !scores.includes(name));
  const others = [
    ...BACKGROUND.filter((name) => rest.includes(name)),
    ...rest.filter((name) => !BACKGROUND.includes(name)),
  ];
  return { scores, others };
}

/** Figures of a learner's own kind; of one run `recent.based` and `recent.random` share a chart. */
function ownFigures(loaded, kind, all) {
  const bare = all.filter((name) => !name.includes("/") && !ENDS.test(name));
  const stem = (name) => name.split(".")[0];
  const together = (name) => alone && partsOf(loaded[0], kind, stem(name)).length > 1;
  return [...new Set(bare.map((name) => (together(name) ? stem(name) : name)))];
}

/** Names of the figures `STEM.PART` of a kind of line. */
function partsOf({ curves }, kind, stem) {
  const names = Object.keys(curves[kind]?.figures ?? {});
  return names.filter((name) => name.startsWith(`${stem}.`) && !ENDS.test(name));
}

function hasInterval(loaded, figure) {
  const [kind, stem] = figure.split("/");
  return loaded.some((run) =>
    [stem, ...partsOf(run, kind, stem)].some((name) => run.curves[kind]?.figures[`${name}.low`]),
  );
}

/** Draw a figure; one that is not `visible` only gets its place. */
function show(name, into, loaded, visible = true) {
  if (!charts.has(name)) {
    const made = chart(heading(name), meaning(name));
    charts.set(name, made);
    saving(made.root, name.replaceAll("/", "-"), () => drawn.get(name) ?? []);
    into.append(made.root);
  }
  if (!visible) return;
  const each = loaded
    .flatMap((run, at) => (alone ? curvesOf(run, name) : [comparedCurve(run, name, at)]))
    .filter(Boolean);
  const whole = tools.group && !alone ? grouped(each) : each;
  const curves = whole.map((curve) => smoothed(curve, tools.weight));
  const grey = baselinesFit ? baselines(longest(loaded, name), name) : [];
  const axisText = axis === "step" ? steps : duration;
  drawn.set(name, [...curves, ...grey]);
  const more = { ...levelsAndMarks(loaded, name), log: tools.log };
  charts.get(name).draw([...grey, ...curves], sentence(name, curves, grey), axisText, more);
}

/** Targets and kill rules of the cards of the runs; for a single run also the rules that fired. */
function levelsAndMarks(loaded, name) {
  const levels = new Map(
    loaded.flatMap((run) => (run.levels[name] ?? []).map((level) => [level.name, level])),
  );
  const concerns = ({ event, metrics }) =>
    event === "rule" && metrics?.some((metric) => figure(metric) === name);
  const fired = alone ? loaded[0].news.events.filter(concerns) : [];
  const marks = fired.map(({ step, action, text }) => ({
    x: position(loaded[0], step),
    name: action,
    tone: "kill",
    title: text,
  }));
  return { levels: [...levels.values()], marks: marks.filter(({ x }) => x !== null) };
}

/** `val/loss` is drawn in the figure `loss`, `play/win_rate` in a figure of its own. */
function figure(metric) {
  const at = metric.indexOf("/");
  return LOOP.includes(metric.slice(0, at)) ? metric.slice(at + 1) : metric;
}

/** Lines of a learner's own kind that a figure is drawn from, and its key there; null otherwise. */
function ownLines({ curves }, name) {
  const at = name.indexOf("/");
  const kind = name.slice(0, at);
  const own = at > 0 && !LOOP.includes(kind) && curves[kind];
  return own ? { kind, lines: own, key: name.slice(at + 1) } : null;
}

/** Position of a step on the chosen axis; null if no line of the log is known. */
function position({ curves }, step) {
  if (axis === "step") return step;
  const lines = Object.values(curves).flatMap(({ step: steps, seconds }) =>
    steps.map((at, n) => [at, seconds[n]]),
  );
  lines.sort(([one], [other]) => Math.abs(one - step) - Math.abs(other - step));
  return lines[0]?.[1] ?? null;
}

function heading(name) {
  const description = sources[0].words[name];
  return plain(name) + (description ? `: ${description}` : "");
}

/** Meaning of a figure, or of the one that it is a part of: `play/return.win` of `play/return`. */
function meaning(name) {
  const { means } = sources[0];
  return means[name] ?? means[name.split(".")[0]] ?? means[name.split(/[./]/)[0]] ?? "";
}

/** Curves of a single run: training and validation, or the learner's own lines. */
function curvesOf(run, name) {
  const own = ownLines(run, name);
  const parts = own ? partsOf(run, own.kind, own.key) : [];
  if (parts.length) {
    const all = own.lines.figures[own.key] ? [own.key, ...parts] : parts;
    const label = (name) => name.slice(own.key.length + 1) || "all";
    const tone = (at) => `run${(at % COLORS) + 1}`;
    return all.map((name, at) => bare(curve(label(name), tone(at), own.lines, name)));
  }
  if (own) return [own.lines.figures[own.key] && curve(own.kind, "p1", own.lines, own.key)];
  const { train, val } = run.curves;
  return [
    train?.figures[name] && curve("training", "p1", train, name),
    val?.figures[name] && curve("validation", "p2", val, name),
  ];
}

/** Curve of one of several runs: its validation, or its training where that is not validated. */
function comparedCurve(run, name, at) {
  const { train, val } = run.curves;
  const own = ownLines(run, name);
  const [from, key] = own ? [own.lines, own.key] : [val?.figures[name] ? val : train, name];
  if (!from?.figures[key]) return null;
  const made = curve(run.name.slice(common), `run${at + 1}`, from, key);
  return { ...made, setting: settingOf(run.name) };
}

/** The run whose lines reach furthest; baselines are the same for all, so it draws them. */
function longest(loaded, name) {
  const end = (run) => (ownLines(run, name)?.lines ?? run.curves.val)?.[axis].at(-1) ?? -1;
  return loaded.reduce((one, other) => (end(other) > end(one) ? other : one));
}

function baselines(run, name) {
  const own = ownLines(run, name);
  const [from, stem] = own ? [own.lines, own.key] : [run?.curves.val, name];
  const keys = Object.keys(from?.figures ?? {}).filter(
    (key) => key.startsWith(`${stem}/`) && !ENDS.test(key),
  );
  return keys.map((key) =>
    bare(curve(plain(key.slice(stem.length + 1)), "baseline", from, key)),
  );
}

function curve(name, tone, { [axis]: x, figures }, key) {
  const [low, high] = [figures[`${key}.low`], figures[`${key}.high`]];
  return { name, tone, x, y: figures[key], low, high };
}

/** A curve without its interval: many bands on top of each other hide the curves. */
function bare(one) {
  return { ...one, low: undefined };
}

function sentence(name, curves, grey) {
  const interval = curves.some(({ low }) => low);
  const of = LOOP.includes(name.split("/")[0]) || !name.includes("/") ? "" : "In training matches";
  const parts = [of || (interval ? "Validation with its 95 % interval" : "Training, by step")];
  if (grey.length) parts.push("dashed: baselines without learning");
  if (tools.group && !alone) parts[0] = "Mean over seeds, from the lowest to the highest";
  if (tools.weight) parts.push(`smoothed by ${tools.weight}`);
  return `${parts.join("; ")}.`;
}

function state(loaded) {
  const place = document.getElementById("state");
  const lines = loaded.map(({ name, news }) => {
    const badge = el("span", { class: `badge ${tone(news.state)}` }, news.state);
    const run = alone ? "" : ` ${name}:`;
    const total = news.total ? ` of ${news.total.toLocaleString("en")}` : "";
    const thinned = news.every > 1 ? `, 1 of ${news.every} lines drawn` : "";
    const silent = news.state === "silent" ? ` ${SILENT}` : "";
    const step = `step ${news.step.toLocaleString("en")}${total}`;
    const read = news.read < 1 ? `, ${Math.floor(100 * news.read)} % of the log read` : "";
    const words = `${run} ${step}, ${duration(news.elapsed)}${thinned}${read}.${silent}`;
    return el("span", { class: "line" }, badge, words);
  });
  const text = lines.map(({ textContent }) => textContent).join("");
  if (place.textContent !== text) place.replaceChildren(...lines);
}

function tone(word) {
  if (["finished", "early stop"].includes(word)) return "good";
  return { silent: "bad", running: "running" }[word] ?? "plain";
}

function time(parts) {
  const whole = Object.values(parts).reduce((sum, seconds) => sum + seconds, 0);
  const rows = Object.entries(parts)
    .filter(([, seconds]) => seconds > 0)
    .map(([part, seconds]) => [
      el("td", {}, part),
      number(seconds.toFixed(seconds < 10 ? 2 : 0)),
      number(`${((100 * seconds) / whole).toFixed(0)} %`),
      el("td", { class: "bar" }, bar(seconds / whole)),
    ]);
  const head = [th("part"), th("s", "number"), th("share", "number"), th("")];
  const empty = el("p", { class: "soft" }, "No times yet.");
  const made = rows.length ? table(head, rows, "parts") : empty;
  document.getElementById("time").replaceChildren(made);
}

function bar(share) {
  const box = { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" };
  return shape("svg", box, shape("rect", { class: "p1", width: 100 * share, height: 12 }));
}

function events(list) {
  const rows = list.toReversed().map(({ event, step, text }) => [
    el("td", {}, String(event ?? "?")),
    el("td", {}, String(text ?? "")),
    number(typeof step === "number" ? short(step) : ""),
  ]);
  const head = [th("event"), th(""), th("step", "number")];
  const empty = el("p", { class: "soft" }, "No events yet.");
  const made = rows.length ? el("div", { class: "wide" }, table(head, rows)) : empty;
  document.getElementById("events").replaceChildren(made);
}

/** A table of rows of cells. */
function table(head, rows, style = "") {
  const lines = rows.map((cells) => el("tr", {}, ...cells));
  const parts = [el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...lines)];
  return el("table", style ? { class: style } : {}, ...parts);
}

function th(text, style = "") {
  return el("th", style ? { class: style } : {}, text);
}

function number(text) {
  return el("td", { class: "number" }, text);
}

function steps(x) {
  return `step ${Math.round(x).toLocaleString("en")}`;
}

function duration(seconds) {
  if (seconds < 60) return `${Number(seconds.toFixed(seconds < 10 ? 1 : 0))} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

for (const choice of document.querySelectorAll("[name=axis]")) {
  choice.addEventListener("change", () => {
    axis = choice.value;
    draw();
  });
  if (choice.checked) axis = choice.value; // a reload keeps the choice
}
document.addEventListener("visibilitychange", () => document.hidden || draw());
refresh();
