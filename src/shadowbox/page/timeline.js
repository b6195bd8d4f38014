/**
 * Shows the timeline of a match: marks of events by kind and player, a curve of one number of each
 * player, and a playhead to drag.
 */
import { button, clock, el, plain, say } from "./parts.js";

// marks of event kinds, in turn, where the scene has no `marks`
const SHAPES = ["tick", "cross", "diamond", "ring", "square", "dot"];
const SIZE = 4; // px, half a mark
const POINTS = 400; // of a curve
const INSET = 8; // px between the first or last frame and the edge (the same in viewer.css)

/** @typedef {import("./scene.js").Event} Event */

export class Timeline {
  /**
   * @param {any} hello
   * @param {(frame: number) => void} seek
   */
  constructor(hello, seek) {
    this.hello = hello;
    this.seek = seek;
    this.events = /** @type {Event[]} */ ([]);
    this.marks = marksOf(hello);
    this.shown = new Set(hello.scene.marks ? Object.keys(hello.scene.marks) : hello.event_kinds);
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.head = el("i", { class: "head" });
    const slider = {
      class: "strip",
      role: "slider",
      tabindex: "0",
      "aria-label": "frame",
      "aria-valuemin": "0",
    };
    this.strip = el("div", slider, this.canvas, this.head);
    this.legend = el("div", {
      class: "legend",
      role: "group",
      "aria-label": "events on the timeline",
    });
    this.chips = new Map();
    this.element = el("div", { class: "timeline" }, this.strip, this.legend);
    this.frame = 0;
    this.last = 0;
    this.#drag();
  }

  #drag() {
    const move = (event) => {
      const { left, width } = this.strip.getBoundingClientRect();
      const share = (event.clientX - left - INSET) / (width - 2 * INSET);
      this.seek(Math.round(Math.max(0, Math.min(1, share)) * this.last));
    };
    this.strip.addEventListener("pointerdown", (event) => {
      this.strip.setPointerCapture(event.pointerId);
      move(event);
    });
    this.strip.addEventListener("pointermove", (event) => {
      if (this.strip.hasPointerCapture(event.pointerId)) move(event);
    });
  }

  /** Add events; the legend counts them at once. @param {Event[]} events */
  add(events) {
    this.events.push(...events);
    const counts = new Map();
    for (const { kind } of this.events) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    for (const [kind, count] of [...counts].sort(([a], [b]) => a - b)) {
      const name = this.hello.event_kinds[kind] ?? `event ${kind}`;
      if (!this.chips.has(kind)) this.#chip(kind, name);
      const { chip, text } = this.chips.get(kind);
      say(text, String(count));
      chip.setAttribute("aria-label", `${plain(name)} ${count} on the timeline`);
    }
  }

  #chip(kind, name) {
    const mark = el("canvas", { width: "32", height: "32", "aria-hidden": "true" });
    const count = el("b");
    const chip = button(
      `${plain(name)} on the timeline`,
      el("span", {}, mark, `${plain(name)} `, count),
      () => {
        this.shown[this.shown.has(name) ? "delete" : "add"](name);
        chip.setAttribute("aria-pressed", String(this.shown.has(name)));
        this.paint();
      },
    );
    chip.setAttribute("aria-pressed", String(this.shown.has(name)));
    const context = mark.getContext("2d");
    context.scale(2, 2);
    context.strokeStyle = context.fillStyle =
      getComputedStyle(this.element).getPropertyValue("--soft") || "#888";
    drawMark(context, this.marks.get(kind), 8, 8);
    this.legend.append(chip);
    this.chips.set(kind, { chip, text: count });
  }

  /** Move the playhead to a frame. */
  show(frame, last) {
    this.frame = frame;
    this.last = last;
    this.head.style.setProperty("--at", String(last > 0 ? frame / last : 0));
    this.strip.setAttribute("aria-valuemax", String(last));
    this.strip.setAttribute("aria-valuenow", String(frame));
    this.strip.setAttribute(
      "aria-valuetext",
      `${clock(frame, this.hello.fps)}, frame ${frame} of ${last}`,
    );
  }

  /**
   * Repaint marks and curves.
   * @param {number[][]} [curves]  for each player, shares 0 .. 1 at equal distances
   */
  paint(curves = this.curves ?? []) {
    this.curves = curves;
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = this.strip.getBoundingClientRect();
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d");
    const style = getComputedStyle(this.element);
    context.scale(ratio, ratio);
    const middle = height / 2;
    const across = (share) => INSET + share * (width - 2 * INSET);
    context.fillStyle = style.getPropertyValue("--line");
    context.fillRect(0, middle - 0.5, width, 1);
    curves.forEach((curve, player) => {
      context.fillStyle = style.getPropertyValue(`--p${player + 1}`);
      context.globalAlpha = 0.2; // the player's hue, as faint as an interval
      context.beginPath();
      context.moveTo(across(0), middle);
      curve.forEach((share, i) => {
        const y = middle + half(player) * share * (middle - 2);
        context.lineTo(across(i / curve.length), y);
        context.lineTo(across((i + 1) / curve.length), y);
      });
      context.lineTo(across(1), middle);
      context.fill();
    });
    context.globalAlpha = 1;
    for (const event of this.events) {
      if (!this.shown.has(this.hello.event_kinds[event.kind])) continue;
      context.strokeStyle = context.fillStyle = style.getPropertyValue(
        `--p${Math.max(event.player, 0) + 1}`,
      );
      const x = across(event.frame / Math.max(this.last, 1));
      drawMark(context, this.marks.get(event.kind), x, middle + half(event.player) * middle * 0.5);
    }
  }
}

/** Side of the middle line: -1 (above) for the first player, 1 (below) for the others. */
function half(player) {
  return player > 0 ? 1 : -1;
}

/** @returns {Map<number, string>} event kind -> the shape of its mark */
function marksOf(hello) {
  const marks = hello.scene.marks;
  const mark = (name, kind) => (marks ? (marks[name] ?? "dot") : SHAPES[kind % SHAPES.length]);
  return new Map(hello.event_kinds.map((name, kind) => [kind, mark(name, kind)]));
}

/** Draw a mark around a point; marks differ in shape and not only in color. */
function drawMark(context, mark, x, y) {
  context.lineWidth = 2;
  context.beginPath();
  if (mark === "tick") {
    context.moveTo(x, y - 1.5 * SIZE);
    context.lineTo(x, y + 1.5 * SIZE);
    context.stroke();
  } else if (mark === "cross") {
    context.lineWidth = 3;
    for (const dy of [SIZE + 1, -SIZE - 1]) {
      context.moveTo(x - SIZE - 1, y - dy);
      context.lineTo(x + SIZE + 1, y + dy);
    }
    context.stroke();
  } else if (mark === "diamond") {
    const out = 1.4 * SIZE;
    context.moveTo(x, y - out);
    context.lineTo(x + out, y);
    context.lineTo(x, y + out);
    context.lineTo(x - out, y);
    context.fill();
  } else if (mark === "square") {
    context.fillRect(x - SIZE, y - SIZE, 2 * SIZE, 2 * SIZE);
  } else {
    context.arc(x, y, mark === "ring" ? SIZE : SIZE / 2, 0, 2 * Math.PI);
    if (mark === "ring") context.stroke();
    else context.fill();
  }
}

/** Each player's first number of the scene over time, as shares of `danger` or the maximum. */
export function curves(hello, rows) {
  const entry = (hello.scene.hud ?? []).find((one) => one.as === "number");
  if (!entry || rows.length < 2) return [];
  const count = Math.min(POINTS, rows.length);
  const at = (i) => Math.floor((i / count) * rows.length);
  const values = hello.players.map((_, player) =>
    Array.from({ length: count }, (_, i) => Number(rows.value(entry.field, at(i), player))),
  );
  const most = values.flat().reduce((larger, one) => Math.max(larger, one), entry.danger ?? 0) || 1;
  return values.map((curve) => curve.map((one) => one / most));
}
