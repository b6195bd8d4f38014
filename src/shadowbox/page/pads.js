/**
 * Shows the controllers of the players: flags as keys, pairs of reals as sticks, other reals as
 * bars, choices as words.
 */
import { el, plain, say } from "./parts.js";

/**
 * One player's controller.
 * @param {any} hello
 * @param {number} player
 * @returns {{element: HTMLElement, show: (columns: import("./rows.js").Columns) => void}}
 */
export function pad(hello, player) {
  const element = el("div", {
    class: `pad p${player + 1}`,
    role: "group",
    "aria-label": `controller of ${hello.players[player]}`,
  });
  const updates = [];
  const keys = hello.controls.map((key) => ({
    key,
    name: key.split("/")[1],
    column: hello.columns[key],
  }));
  const sticks = keys.filter(
    ({ name, column }) => column.kind === "real" && name.endsWith("_x") && partner(hello, name),
  );
  const inStick = new Set(sticks.flatMap(({ key }) => [key, `${key.slice(0, -1)}y`]));
  for (const { key, name, column } of keys) {
    const each = column.slots / hello.players.length;
    for (let slot = player * each; slot < (player + 1) * each; slot++) {
      if (sticks.some((stick) => stick.key === key))
        updates.push(stick(element, hello, key, name, slot));
      else if (inStick.has(key)) continue;
      else if (column.kind === "flag") updates.push(light(element, key, name, slot));
      else if (column.kind === "real") updates.push(bar(element, key, name, column, slot));
      else updates.push(word(element, key, name, column, slot));
    }
  }
  return { element, show: (columns) => updates.forEach((update) => update(columns)) };
}

/** Return true if the real `main_x` has a real `main_y` beside it. */
function partner(hello, name) {
  return hello.controls.some(
    (key) => key.endsWith(`/${name.slice(0, -1)}y`) && hello.columns[key].kind === "real",
  );
}

function light(parent, key, name, slot) {
  const made = el("span", { class: "key" }, plain(name));
  parent.append(made);
  return (columns) => made.classList.toggle("down", Boolean(columns[key][slot]));
}

function bar(parent, key, name, column, slot) {
  const fill = el("i");
  const made = el("span", { class: "level" }, el("span", { class: "track" }, fill), plain(name));
  parent.append(made);
  const { low = 0, high = 1 } = column;
  return (columns) =>
    fill.style.setProperty("--share", String(share(columns[key][slot], low, high)));
}

function stick(parent, hello, key, name, slot) {
  const dot = el("i");
  const made = el(
    "span",
    { class: "stick" },
    el("span", { class: "gate" }, dot),
    plain(name.slice(0, -2)),
  );
  parent.append(made);
  const vertical = `${key.slice(0, -1)}y`;
  const [across, down] = [hello.columns[key], hello.columns[vertical]];
  return (columns) => {
    dot.style.setProperty(
      "--x",
      String(share(columns[key][slot], across.low ?? -1, across.high ?? 1)),
    );
    const height = share(columns[vertical][slot], down.low ?? -1, down.high ?? 1); // up is positive
    dot.style.setProperty("--y", String(1 - height));
  };
}

function word(parent, key, name, column, slot) {
  const value = el("b");
  parent.append(el("span", { class: "word" }, `${plain(name)} `, value));
  return (columns) =>
    say(value, column.names ? plain(column.names[columns[key][slot]]) : String(columns[key][slot]));
}

function share(value, low, high) {
  return Math.max(0, Math.min(1, (value - low) / (high - low || 1)));
}
