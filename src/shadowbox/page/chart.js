/**
 * Draws curves as an SVG with axes, a label at the end of each curve, lines for targets and limits,
 * and marks for events.
 * The SVG has the size in pixels of the element that contains it.
 */
import { el } from "./parts.js";

const SVG = "http://www.w3.org/2000/svg";
const TALL = 220; // px
const TOP = 12;
const BOTTOM = 24;
const LETTER = 7; // px, of a label in 13 px
const APART = 16; // px between two labels
const MARGIN = 25; // px, for the mark before a label
const NEAR = 0.5; // of the curves' height: a farther line is not drawn but named at the axis' edge
const WORD = 44; // px that the label of a mark needs before the next mark

/** An SVG element with attributes and children. */
export function shape(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * A figure: a sentence, and curves that `draw` replaces.
 * @typedef {(number | null)[]} Values
 * @typedef {{low?: Values, high?: Values}} Band
 * @typedef {{name: string, tone: string, x: number[], y: Values} & Band} Curve
 * @typedef {{value: number, name: string, tone: string, title: string}} Level  a horizontal line
 * @typedef {{x: number, name: string, tone: string, title: string}} Mark  an event at x
 * @param {string} title
 * @param {string} means  explanation of the title, under the pointer and at the keyboard (hint.js)
 */
export function chart(title, means = "") {
  const named = means ? el("dfn", { tabindex: "0", title: means }, title) : title;
  const readout = el("p", { class: "readout" });
  const stage = el("div", { class: "chart" });
  const root = el("section", { class: "figure" }, el("h2", {}, named), readout, stage);
  let curves = [];
  let levels = [];
  let marks = [];
  let sentence = "";
  let log = false;
  let say = String;

  function paint() {
    const width = Math.floor(stage.clientWidth);
    const scale = curves.length && width ? scaled(curves, levels, width, log) : null;
    readout.textContent = sentence;
    if (!scale) return;
    const label = spoken(title, curves, levels, marks);
    const picture = shape("svg", { width, height: TALL, role: "img", "aria-label": label });
    picture.append(
      ...axes(scale, say),
      ...curves.map((curve) => band(curve, scale)),
      ...levels.flatMap((level) => across(level, scale)),
      ...curves.map((curve) => line(curve, scale)),
      ...eventLines(marks, scale),
      ...labels(curves, levels, scale),
    );
    picture.addEventListener("pointermove", (event) => point(event, picture, scale));
    picture.addEventListener("pointerleave", () => unpoint(picture));
    stage.replaceChildren(picture);
  }

  function point(event, picture, scale) {
    unpoint(picture);
    const at = event.clientX - picture.getBoundingClientRect().left;
    const points = curves.map((curve) => nearest(curve, scale, at)).filter(Boolean);
    if (!points.length) return;
    const x = points.reduce((one, other) =>
      Math.abs(one.px - at) <= Math.abs(other.px - at) ? one : other,
    );
    picture.append(
      shape("line", { class: "cursor", x1: x.px, x2: x.px, y1: TOP, y2: TALL - BOTTOM }),
    );
    const values = points.map(({ name, y }) => `${name} ${short(y)}`);
    readout.textContent = `${say(x.x)}: ${values.join(", ")}`;
  }

  function unpoint(picture) {
    picture.querySelector(".cursor")?.remove();
    readout.textContent = sentence;
  }

  new ResizeObserver(paint).observe(stage);
  return {
    root,
    /**
     * Replace the curves; those without any value are left out.
     * @param {Curve[]} given
     * @param {string} words  the sentence above the curves
     * @param {(x: number) => string} sayX  text of a place on the x axis
     * @param {{levels?: Level[], marks?: Mark[], log?: boolean}} more  `log`: a logarithmic height,
     *   where all values are above zero
     */
    draw(given, words, sayX, more = {}) {
      [levels, marks, log] = [more.levels ?? [], more.marks ?? [], more.log ?? false];
      curves = given.filter((curve) => curve.y.some((y) => y !== null));
      [sentence, say] = [words, sayX];
      paint();
    },
  };
}

/** A number in at most about three significant digits. */
export function short(value) {
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1);
  return size >= 1000
    ? Math.round(value).toLocaleString("en")
    : String(Number(value.toPrecision(3)));
}

// ---- scales ----

function scaled(curves, levels, width, log) {
  const names = [...curves, ...levels].map(({ name }) => name.length * LETTER);
  const right = Math.min(width * 0.36, Math.max(...names) + MARGIN + 2 * LETTER);
  const [xs, ys] = [curves.flatMap(({ x }) => [x[0], x.at(-1)]), curves.flatMap(heights)];
  const [first, last] = [Math.min(0, ...xs), Math.max(...xs)];
  const power = log && min(ys) > 0;
  const [least, most] = [power ? min(ys) : Math.min(0, min(ys)), max(ys)];
  const reach = NEAR * (most - least || Math.abs(most) || 1);
  const near = levels
    .map(({ value }) => value)
    .filter((value) => least - reach <= value && value <= most + reach && (!power || value > 0));
  const ends = [Math.min(least, min(near)), Math.max(most, max(near))];
  const ticks = power ? powers(...ends) : steps(...ends, 4);
  const [low, high] = [ticks[0], ticks.at(-1)];
  const of = power ? Math.log10 : (value) => value;
  const left = Math.max(...ticks.map((tick) => short(tick).length)) * LETTER + 12;
  const [wide, tall] = [width - left - right, TALL - TOP - BOTTOM];
  return {
    left,
    right: width - right,
    ticks,
    first,
    last,
    low,
    high,
    room: right - MARGIN,
    x: (x) => left + (wide * (x - first)) / (last - first || 1),
    y: (y) => TOP + (tall * (of(high) - of(y))) / (of(high) - of(low) || 1),
  };
}

function heights({ y, low, high }) {
  return [...y, ...(low ?? []), ...(high ?? [])].filter((value) => value !== null);
}

const min = (values) => values.reduce((one, other) => Math.min(one, other), Infinity);
const max = (values) => values.reduce((one, other) => Math.max(one, other), -Infinity);

/** Round numbers from below `low` to above `high`, about `count` of them. */
export function steps(low, high, count) {
  const raw = (high - low || Math.abs(high) || 1) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw * 0.999) * power;
  const [from, to] = [Math.floor(low / step + 1e-9), Math.ceil(high / step - 1e-9)];
  return Array.from({ length: Math.max(to, from + 1) - from + 1 }, (_, at) => (from + at) * step);
}

/** Round numbers around a range above zero, for a logarithmic axis: 1, 2 and 5, or 1 of each power. */
export function powers(low, high) {
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const all = Array.from({ length: to - from + 1 }, (_, at) =>
    [1, 2, 5].map((factor) => factor * 10 ** (from + at)),
  ).flat();
  const first = all.findLastIndex((tick) => tick <= low * (1 + 1e-9));
  const last = all.findIndex((tick) => tick >= high * (1 - 1e-9));
  const near = all.slice(first, Math.max(last, first + 1) + 1);
  return near.length <= 7 ? near : wide(from, to);
}

function wide(from, to) {
  const by = Math.ceil((to - from) / 5);
  const count = Math.ceil((to - from) / by) + 1;
  return Array.from({ length: count }, (_, at) => 10 ** (from + by * at));
}

function nearest({ name, x, y }, scale, at) {
  const reach = 8; // px beyond the ends of a curve within which its end still counts
  if (at < scale.x(x[0]) - reach || at > scale.x(x.at(-1)) + reach) return null;
  let best = null;
  for (let n = 0; n < x.length; n += 1) {
    const px = scale.x(x[n]);
    if (y[n] !== null && (!best || Math.abs(px - at) < Math.abs(best.px - at)))
      best = { name, x: x[n], y: y[n], px };
  }
  return best;
}

// ---- elements of the drawing ----

function axes(scale, say) {
  const lines = scale.ticks.flatMap((tick) => [
    shape("line", {
      class: "grid",
      x1: scale.left,
      x2: scale.right,
      y1: scale.y(tick),
      y2: scale.y(tick),
    }),
    shape(
      "text",
      { class: "label", x: scale.left - 8, y: scale.y(tick) + 4, "text-anchor": "end" },
      short(tick),
    ),
  ]);
  const ends = [
    [scale.first, "start"],
    [scale.last, "end"],
  ];
  return [
    ...lines,
    ...ends.map(([x, anchor]) =>
      shape("text", { class: "label", x: scale.x(x), y: TALL - 6, "text-anchor": anchor }, say(x)),
    ),
  ];
}

/** A curve as a path, with a gap wherever a value is missing. */
function line({ name, tone, x, y }, scale) {
  let pen = "M";
  let path = "";
  for (let at = 0; at < x.length; at += 1) {
    if (y[at] !== null) path += `${pen}${scale.x(x[at]).toFixed(1)} ${scale.y(y[at]).toFixed(1)}`;
    pen = y[at] === null ? "M" : "L";
  }
  const drawn = shape("path", { class: `curve ${tone}`, d: path }, shape("title", {}, name));
  if (y.filter((value) => value !== null).length > 1) return drawn;
  const at = y.findIndex((value) => value !== null); // a path of one point is invisible
  return shape("circle", { class: `dot ${tone}`, cx: scale.x(x[at]), cy: scale.y(y[at]), r: 3 });
}

function band({ tone, x, low, high }, scale) {
  const at =
    low && high ? x.map((_, n) => n).filter((n) => low[n] !== null && high[n] !== null) : [];
  const corner = (values) => (n) => `${scale.x(x[n]).toFixed(1)},${scale.y(values[n]).toFixed(1)}`;
  const around = at.length ? [...at.map(corner(high)), ...at.toReversed().map(corner(low))] : [];
  return shape("polygon", { class: `band ${tone}`, points: around.join(" ") });
}

/** A horizontal line; a line beyond the axis is not drawn, only named at the edge. */
function across({ value, tone, title }, scale) {
  if (value < scale.low || value > scale.high) return [];
  const y = scale.y(value);
  return [
    shape(
      "line",
      { class: `level ${tone}`, x1: scale.left, x2: scale.right, y1: y, y2: y },
      shape("title", {}, title),
    ),
  ];
}

/** Events as vertical lines, labeled where there is room. */
function eventLines(marks, scale) {
  let free = -Infinity;
  return marks
    .toSorted((one, other) => one.x - other.x)
    .flatMap(({ x, name, tone, title }) => {
      const px = scale.x(x);
      if (!(px >= scale.left - 1 && px <= scale.right + 1)) return [];
      const drawn = [
        shape(
          "line",
          { class: `event ${tone}`, x1: px, x2: px, y1: TOP, y2: TALL - BOTTOM },
          shape("title", {}, title),
        ),
      ];
      if (px < free) return drawn;
      free = px + WORD;
      const anchor = px > scale.right - WORD ? "end" : "start";
      return [
        ...drawn,
        shape(
          "text",
          {
            class: "label",
            x: px + (anchor === "end" ? -4 : 4),
            y: TOP + 8,
            "text-anchor": anchor,
          },
          name,
        ),
      ];
    });
}

/** The names at the ends of their curves and lines, moved apart where they would overlap. */
function labels(curves, levels, scale) {
  const ends = curves.map((curve) => {
    const at = curve.y.findLastIndex((value) => value !== null);
    return { curve, x: scale.x(curve.x[at]), y: scale.y(curve.y[at]) };
  });
  for (const level of levels) {
    const beyond = level.value > scale.high ? "↑ " : level.value < scale.low ? "↓ " : "";
    const y = Math.min(Math.max(scale.y(level.value), TOP), TALL - BOTTOM);
    ends.push({ curve: { ...level, name: beyond + level.name, line: true }, y });
  }
  ends.sort((one, other) => one.y - other.y);
  const spots = ends.map(({ y }) => y);
  for (let at = 1; at < spots.length; at += 1)
    spots[at] = Math.max(spots[at], spots[at - 1] + APART);
  let limit = TALL - BOTTOM;
  for (let at = spots.length - 1; at >= 0; at -= 1) {
    spots[at] = Math.min(spots[at], limit);
    limit = spots[at] - APART;
  }
  return ends.flatMap(({ curve, x, y }, at) => [
    ...(curve.line ? [] : [shape("circle", { class: `dot ${curve.tone}`, cx: x, cy: y, r: 2.5 })]),
    shape("line", {
      class: `mark ${curve.tone}`,
      x1: scale.right + 8,
      x2: scale.right + 16,
      y1: spots[at],
      y2: spots[at],
    }),
    shape(
      "text",
      { class: `name ${curve.tone}`, x: scale.right + 21, y: spots[at] + 4 },
      fitted(curve.name, Math.floor(scale.room / LETTER)),
      shape("title", {}, curve.title ?? curve.name),
    ),
  ]);
}

/** A name cut at its beginning, since names of runs differ at their ends. */
function fitted(name, letters) {
  return name.length <= letters + 1 ? name : `…${name.slice(-Math.max(letters - 1, 3))}`;
}

function spoken(title, curves, levels, marks) {
  const ends = curves.map(
    ({ name, y }) => `${name} ${short(y.findLast((value) => value !== null))}`,
  );
  const others = [...levels.map(({ name }) => name), ...marks.map(({ title: words }) => words)];
  return `${title}: ${[...ends, ...others].join(", ")}`;
}
