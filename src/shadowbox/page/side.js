/** Shows the name and numbers of each player above the stage, as the scene's `hud` lists them. */
import { el, plain, say } from "./parts.js";
import { valueOf } from "./scene.js";

/**
 * One player's numbers.
 * @param {any} hello
 * @param {number} player
 * @typedef {import("./rows.js").Columns} Columns
 * @returns {{element: HTMLElement, show: (columns: Columns) => void, numbers: () => string[]}}
 */
export function side(hello, player) {
  const name = hello.players[player];
  const { scene } = hello;
  const label = el("b", { class: "name", title: name }, name);
  const small = el("div", { class: "who" }, label);
  const element = el("section", { class: `side p${player + 1}`, "aria-label": name }, small);
  const updates = (scene.hud ?? []).map((entry) => {
    if (entry.as === "word") return word(small, entry, scene, player);
    return entry.as === "pips" ? pips(small, entry, player) : number(element, entry, player);
  });
  if (scene.who)
    updates.push((columns) => say(label, `${valueOf(scene, columns, scene.who, player)} · ${name}`));
  return {
    element,
    show: (columns) => updates.forEach((update) => update(columns)),
    numbers: () => [...element.querySelectorAll(".number")].map((one) => one.textContent),
  };
}

function pips(parent, entry, player) {
  const made = el("span", { class: "pips", role: "img" });
  parent.append(made);
  let before = NaN;
  return (columns) => {
    const value = Number(columns[entry.field][player]);
    if (value === before) return;
    before = value;
    const most = Math.max(entry.of ?? value, value);
    made.replaceChildren(
      ...Array.from({ length: most }, (_, i) => el("i", { class: i < value ? "left" : "" })),
    );
    made.setAttribute("aria-label", `${value} ${plain(entry.label)}`);
  };
}

function word(parent, entry, scene, player) {
  const made = el("small", { class: "state", title: plain(entry.label) });
  parent.append(made);
  return (columns) => say(made, String(valueOf(scene, columns, entry.value, player)));
}

function number(parent, entry, player) {
  const digits = el("b", { class: "number" });
  parent.append(
    el(
      "span",
      { class: "count" },
      digits,
      el("small", {}, `${entry.unit ?? ""} ${plain(entry.label)}`),
    ),
  );
  return (columns) => {
    const value = Number(columns[entry.field][player]);
    say(digits, value.toFixed(0));
    digits.style.setProperty(
      "--heat",
      `${(100 * Math.min(value / (entry.danger ?? Infinity), 1)).toFixed(0)}%`,
    );
  };
}
