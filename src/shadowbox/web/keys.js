/**
 * Keys and gamepads become held controls. Bindings are kept in this browser, by control: a `KeyboardEvent.code`, and an
 * input of a gamepad: `b2` its button, `a0-` and `a0+` the two ends of an axis.
 *
 * At first a control that is called like a key has that key; W A S D are also stick and cross, and the others the buttons
 * that games use first.
 */
import { el } from "./parts.js";

const KEPT = "shadowbox.keys";
const STICKS = { w: ["a1-", "b12"], a: ["a0-", "b14"], s: ["a1+", "b13"], d: ["a0+", "b15"] };
const BUTTONS = ["b0", "b4", "b1", "b2", "b3", "b8", "b5", "b6", "b7", "b9"];
const PUSHED = 0.5; // of an axis

/** @param {string[]} controls  "group/name" */
function first(controls) {
  const buttons = [...BUTTONS];
  return Object.fromEntries(controls.map((control, at) => {
    const name = control.split("/")[1];
    const letter = /^[a-z]$/.test(name) ? `Key${name.toUpperCase()}` : "";
    const code = letter || (name === "space" ? "Space" : `Digit${(at + 1) % 10}`);
    return [control, { code, pad: STICKS[name] ?? [buttons.shift()].filter(Boolean) }];
  }));
}

const PAD_NAMES = { b0: "A", b1: "B", b2: "X", b3: "Y", b4: "LB", b5: "RB", b6: "LT", b7: "RT", b8: "back", b9: "start", b12: "↑", b13: "↓", b14: "←", b15: "→", "a0-": "stick ←", "a0+": "stick →", "a1-": "stick ↑", "a1+": "stick ↓" };

/** What is written on a key. */
function label(code) {
  return code.replace(/^(Key|Digit|Arrow)/, "").replace(/^Numpad/, "num ") || "no key";
}

export class Bindings {
  /**
   * @param {string[]} controls
   * @param {(held: string[]) => void} changed
   */
  constructor(controls, changed) {
    this.controls = controls;
    this.changed = changed;
    this.down = new Set(); // codes
    this.pushed = new Set(); // controls, by a gamepad
    this.held = "";
    this.listening = false; // while a match is on its keys belong to it
    this.asked = null; // the control whose next key is awaited
    this.#read();
    addEventListener("keydown", (event) => this.#key(event, true), { capture: true });
    addEventListener("keyup", (event) => this.#key(event, false), { capture: true });
    addEventListener("blur", () => this.#release());
    document.addEventListener("visibilitychange", () => document.hidden && this.#release());
    this.#poll();
  }

  /** Buttons that show a key and ask for another one. */
  show(buttons) {
    this.buttons = buttons;
    for (const made of buttons) made.addEventListener("click", () => this.#ask(this.asked === made.dataset.control ? null : made.dataset.control));
    this.#paint();
  }

  /** As at first. */
  reset() {
    this.bound = first(this.controls);
    this.#keep();
  }

  #read() {
    this.bound = first(this.controls);
    try {
      const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
      for (const control of this.controls) {
        const { code, pad } = kept[control] ?? {};
        if (typeof code === "string" && Array.isArray(pad)) this.bound[control] = { code, pad: pad.map(String) };
      }
    } catch {
      localStorage.removeItem(KEPT); // it was not ours
    }
  }

  #keep() {
    localStorage.setItem(KEPT, JSON.stringify(this.bound));
    this.#paint();
  }

  #ask(control) {
    this.asked = control;
    this.#paint();
  }

  /** The awaited key or button has come; who had it before gives it up. */
  #bind(input, what) {
    for (const one of Object.values(this.bound)) {
      if (what === "code" && one.code === input) one.code = "";
      if (what === "pad") one.pad = one.pad.filter((other) => other !== input);
    }
    const one = this.bound[this.asked];
    if (what === "code") one.code = input;
    else one.pad = [input];
    this.asked = null;
    this.#keep();
  }

  #key(event, isDown) {
    if (this.asked && isDown) {
      event.preventDefault();
      event.stopPropagation();
      if (event.code === "Escape") this.#ask(null);
      else this.#bind(event.code, "code");
      return;
    }
    if (!isDown) this.down.delete(event.code);
    if (!this.listening || event.ctrlKey || event.metaKey || event.altKey) return this.#tell();
    if (!this.controls.some((control) => this.bound[control].code === event.code)) return;
    event.preventDefault(); // no scrolling, no button pressed by space
    event.stopPropagation();
    if (isDown) this.down.add(event.code);
    this.#tell();
  }

  #release() {
    this.down.clear();
    this.#tell();
  }

  #poll() {
    const pads = [...(navigator.getGamepads?.() ?? [])].filter(Boolean);
    const inputs = new Set(pads.flatMap(inputsOf));
    if (this.asked && inputs.size && !this.before?.size) this.#bind([...inputs][0], "pad");
    this.before = inputs;
    this.pushed = new Set(this.controls.filter((control) => this.bound[control].pad.some((input) => inputs.has(input))));
    if (pads.length) this.seen?.(pads[0].id);
    this.#tell();
    requestAnimationFrame(() => this.#poll());
  }

  #tell() {
    const held = this.controls.filter((control) => this.down.has(this.bound[control].code) || this.pushed.has(control));
    const text = held.join(" ");
    if (text === this.held) return;
    this.held = text;
    for (const made of this.buttons ?? []) made.classList.toggle("down", held.includes(made.dataset.control));
    if (this.listening) this.changed(held);
  }

  #paint() {
    for (const made of this.buttons ?? []) {
      const { code, pad } = this.bound[made.dataset.control];
      const waits = this.asked === made.dataset.control;
      made.classList.toggle("waiting", waits);
      const words = pad.map((input) => PAD_NAMES[input] ?? input).join(", ");
      if (waits) made.replaceChildren("press a key");
      else made.replaceChildren(el("b", {}, label(code)), el("small", {}, words));
    }
  }
}

/** What is pressed on a gamepad. */
function inputsOf({ buttons, axes }) {
  const pressed = buttons.map((button, at) => (button.pressed ? `b${at}` : "")).filter(Boolean);
  const pushed = axes.map((value, at) => (Math.abs(value) > PUSHED ? `a${at}${value < 0 ? "-" : "+"}` : "")).filter(Boolean);
  return [...pressed, ...pushed];
}
