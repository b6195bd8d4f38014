/**
 * Key bindings: keyboard and gamepad input as the set of held controls.
 *
 * Bindings are saved in this browser, by control: a `KeyboardEvent.code`, and gamepad inputs (`b2`
 * is button 2, `a0-` and `a0+` are the two ends of axis 0). By default a control named like a key
 * has that key; W A S D are also the left stick and the directional pad, and the other controls get
 * the gamepad buttons in the order of BUTTONS.
 */
import { el } from "./parts.js";

const STORAGE_KEY = "shadowbox.keys";
const STICKS = { w: ["a1-", "b12"], a: ["a0-", "b14"], s: ["a1+", "b13"], d: ["a0+", "b15"] };
const BUTTONS = ["b0", "b4", "b1", "b2", "b3", "b8", "b5", "b6", "b7", "b9"];
const PUSHED = 0.5; // share of an axis that counts as held

/**
 * Default bindings.
 * @param {string[]} controls  "group/name"
 */
function defaults(controls) {
  const buttons = [...BUTTONS];
  return Object.fromEntries(controls.map((control, at) => {
    const name = control.split("/")[1];
    const letter = /^[a-z]$/.test(name) ? `Key${name.toUpperCase()}` : "";
    const code = letter || (name === "space" ? "Space" : `Digit${(at + 1) % 10}`);
    return [control, { code, pad: STICKS[name] ?? [buttons.shift()].filter(Boolean) }];
  }));
}

const PAD_NAMES = {
  ...{ b0: "A", b1: "B", b2: "X", b3: "Y", b4: "LB", b5: "RB", b6: "LT", b7: "RT" },
  ...{ b8: "back", b9: "start", b12: "↑", b13: "↓", b14: "←", b15: "→" },
  ...{ "a0-": "stick ←", "a0+": "stick →", "a1-": "stick ↑", "a1+": "stick ↓" },
};

/** Label of a key, from its `KeyboardEvent.code`. */
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
    this.touched = new Set(); // controls, by a finger on the screen
    this.held = "";
    this.listening = false; // true during a match, which then takes the keys
    this.rebinding = null; // the control that takes the next key
    this.#read();
    addEventListener("keydown", (event) => this.#key(event, true), { capture: true });
    addEventListener("keyup", (event) => this.#key(event, false), { capture: true });
    addEventListener("blur", () => this.#release());
    document.addEventListener("visibilitychange", () => document.hidden && this.#release());
    this.#poll();
  }

  /** Let buttons, one per control (`data-control`), show their keys and take new ones. */
  show(buttons) {
    this.buttons = buttons;
    for (const made of buttons) {
      const { control } = made.dataset;
      const toggle = () => this.#rebind(this.rebinding === control ? null : control);
      made.addEventListener("click", toggle);
    }
    this.#paint();
  }

  /** Hold or release controls on the screen. @param {Record<string, boolean>} changes */
  touch(changes) {
    for (const [control, on] of Object.entries(changes))
      this.touched[on ? "add" : "delete"](control);
    this.#update();
  }

  /** Label of a control's key. */
  labelOf(control) {
    return label(this.bound[control].code);
  }

  /** True if a key belongs to a control. */
  takes(code) {
    return this.controls.some((control) => this.bound[control].code === code);
  }

  /** Return to the default bindings. */
  reset() {
    this.bound = defaults(this.controls);
    this.#save();
  }

  #read() {
    this.bound = defaults(this.controls);
    try {
      const saved = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "{}");
      for (const control of this.controls) {
        const { code, pad } = saved[control] ?? {};
        if (typeof code !== "string" || !Array.isArray(pad)) continue;
        this.bound[control] = { code, pad: pad.map(String) };
      }
    } catch {
      localStorage.removeItem(STORAGE_KEY); // not written by this page
    }
  }

  #save() {
    localStorage.setItem(STORAGE_KEY, JSON.stringify(this.bound));
    this.#paint();
  }

  #rebind(control) {
    this.rebinding = control;
    this.#paint();
  }

  /** Bind a key (`code`) or gamepad input (`pad`) to the waiting control; the others lose it. */
  #bind(input, device) {
    for (const binding of Object.values(this.bound)) {
      if (device === "code" && binding.code === input) binding.code = "";
      if (device === "pad") binding.pad = binding.pad.filter((other) => other !== input);
    }
    const binding = this.bound[this.rebinding];
    if (device === "code") binding.code = input;
    else binding.pad = [input];
    this.rebinding = null;
    this.#save();
  }

  #key(event, isDown) {
    if (this.rebinding && isDown) {
      event.preventDefault();
      event.stopPropagation();
      if (event.code === "Escape") this.#rebind(null);
      else this.#bind(event.code, "code");
      return;
    }
    if (!isDown) this.down.delete(event.code);
    if (!this.listening || event.ctrlKey || event.metaKey || event.altKey) return this.#update();
    if (!this.controls.some((control) => this.bound[control].code === event.code)) return;
    event.preventDefault(); // no scrolling, no button pressed by space
    event.stopPropagation();
    if (isDown) this.down.add(event.code);
    this.#update();
  }

  #release() {
    this.down.clear();
    this.touched.clear();
    this.#update();
  }

  #poll() {
    const pads = [...(navigator.getGamepads?.() ?? [])].filter(Boolean);
    const inputs = new Set(pads.flatMap(inputsOf));
    if (this.rebinding && inputs.size && !this.before?.size) this.#bind([...inputs][0], "pad");
    this.before = inputs;
    const isPushed = (control) => this.bound[control].pad.some((input) => inputs.has(input));
    this.pushed = new Set(this.controls.filter(isPushed));
    if (pads.length) this.seen?.(pads[0].id);
    this.#update();
    requestAnimationFrame(() => this.#poll());
  }

  /** Report the held controls, if they have changed. */
  #update() {
    const isHeld = (control) =>
      this.down.has(this.bound[control].code) ||
      this.pushed.has(control) ||
      this.touched.has(control);
    const held = this.controls.filter(isHeld);
    const text = held.join(" ");
    if (text === this.held) return;
    this.held = text;
    for (const made of this.buttons ?? []) {
      made.classList.toggle("down", held.includes(made.dataset.control));
    }
    this.moved?.(held);
    if (this.listening) this.changed(held);
  }

  #paint() {
    for (const made of this.buttons ?? []) {
      const { code, pad } = this.bound[made.dataset.control];
      const waiting = this.rebinding === made.dataset.control;
      made.classList.toggle("waiting", waiting);
      const inputs = pad.map((input) => PAD_NAMES[input] ?? input).join(", ");
      if (waiting) made.replaceChildren("press a key");
      else made.replaceChildren(el("b", {}, label(code)), el("small", {}, inputs));
      made.dataset.about ??= made.getAttribute("aria-label") ?? "";
      made.setAttribute("aria-label", `${made.textContent}, ${made.dataset.about}`);
    }
  }
}

/** Inputs of a gamepad that are pressed: buttons, and axes pushed beyond PUSHED. */
function inputsOf({ buttons, axes }) {
  const pressed = buttons.map((button, at) => (button.pressed ? `b${at}` : "")).filter(Boolean);
  const pushed = axes.map((value, at) =>
    Math.abs(value) > PUSHED ? `a${at}${value < 0 ? "-" : "+"}` : "",
  );
  return [...pressed, ...pushed.filter(Boolean)];
}
