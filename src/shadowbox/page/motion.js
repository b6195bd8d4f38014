/**
 * Adds trails, rings and the camera to a frame, from the rows around it, exactly as core/scenes/motion.py
 * does, which explains the tags.
 *
 * @typedef {import("./scene.js").Shape} Shape
 * @typedef {[number, number, number, number]} Box  left, top, right, bottom
 */
import { evaluate } from "./scene.js";

const TRAIL = 12;
const LINGER = 8;
const AHEAD = 14;
const SMOOTH = 12;
const KEPT = 256; // rows whose bodies are cached

/** A match as shapes and a camera for each frame; rows may be added while it is shown. */
export class Film {
  /**
   * @param {any} scene
   * @param {import("./rows.js").Rows} rows
   * @param {(frame: number) => import("./scene.js").Event[]} happened
   */
  constructor(scene, rows, happened) {
    this.scene = scene;
    this.rows = rows;
    this.happened = happened;
    this.only = {};
    for (const tag of ["body", "ring"])
      this.only[tag] = { ...scene, shapes: scene.shapes.filter((s) => s.tag === tag) };
    this.cache = new Map();
  }

  /** Clear the cache of bodies, because rows were replaced. */
  forget() {
    this.cache.clear();
  }

  /**
   * Shapes to paint at a frame, in order: trails before the first body, old rings last.
   * @param {number} frame
   * @param {{trails?: boolean, rings?: boolean}} [show]
   * @returns {Shape[]}
   */
  shapes(frame, show = {}) {
    const shapes = evaluate(this.scene, this.rows.at(frame), this.happened(frame));
    const first = shapes.findIndex((shape) => shape.tag === "body");
    const at = first < 0 ? shapes.length : first;
    const trail = ages(show.trails === false ? 0 : TRAIL, frame).flatMap((age) =>
      this.bodies(frame - age).flatMap((body) => trailOf(body, age)),
    );
    const rings = ages(show.rings === false ? 0 : LINGER, frame).flatMap((age) =>
      this.tagged("ring", frame - age).map((ring) => ringOf(ring, age)),
    );
    return [...shapes.slice(0, at), ...trail, ...shapes.slice(at), ...rings];
  }

  /**
   * The part of the world to show: it holds every body of the frame in the bounds' proportions.
   * @param {number} frame
   * @returns {Box}
   */
  camera(frame) {
    const { camera, bounds } = this.scene;
    if (!camera) return bounds;
    const last = this.rows.length - 1;
    const total = [0, 0, 0, 0];
    let count = 0;
    for (
      let center = Math.max(frame - SMOOTH, 0);
      center <= Math.min(frame + SMOOTH, last);
      center++, count++
    ) {
      const box = [...camera.keep];
      for (let at = Math.max(center - AHEAD, 0); at <= Math.min(center + AHEAD, last); at++) {
        for (const { x, y } of this.bodies(at)) {
          box[0] = Math.min(box[0], x);
          box[1] = Math.min(box[1], y);
          box[2] = Math.max(box[2], x);
          box[3] = Math.max(box[3], y);
        }
      }
      box.forEach((side, i) => (total[i] += side));
    }
    return fitted(
      total.map((side) => side / count),
      camera.margin,
      bounds,
    );
  }

  bodies(frame) {
    let bodies = this.cache.get(frame);
    if (!bodies) {
      bodies = this.tagged("body", frame);
      if (this.cache.size >= KEPT) this.cache.delete(this.cache.keys().next().value);
      this.cache.set(frame, bodies);
    }
    return bodies;
  }

  tagged(tag, frame) {
    const events = this.happened(frame);
    if (tag === "ring" && events.length === 0) return []; // rings are drawn on events only
    return evaluate(this.only[tag], this.rows.at(frame), events);
  }
}

/** The box with a margin, grown to the proportions of the bounds and moved inside them. */
export function fitted(box, margin, bounds) {
  const width = bounds[2] - bounds[0];
  const height = bounds[3] - bounds[1];
  const share = Math.min(
    1,
    Math.max((box[2] - box[0] + 2 * margin) / width, (box[3] - box[1] + 2 * margin) / height),
  );
  const left = Math.min(
    Math.max((box[0] + box[2] - share * width) / 2, bounds[0]),
    bounds[2] - share * width,
  );
  const top = Math.min(
    Math.max((box[1] + box[3] - share * height) / 2, bounds[1]),
    bounds[3] - share * height,
  );
  return [left, top, left + share * width, top + share * height];
}

/** Ages in rows, from the oldest down to 1, at most as many as there are rows before the frame. */
function ages(most, frame) {
  const count = Math.min(most, frame);
  return Array.from({ length: count }, (_, i) => count - i);
}

/** The trail of a body `age` rows ago: smaller, fainter, without its outline. Text leaves none. */
function trailOf(body, age) {
  if (body.shape === "text") return [];
  const left = 1 - age / (TRAIL + 1);
  const size = 0.35 + 0.55 * left;
  const out = { ...body, line: "", alpha: (body.alpha ?? 1) * 0.4 * left, tag: "trail" };
  for (const name of ["w", "h", "r"]) if (name in body) out[name] = body[name] * size;
  if ("points" in body) out.points = body.points.map(([dx, dy]) => [dx * size, dy * size]);
  return [out];
}

/** A ring `age` rows later: larger and fainter. */
function ringOf(ring, age) {
  const out = { ...ring, alpha: (ring.alpha ?? 1) * (1 - age / (LINGER + 1)) };
  if ("r" in ring) out.r = ring.r * (1 + 0.07 * age);
  return out;
}
