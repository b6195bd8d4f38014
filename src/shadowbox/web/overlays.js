/** What lies over a played match: keys until they are used, touch controls, pause and end panels. */
import { sentence } from "./captions.js";
import { PALETTES, paint } from "./paint.js";
import { button, clock, el } from "./parts.js";

const AIMS = ["w", "a", "s", "d"];
const APART = 45; // frames between two moments
const BEFORE = 25; // frames before a moment from which it is shown

const nameOf = (control) => control.split("/")[1];

/** First words of a control's description: "on press: dash along ..." is "dash along". */
function short(text) {
  return text.replace(/^on press: /, "").split(/[:;,(]/)[0].trim();
}

/**
 * Keys over the stage; a key fades once it was used, and the group when all are.
 * @param {HTMLElement} stage
 * @param {import("./keys.js").Bindings} bindings
 * @param {Map<string, string>} docs  control to its description
 */
export function keysOver(stage, bindings, docs) {
  const left = el("div", { class: "keys-over left", "aria-hidden": "true" });
  const right = el("div", { class: "keys-over right", "aria-hidden": "true" });
  const keys = new Map();
  for (const control of bindings.controls) {
    const name = nameOf(control);
    const key = el("kbd", {}, bindings.labelOf(control), el("small", {}, short(docs.get(control))));
    keys.set(control, key);
    (AIMS.includes(name) || name === "space" ? left : right).append(key);
  }
  stage.append(left, right);
  return {
    show(held) {
      for (const [control, key] of keys) {
        key.classList.toggle("down", held.includes(control));
        if (held.includes(control)) key.classList.add("used");
      }
      for (const group of [left, right]) {
        const all = [...group.children].every((key) => key.classList.contains("used"));
        if (all) group.classList.add("used");
      }
    },
    done() {
      left.remove();
      right.remove();
    },
  };
}

/** A stick for the controls w, a, s, d and a button for each other control, for fingers. */
export function touchControls(parent, bindings, docs) {
  const others = bindings.controls.filter((control) => !AIMS.includes(nameOf(control)));
  const aims = bindings.controls.filter((control) => AIMS.includes(nameOf(control)));
  const made = others.map((control, at) => {
    const one = el("button", { type: "button" }, short(docs.get(control)));
    one.style.right = `${16 + 82 * (at % 2)}px`;
    one.style.bottom = `${24 + 82 * Math.floor(at / 2)}px`;
    const hold = (on) => (event) => {
      event.preventDefault();
      one.classList.toggle("down", on);
      bindings.touch({ [control]: on });
    };
    one.addEventListener("pointerdown", hold(true));
    for (const end of ["pointerup", "pointercancel", "pointerleave"])
      one.addEventListener(end, hold(false));
    return one;
  });
  parent.replaceChildren(...(aims.length === AIMS.length ? [stick(aims, bindings)] : []), ...made);
}

function stick(aims, bindings) {
  const knob = el("i", {});
  const pad = el("div", { class: "stick-pad", role: "img", "aria-label": "stick" }, knob);
  const of = Object.fromEntries(aims.map((control) => [nameOf(control), control]));
  const put = (x, y) => {
    knob.style.transform = `translate(${36 * x}px, ${36 * y}px)`;
    bindings.touch({
      [of.a]: x < -0.4,
      [of.d]: x > 0.4,
      [of.w]: y < -0.5,
      [of.s]: y > 0.5,
    });
  };
  const move = (event) => {
    if (event.type === "pointermove" && !pad.hasPointerCapture(event.pointerId)) return;
    const { left, top, width, height } = pad.getBoundingClientRect();
    const x = ((event.clientX - left) / width) * 2 - 1;
    const y = ((event.clientY - top) / height) * 2 - 1;
    const far = Math.max(1, Math.hypot(x, y));
    put(x / far, y / far);
  };
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    move(event);
  });
  pad.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => put(0, 0));
  return pad;
}

/** A panel over the stage: a heading, lines, and buttons of which the first is the main one. */
export function panel(veil, title, lines, buttons, extra = []) {
  const [main, ...others] = buttons.map(([label, press]) => button(label, label, press));
  main.classList.add("main");
  const made = el(
    "div",
    { class: "panel", role: "dialog", "aria-label": title },
    el("h2", {}, title),
    ...lines.map((line) => el("p", { class: "soft" }, line)),
    ...extra,
    main,
    el("div", { class: "two" }, ...others),
  );
  veil.replaceChildren(made);
  veil.hidden = false;
  main.focus({ focusVisible: false });
}

/** The three moments that decided a match, as small stages that jump to them. */
export function moments(viewer, jump) {
  const { hello, film } = viewer;
  const all = [...viewer.events.values()].flat();
  const weight = ({ kind, value }) => {
    const name = hello.event_kinds[kind];
    if (/knockout|^ko$/.test(name)) return 1000 + value;
    return name === "hit" ? value : 0;
  };
  const chosen = [];
  for (const event of all.filter(weight).sort((a, b) => weight(b) - weight(a))) {
    if (chosen.length === 3) break;
    if (chosen.every(({ frame }) => Math.abs(frame - event.frame) >= APART)) chosen.push(event);
  }
  chosen.sort((a, b) => a.frame - b.frame);
  const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  return el(
    "div",
    { class: "moments" },
    ...chosen.map((event) => {
      const canvas = el("canvas", { width: "224", height: "126", "aria-hidden": "true" });
      const at = Math.max(0, event.frame - 1);
      const how = { ratio: 2 };
      paint(canvas.getContext("2d"), film.shapes(at), film.camera(at), PALETTES[theme], how);
      const label = `${clock(event.frame, hello.fps)} ${sentence(event, hello)}`;
      const one = button(label, canvas, () => jump(Math.max(0, event.frame - BEFORE)));
      one.append(label);
      return one;
    }),
  );
}
