/**
 * Adds figures, trails, lingering effects and the camera to a picture, from the rows around it, exactly
 * as core/scenes/motion.py does, which explains the tags. A position may lie between two rows.
 *
 * @typedef {import("./scene.js").Shape} Shape
 * @typedef {[number, number, number, number]} Box  left, top, right, bottom
 */
import {
  BURST_FRAMES,
  IMPACT_FRAMES,
  SHAKE_FRAMES,
  SHAKE_MOST,
  burst,
  hatch,
  impact,
  marksAround,
  ribbon,
  shade,
  shake,
} from "./effects.js";
import { joints, smear, strokes } from "./figure.js";
import { NEVER, Poses, blend, clamp } from "./pose.js";
import { keyed } from "./scene.js";

const TRAIL = 12;
const LINGER = 8;
const HELD = 14;
const SMOOTH = 16;
const LOOK_BACK = 64;
const JUMP = 0.084;
const KEPT = 256; // rows whose shapes and poses are cached
const DAZED_AFTER = 8;
const TIMED = { impact: IMPACT_FRAMES, burst: BURST_FRAMES };

/** A match as shapes and a camera for each moment; rows may be added while it is shown. */
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
    this.jump = JUMP * (scene.bounds[2] - scene.bounds[0]);
    this.poses = Object.fromEntries(
      Object.entries(scene.figures ?? {}).map(([name, table]) => [name, new Poses(table)]),
    );
    this.forget();
  }

  /** Clear the caches, because rows were replaced. */
  forget() {
    this.kept = { shapes: new Map(), boxes: new Map(), poses: new Map() };
  }

  /** Clear what depends on events, because some were added. */
  noticed() {
    this.kept.poses.clear();
  }

  /**
   * Shapes to paint at a moment, in order: trails before the first body, old rings last.
   * @param {number} position
   * @param {{trails?: boolean, rings?: boolean}} [show]
   * @returns {Shape[]}
   */
  shapes(position, show = {}) {
    const [frame, share] = this.#split(position);
    const later = new Map(share ? this.#shapes(frame + 1) : []);
    const before = [];
    const after = [];
    const figures = [];
    let met = false;
    for (const [key, shape, slot] of this.#shapes(frame)) {
      const other = later.get(key);
      met ||= shape.tag === "body";
      const part = met ? after : before;
      const placed = this.#between(shape, other, share);
      if (shape.shape === "figure") figures.push({ key, slot, placed, shape, other });
      else if (shape.shape === "hatch") part.push(...hatch(shape));
      else part.push(placed);
    }
    const trails =
      show.trails === false ? [] : [...this.#trails(frame), ...this.#ribbons(frame, figures)];
    const rings = show.rings === false ? 0 : LINGER;
    const old = ages(rings, frame).flatMap((age) =>
      this.#on(frame - age)
        .filter((ring) => ring.tag === "ring")
        .map((ring) => ringOf(ring, age + share)),
    );
    const timed = (kind, over) => (rings ? this.#timed(kind, position, over) : []);
    return [
      ...before,
      ...trails,
      ...timed("impact", false),
      ...this.#figures(frame, share, figures),
      ...after,
      ...this.#on(frame),
      ...timed("impact", true),
      ...old,
      ...timed("burst"),
    ];
  }

  /** Pixels by which the hits of the last frames move the picture. */
  shake(position) {
    const [frame, share] = this.#split(position);
    let [x, y] = [0, 0];
    for (let age = 0; age < Math.min(SHAKE_FRAMES, frame + 1); age++) {
      for (const hit of this.#on(frame - age, "impact")) {
        const [dx, dy] = shake(hit, age + share);
        x += dx;
        y += dy;
      }
    }
    return [clamp(x, -SHAKE_MOST, SHAKE_MOST), clamp(y, -SHAKE_MOST, SHAKE_MOST)];
  }

  /**
   * The part of the world to show: it holds every body of the frame in the bounds' proportions.
   * @param {number} position
   * @returns {Box}
   */
  camera(position) {
    const [frame, share] = this.#split(position);
    const a = this.#camera(frame);
    if (!share) return a;
    const b = this.#camera(frame + 1);
    return a.map((side, i) => side + (b[i] - side) * share);
  }

  /** Places of the figures, for marks above them. */
  places(position) {
    const [frame, share] = this.#split(position);
    const later = new Map(share ? this.#shapes(frame + 1) : []);
    return this.#shapes(frame)
      .filter(([, shape]) => shape.shape === "figure")
      .map(([key, shape, slot]) => ({ ...this.#between(shape, later.get(key), share), slot }));
  }

  // ---- rows ----

  #split(position) {
    const last = this.rows.length - 1;
    const frame = Math.min(Math.floor(position), last);
    return [frame, frame < last ? position - frame : 0];
  }

  #cached(name, key, build) {
    const kept = this.kept[name];
    if (!kept.has(key)) {
      if (kept.size >= KEPT) kept.delete(kept.keys().next().value);
      kept.set(key, build());
    }
    return kept.get(key);
  }

  #shapes(frame) {
    return this.#cached("shapes", frame, () =>
      keyed(this.scene, this.rows.at(frame), [], (shape) => !("on" in shape)),
    );
  }

  /** Shapes of a row's events: those of one kind, or those that are no effects. */
  #on(frame, kind = "") {
    const events = this.happened(frame);
    if (events.length === 0) return [];
    const shapes = keyed(this.scene, this.rows.at(frame), events, (shape) => "on" in shape);
    return shapes
      .map(([, shape]) => shape)
      .filter(({ shape }) => (kind ? shape === kind : !(shape in TIMED)));
  }

  bodies(frame) {
    return this.#shapes(frame)
      .map(([, shape]) => shape)
      .filter((shape) => shape.tag === "body");
  }

  #between(shape, other, share) {
    if (!other || !share) return shape;
    const [dx, dy] = [other.x - shape.x, other.y - shape.y];
    if ((dx === 0 && dy === 0) || Math.abs(dx) > this.jump || Math.abs(dy) > this.jump)
      return shape;
    return { ...shape, x: shape.x + dx * share, y: shape.y + dy * share };
  }

  #timed(kind, position, over = false) {
    const [frame, share] = this.#split(position);
    const frames = TIMED[kind];
    return [...ages(frames - 1, frame), 0].flatMap((age) =>
      this.#on(frame - age, kind).flatMap((shape) =>
        kind === "impact"
          ? impact(shape, (age + share) / frames, frame - age, over)
          : burst(shape, (age + share) / frames),
      ),
    );
  }

  // ---- figures ----

  #figure(frame, key) {
    if (frame < 0) return undefined;
    return this.#shapes(frame).find(([other]) => other === key)?.[1];
  }

  #since(frame, slot, table) {
    const out = {};
    for (const [name, rule] of Object.entries(table.since ?? {})) {
      const kind = this.scene.event_kinds.indexOf(rule.on);
      for (let back = 0; back < Math.min(LOOK_BACK, frame + 1); back++) {
        const hit = this.happened(frame - back).find(
          (event) => event.kind === kind && event[rule.who] === slot,
        );
        if (!hit) continue;
        out[name] = [back, hit.what];
        break;
      }
    }
    return out;
  }

  #pose(frame, key, slot) {
    return this.#cached("poses", `${frame} ${key}`, () => {
      const shape = this.#figure(frame, key);
      const poses = this.poses[shape.figure];
      const { table } = poses;
      const pose = poses.of(shape, this.#since(frame, slot, table), frame);
      if (shape.age >= table.timing.settle.length || poses.rule(shape).at_once) return pose;
      const then = frame - shape.age - 1;
      const old = this.#figure(then, key);
      if (!old) return pose;
      const before = poses.of(old, this.#since(then, slot, table), then);
      return poses.settled(shape, before, old.state, pose);
    });
  }

  /** Posed figures: all shades first, then each with its smear and marks, the striking last. */
  #figures(frame, share, figures) {
    const shades = [];
    const drawn = [[], []];
    for (const { key, slot, placed, shape, other } of figures) {
      const poses = this.poses[shape.figure];
      shades.push(...shade(placed));
      let pose = this.#pose(frame, key, slot);
      let grounded = Number(shape.grounded);
      const same = Boolean(other) && goesOn(shape, other);
      if (other && share) {
        pose = blend(pose, this.#pose(frame + 1, key, slot), share, !same);
        grounded += (Number(other.grounded) - grounded) * share;
      }
      const { side } = other && share >= 0.5 ? other : shape;
      const place = { ...placed, side, lag: this.#lag(frame, key, shape, side) };
      place.frame = frame + share;
      place.hollow = Boolean(shape.hollow) || shape.shield > 0;
      const rule = poses.rule(shape);
      const line = rule.move ? poses.line(shape.gear, shape.move) : null;
      place.charge = line ? (shape.charge ?? 0) : 0;
      const parts = drawn[Number(Boolean(line))];
      if (line)
        parts.push(...smear(place, poses, line, shape.clock + (same ? share : 0), grounded));
      let dazed = "since" in rule && Boolean(shape.grounded);
      if (dazed) {
        const since = this.#since(frame, slot, poses.table)[rule.since];
        dazed = (since?.[0] ?? NEVER) > DAZED_AFTER;
      }
      parts.push(...marksAround(place, frame + share, dazed));
      const body = joints(poses.table, pose, grounded, shape.gear);
      parts.push(...strokes(place, poses.table, body));
    }
    return [...shades, ...drawn[0], ...drawn[1]];
  }

  /** Where a ribbon trails to: against the speed of the last frames. */
  #lag(frame, key, shape, side) {
    const old = this.#figure(Math.max(0, frame - 3), key) ?? shape;
    const { size = 1 } = shape;
    const vx = (((old.vx + shape.vx) / 2) * side) / size;
    const vy = (old.vy + shape.vy) / 2 / size;
    return [clamp(-0.16 - vx * 0.035, -0.5, 0.36), clamp(0.12 - vy * 0.035, -0.4, 0.4)];
  }

  // ---- trails and camera ----

  #ribbons(frame, figures) {
    return figures.flatMap(({ key, placed, shape }) => {
      const places = [[placed.x, placed.y]];
      for (let back = 0; back < Math.min(TRAIL, frame + 1); back++) {
        const old = this.#figure(frame - back, key);
        const [x, y] = places.at(-1);
        if (!old || Math.abs(old.x - x) > this.jump || Math.abs(old.y - y) > this.jump) break;
        places.push([old.x, old.y]);
      }
      return places.length > 2 ? ribbon(places, 0.24 * (shape.size ?? 1), shape.fill) : [];
    });
  }

  #trails(frame) {
    return ages(TRAIL, frame).flatMap((age) =>
      this.bodies(frame - age)
        .filter((body) => body.shape !== "figure")
        .flatMap((body) => trailOf(body, age)),
    );
  }

  #box(frame) {
    return this.#cached("boxes", frame, () => around(this.bodies(frame)));
  }

  #camera(frame) {
    const { camera, bounds } = this.scene;
    if (!camera) return bounds;
    const total = [0, 0, 0, 0];
    let count = 0;
    for (let center = Math.max(frame - SMOOTH + 1, 0); center <= frame; center++, count++) {
      let box = camera.keep;
      for (let at = Math.max(center - HELD + 1, 0); at <= center; at++)
        box = union(box, this.#box(at));
      box.forEach((side, i) => (total[i] += side));
    }
    const mean = total.map((side) => side / count);
    return fitted(union(mean, this.#box(frame)), camera.margin, bounds);
  }
}

/** True if the next row goes on with the same state and move. */
function goesOn(shape, other) {
  const same = shape.state === other.state && shape.move === other.move;
  return same && other.clock >= shape.clock && shape.side === other.side;
}

/** The box of the shapes' centers; null without shapes. */
function around(shapes) {
  if (shapes.length === 0) return null;
  const [xs, ys] = [shapes.map(({ x }) => x), shapes.map(({ y }) => y)];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

function union(a, b) {
  if (!b) return a;
  return [
    Math.min(a[0], b[0]),
    Math.min(a[1], b[1]),
    Math.max(a[2], b[2]),
    Math.max(a[3], b[3]),
  ];
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
