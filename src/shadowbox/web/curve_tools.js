/** Tools of curves: smoothed, on a logarithmic axis, seeds as one curve with a band, and saved. */
import { saveCsv, savePng } from "./download.js";
import { button, el } from "./parts.js";

/**
 * Controls above the curves.
 * @param {HTMLElement} before  element that they come before
 * @param {boolean} seeds  whether some of the runs are seeds of one setting
 * @param {() => void} change  called when a choice has changed
 * @returns {{weight: number, log: boolean, group: boolean}}  the choices, kept up to date
 */
export function curveTools(before, seeds, change) {
  const choices = { weight: 0, log: false, group: false };
  const range = el("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: "0" });
  const said = el("output", {}, "0");
  range.addEventListener("input", () => {
    choices.weight = Number(range.value);
    said.textContent = range.value;
    change();
  });
  const box = (name, words) => {
    const input = el("input", { type: "checkbox", name });
    input.addEventListener("change", () => {
      choices[name] = input.checked;
      change();
    });
    return el("label", {}, input, ` ${words}`);
  };
  const tools = el("div", { class: "curve-tools" }, el("label", {}, "Smoothing ", range, " ", said));
  tools.append(box("log", "Logarithmic"), ...(seeds ? [box("group", "Seeds as one curve")] : []));
  before.before(tools);
  return choices;
}

/**
 * A curve smoothed by an exponential mean, whose first values are not pulled towards zero.
 * @param {{y: (number | null)[]}} curve
 * @param {number} weight  of what came before, 0 to 1
 */
export function smoothed(curve, weight) {
  if (!weight) return curve;
  const mean = (values) => {
    let [sum, total] = [0, 0];
    return values?.map((value) => {
      if (value === null) return null;
      sum = weight * sum + (1 - weight) * value;
      total = weight * total + 1 - weight;
      return sum / total;
    });
  };
  return { ...curve, y: mean(curve.y), low: mean(curve.low), high: mean(curve.high) };
}

/** Folder of a run that seeds of one setting share: `card/case` of `card/case/3`. */
export const settingOf = (name) => name.replace(/\/\d+$/, "");

/** Curves of one `setting` as one: their mean, and a band from the lowest to the highest. */
export function grouped(curves) {
  const groups = Map.groupBy(curves, ({ setting }) => setting);
  return [...groups].map(([name, each]) => {
    if (each.length < 2) return each[0];
    const at = each.map(({ x, y }) => new Map(x.map((step, n) => [step, y[n]])));
    const steps = [...new Set(each.flatMap(({ x }) => x))].sort((one, other) => one - other);
    const found = steps.map((step) =>
      at.map((values) => values.get(step)).filter((value) => typeof value === "number"),
    );
    const whole = found.map((values) => (values.length === each.length ? values : null));
    const of = (take) => whole.map((values) => (values ? take(values) : null));
    return {
      name: `${name} (${each.length} seeds)`,
      tone: each[0].tone,
      x: steps,
      y: of((values) => values.reduce((sum, value) => sum + value, 0) / values.length),
      low: of((values) => Math.min(...values)),
      high: of((values) => Math.max(...values)),
    };
  });
}

/**
 * Buttons under a chart that save its curves as CSV and its drawing as PNG.
 * @param {HTMLElement} root  of the chart
 * @param {string} name
 * @param {() => {name: string, x: number[], y: (number | null)[]}[]} curves  those that are drawn now
 */
export function saving(root, name, curves) {
  const rows = () =>
    curves().flatMap(({ name: of, x, y, low, high }) =>
      x.map((step, at) => [of, step, y[at], low?.[at], high?.[at]]),
    );
  const head = ["curve", "x", "value", "low", "high"];
  const asCsv = button(`save ${name} as CSV`, "CSV", () => saveCsv([head, ...rows()], name));
  const asPng = button(`save ${name} as PNG`, "PNG", () => savePng(root.querySelector("svg"), name));
  root.append(el("div", { class: "saving" }, asCsv, asPng));
}
