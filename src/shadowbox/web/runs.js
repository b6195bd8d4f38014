/** The page of one or several runs: curves that grow while a run is trained. */
import { chart, shape, short } from "./chart.js";
import { el, plain, say } from "./parts.js";
import { ask } from "./web.js";

const EVERY = 2000; // ms
const MOST = 2400; // points of a curve on this page; then it asks for all of them again, thinned
const BACKGROUND = ["lr", "norm", "examples_per_s"]; // figures that explain, folded
const MEANS = { loss: "what is made smaller", lr: "learning rate", norm: "of the gradient", examples_per_s: "speed" };
const UNITS = { loss: "nats a decision" };

const sources = JSON.parse(document.body.dataset.runs).map(({ name, source, levels }) => ({ name, source, levels, ...fresh() }));
const common = shared(sources.map(({ name }) => name)); // letters that tell no run from another
const alone = sources.length === 1;
const floors = alone || document.body.dataset.floors === "1";
const spot = document.getElementById("curves");
const folded = el("details", {}, el("summary", {}, "How it was trained: rate, gradient, speed, parts of the loss"));
const charts = new Map();
let axis = "step";

/** How many letters of all names are the same folders. */
function shared([first, ...others]) {
  const folders = [...first.matchAll(/\//g)].map(({ index }) => index + 1).reverse();
  return folders.find((letters) => others.every((name) => name.startsWith(first.slice(0, letters)))) ?? 0;
}

function fresh() {
  return { after: -1, seen: -1, part: "", curves: {}, news: null };
}

// ---- what comes --------------------------------------------------------------------------------------------------

async function refresh() {
  const due = sources.filter(({ news }) => !news || !over(news.state));
  if (!document.hidden && due.length) {
    const problems = (await Promise.all(due.map(follow))).filter(Boolean);
    draw();
    say(document.getElementById("damage"), [...problems, ...sources.flatMap(({ news }) => news?.damaged ?? [])].join(" "));
  }
  if (sources.some(({ news }) => !news || !over(news.state))) setTimeout(refresh, EVERY);
}

/** Ask for what came since; why that failed, if it did. */
async function follow(run) {
  try {
    const news = await ask(`${run.source}?after=${run.after}&events=${run.seen}`);
    const longest = Math.max(0, ...Object.values(run.curves).map(({ step }) => step.length));
    if (run.part && (news.part !== run.part || news.step < run.after || longest > MOST)) {
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
    const known = (run.curves[kind] ??= { step: [], seconds: [], figures: {} });
    for (const name of Object.keys(figures)) known.figures[name] ??= known.step.map(() => null);
    for (const [name, values] of Object.entries(known.figures)) values.push(...(figures[name] ?? step.map(() => null)));
    known.step.push(...step);
    known.seconds.push(...seconds);
  }
  run.news = { ...news, events: news.events ?? run.news?.events ?? [] };
  [run.part, run.after, run.seen] = [news.part, news.step, news.happened];
}

const over = (state) => ["finished", "early stop", "called off", "stopped"].includes(state);

// ---- what is shown -----------------------------------------------------------------------------------------------

function draw() {
  const told = sources.filter(({ news }) => news);
  if (!told.length) return;
  const { scores, others } = names(told);
  const score = el("div", {});
  if (!charts.size) spot.replaceChildren(score, folded);
  for (const name of scores) show(name, spot.firstElementChild, told);
  for (const name of others) show(name, folded, told);
  folded.hidden = !others.length;
  state(told);
  if (alone) {
    say(document.getElementById("verdict"), told[0].news.verdict);
    time(told[0].news.time);
    events(told[0].news.events);
  }
}

/** Which figures there are: what is validated and the loss first; what only explains them is folded. */
function names(told) {
  const all = (kind) => [...new Set(told.flatMap(({ curves }) => Object.keys(curves[kind]?.figures ?? {})))];
  const bare = all("val").filter((name) => !name.includes("/") && !/\.(low|high)$/.test(name));
  const trained = all("train");
  const scores = [...new Set([...trained.filter((name) => name === "loss"), ...bare])];
  const rest = trained.filter((name) => !scores.includes(name));
  return { scores, others: [...BACKGROUND.filter((name) => rest.includes(name)), ...rest.filter((name) => !BACKGROUND.includes(name))] };
}

function show(name, into, told) {
  if (!charts.has(name)) {
    const made = chart(heading(name));
    charts.set(name, made);
    into.append(made.root);
  }
  const curves = told.flatMap((run, at) => (alone ? single(run, name) : [one(run, name, at)].filter(Boolean)));
  const grey = floors ? baselines(longest(told), name) : [];
  charts.get(name).draw([...grey, ...curves], sentence(name, curves, grey), axis === "step" ? steps : duration, promised(told, name));
}

/** The lines of the cards behind these runs, each once; of a single run also where its rules fired. */
function promised(told, name) {
  const levels = new Map(told.flatMap((run) => (run.levels[name] ?? []).map((level) => [level.name, level])));
  const fired = alone ? told[0].news.events.filter(({ event, metrics }) => event === "rule" && metrics?.some((metric) => figure(metric) === name)) : [];
  const marks = fired.map(({ step, action, text }) => ({ x: place(told[0], step), name: action, tone: "kill", title: text }));
  return { levels: [...levels.values()], marks: marks.filter(({ x }) => x !== null) };
}

/** `val/onset_f1` is drawn in the figure `onset_f1`. */
const figure = (metric) => metric.slice(metric.indexOf("/") + 1);

/** Where a step lies on the axis that is chosen. */
function place({ curves }, step) {
  if (axis === "step") return step;
  const known = Object.values(curves).flatMap(({ step: steps, seconds }) => steps.map((at, n) => [at, seconds[n]]));
  return known.sort(([one], [other]) => Math.abs(one - step) - Math.abs(other - step))[0]?.[1] ?? null;
}

function heading(name) {
  const more = UNITS[name] ?? MEANS[name];
  return plain(name) + (more ? `, ${more}` : "");
}

/** Training in one color, validation in the other. */
function single({ curves: { train, val } }, name) {
  const found = [];
  if (train?.figures[name]) found.push(curve("training", "p1", train, name));
  if (val?.figures[name]) found.push(curve("validation", "p2", val, name));
  return found;
}

/** One curve of each of several runs: validated where it was. */
function one({ name: run, curves: { train, val } }, name, at) {
  const from = val?.figures[name] ? val : train;
  return from?.figures[name] ? curve(run.slice(common), `run${at + 1}`, from, name) : null;
}

/** Baselines are the same for all; those of the longest run reach the furthest. */
function longest(told) {
  const end = ({ curves: { val } }) => val?.[axis].at(-1) ?? -1;
  return told.reduce((one, other) => (end(other) > end(one) ? other : one));
}

function baselines(run, name) {
  const val = run?.curves.val;
  const found = Object.keys(val?.figures ?? {}).filter((key) => key.startsWith(`${name}/`) && !/\.(low|high)$/.test(key));
  return found.map((key) => ({ ...curve(plain(key.slice(name.length + 1)), "baseline", val, key), low: undefined }));
}

function curve(name, tone, { [axis]: x, figures }, key) {
  return { name, tone, x, y: figures[key], low: figures[`${key}.low`], high: figures[`${key}.high`] };
}

function sentence(name, curves, grey) {
  const parts = [curves.some(({ low }) => low) ? "Validation with its 95 % interval" : "While it is trained, by step"];
  if (grey.length) parts.push("dashed is what needs no learning");
  return `${parts.join("; ")}.`;
}

function state(told) {
  const place = document.getElementById("state");
  const lines = told.map(({ name, news }) => {
    const badge = el("span", { class: `badge ${tone(news.state)}` }, news.state);
    const of = news.total ? ` of ${news.total.toLocaleString("en")}` : "";
    const thin = news.every > 1 ? `, one line in ${news.every} drawn` : "";
    const quiet = news.state === "silent" ? " No line for 5 minutes: it was killed, or a step takes that long." : "";
    const who = alone ? "" : ` ${name}:`;
    return el("span", { class: "line" }, badge, `${who} step ${news.step.toLocaleString("en")}${of}, ${duration(news.elapsed)}${thin}.${quiet}`);
  });
  if (place.textContent !== lines.map(({ textContent }) => textContent).join("")) place.replaceChildren(...lines);
}

function tone(word) {
  return word === "silent" ? "bad" : word === "running" ? "running" : ["finished", "early stop"].includes(word) ? "good" : "plain";
}

function time(parts) {
  const whole = Object.values(parts).reduce((sum, seconds) => sum + seconds, 0);
  const rows = Object.entries(parts).filter(([, seconds]) => seconds > 0);
  const lines = rows.map(([part, seconds]) =>
    el("tr", {}, el("td", {}, part), number(seconds.toFixed(seconds < 10 ? 2 : 0)), number(`${((100 * seconds) / whole).toFixed(0)} %`),
      el("td", { class: "bar" }, bar(seconds / whole))));
  const head = el("tr", {}, el("th", {}, "part"), el("th", { class: "number" }, "s"), el("th", { class: "number" }, "share"), el("th", {}, ""));
  const none = el("p", { class: "soft" }, "Nothing was measured yet.");
  document.getElementById("time").replaceChildren(rows.length ? el("table", { class: "parts" }, el("thead", {}, head), el("tbody", {}, ...lines)) : none);
}

function bar(share) {
  const rect = shape("rect", { class: "p1", width: 100 * share, height: 12 });
  return shape("svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" }, rect);
}

function number(text) {
  return el("td", { class: "number" }, text);
}

function events(list) {
  const lines = list.toReversed().map(({ event, step, text }) =>
    el("tr", {}, el("td", {}, String(event ?? "?")), el("td", {}, String(text ?? "")), number(typeof step === "number" ? short(step) : "")));
  const head = el("tr", {}, el("th", {}, "event"), el("th", {}, ""), el("th", { class: "number" }, "step"));
  const none = el("p", { class: "soft" }, "Nothing yet.");
  const made = el("div", { class: "wide" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...lines)));
  document.getElementById("events").replaceChildren(list.length ? made : none);
}

function steps(x) {
  return `step ${Math.round(x).toLocaleString("en")}`;
}

function duration(seconds) {
  if (seconds < 60) return `${Number(seconds.toFixed(seconds < 10 ? 1 : 0))} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

for (const choice of document.querySelectorAll("[name=axis]")) {
  choice.addEventListener("change", () => {
    axis = choice.value;
    draw();
  });
  if (choice.checked) axis = choice.value; // as a reload left it
}
document.addEventListener("visibilitychange", () => document.hidden || draw());
refresh();
