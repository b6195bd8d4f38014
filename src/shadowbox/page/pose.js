/**
 * Poses of articulated figures, exactly as core/scenes/pose.py poses them, which explains the table.
 *
 * @typedef {Record<string, number>} Pose
 * @typedef {Record<string, [number, number]>} Since  frames since an event, and its `what`
 */

export const LIMBS = ["near_arm", "far_arm", "near_leg", "far_leg"];
const TURNED = ["torso", "head", "weapon", "spin"];
const MEASURED = ["x", "y", "stretch", "plant", "hold"];
const ANGLES = new Set([...TURNED, ...LIMBS.flatMap((limb) => [`${limb}0`, `${limb}1`])]);
export const NEVER = 99;
const SEATS_APART = 17;

export const easeOut = (t) => 1 - (1 - t) ** 3;
const easeIn = (t) => t * t;
const ease = (t) => t * t * (3 - 2 * t);
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const modulo = (value, by) => ((value % by) + by) % by;

/** A number of [0, 1) that looks random, the same in every language. */
export const noise = (number) => modulo(number * 7919 + 104729, 1009) / 1009;

/** The pose between two; with `wrap` angles go along the shorter arc, else as they are written. */
export function blend(a, b, share, wrap = false) {
  if (share <= 0) return a;
  const out = {};
  for (const name in a) {
    let difference = b[name] - a[name];
    if (wrap && ANGLES.has(name)) difference = modulo(difference + 540, 360) - 180;
    out[name] = a[name] + difference * share;
  }
  return out;
}

function flat(spec) {
  const out = {};
  for (const name of [...TURNED, ...MEASURED]) if (name in spec) out[name] = spec[name];
  for (const limb of LIMBS) {
    if (!spec[limb]) continue;
    const [upper, lower, reach = 1] = spec[limb];
    Object.assign(out, { [`${limb}0`]: upper, [`${limb}1`]: lower, [`${limb}2`]: reach });
  }
  return out;
}

/** A move laid along its frames: keys [frame, pose, easing], and its active windows. */
class Line {
  constructor(poses, gear, move) {
    const one = poses.table.moves[gear][move];
    const { ready: readyBy, held: heldFor } = poses.table.timing;
    const stance = poses.carried(poses.named(poses.table.stance[one.air ? "air" : "ground"]), gear);
    this.windows = one.windows;
    this.smear = one.smear ?? "";
    this.air = Boolean(one.air);
    this.keys = [[0, stance, easeOut]];
    let before = 0;
    let beat = one.beats[0];
    let follow = stance;
    this.windows.forEach(([first, last], i) => {
      beat = one.beats[Math.min(i, one.beats.length - 1)];
      const ready = poses.pose(beat.ready, stance);
      const strike = poses.pose(beat.strike, stance);
      follow = beat.follow
        ? poses.pose(beat.follow, stance)
        : { ...strike, stretch: 1 + (strike.stretch - 1) * 0.5 };
      this.keys.push(
        [before + readyBy * (first - before), ready, easeOut],
        [Math.max(first - 1, before + 0.7), ready, easeOut],
        [first, strike, easeIn],
      );
      if (last > first) this.keys.push([last, follow, easeOut]);
      before = last;
    });
    const end = one.frames - 1;
    const { rest } = beat;
    const turned = rest && !("from" in rest) && "spin" in rest;
    const held = rest && !turned ? poses.pose(rest, stance) : follow;
    const back = rest && "spin" in rest ? { ...stance, spin: rest.spin } : stance;
    this.keys.push([before + heldFor * (end - before), held, easeOut], [end, back, ease]);
  }

  at(frame) {
    const { keys } = this;
    let i = 0;
    while (i < keys.length - 2 && frame >= keys[i + 1][0]) i++;
    const [start, a] = keys[i];
    const [end, b, eased] = keys[i + 1];
    return blend(a, b, eased(clamp((frame - start) / Math.max(end - start, 1e-6), 0, 1)));
  }

  starting(frame) {
    return frame < this.windows[0][0];
  }
}

/** Poses of one figure table. */
export class Poses {
  constructor(table) {
    this.table = table;
    this.names = new Map();
    this.lines = new Map();
  }

  named(name) {
    if (!this.names.has(name)) this.names.set(name, this.pose(this.table.poses[name]));
    return this.names.get(name);
  }

  /** A pose as all its numbers; what it does not name comes from its `from`, or from `base`. */
  pose(spec, base = null) {
    if (typeof spec === "string") return this.named(spec);
    const start = spec.from ? this.named(spec.from) : (base ?? flat(this.table.defaults));
    const out = { ...start, ...flat(spec) };
    if (spec.swap) {
      for (const part of ["arm0", "arm1", "arm2", "leg0", "leg1", "leg2"]) {
        const near = out[`near_${part}`];
        out[`near_${part}`] = out[`far_${part}`];
        out[`far_${part}`] = near;
      }
    }
    return out;
  }

  carried(pose, gear) {
    const carry = this.table.poses[this.table.carry?.[gear]];
    if (!carry) return pose;
    const { near_arm, far_arm, weapon } = carry;
    return { ...pose, ...flat({ near_arm, far_arm, weapon, hold: 1 }) };
  }

  cycle(name, at) {
    const one = this.table.cycles[name];
    const keys = one.keys.map((key) => this.named(key));
    if (one.at) {
      let i = 0;
      while (i < one.at.length - 2 && at > one.at[i + 1]) i++;
      const share = clamp((at - one.at[i]) / (one.at[i + 1] - one.at[i]), 0, 1);
      return blend(keys[i], keys[i + 1], ease(share));
    }
    const place = modulo(at / one.period, 1) * keys.length;
    const i = Math.floor(place) % keys.length;
    const share = place - Math.floor(place);
    const even = one.by === "distance" ? share : ease(share);
    return blend(keys[i], keys[(i + 1) % keys.length], even, true);
  }

  /** A move along its frames; null if the table has no such move. */
  line(gear, move) {
    if (!this.table.moves?.[gear]?.[move]) return null;
    const key = `${gear} ${move}`;
    if (!this.lines.has(key)) this.lines.set(key, new Line(this, gear, move));
    return this.lines.get(key);
  }

  rule({ state }) {
    return this.table.states[state] ?? Object.values(this.table.states)[0];
  }

  /** The pose of an evaluated shape `figure` at a frame. */
  of(shape, since, frame) {
    let rule = this.rule(shape);
    if (rule.move) {
      const line = this.line(shape.gear, shape.move);
      if (line) return this.#struck(line, shape, frame);
      rule = rule.otherwise;
    }
    if (rule.since) return this.#hurt(rule, shape, since, frame);
    if (!shape.grounded && rule.air) rule = rule.air;
    let pose = this.#plain(rule, shape, frame);
    const { flip } = this.table;
    if (flip && shape.flip > 0 && !shape.grounded && !rule.bare) {
      const turned = flip.turn * ease(clamp((flip.frames - shape.flip) / flip.frames, 0, 1));
      const tucked = { ...this.named(flip.pose), spin: turned };
      const share = clamp((flip.frames - 1 - shape.flip) / (flip.frames - 1), 0, 1);
      pose = blend(tucked, { ...pose, spin: flip.turn }, easeIn(share));
    }
    if (!rule.bare) pose = this.carried(pose, shape.gear);
    return this.#overlaid(pose, shape, since);
  }

  /** The pose that comes in from the last pose and state before it. */
  settled(shape, before, state, pose) {
    const shares = this.table.timing.settle;
    if (state === shape.state) return pose;
    return blend(before, pose, shares[shape.age], true);
  }

  #struck(line, shape, frame) {
    let pose = line.at(shape.clock);
    if (shape.charge > 0 && line.starting(shape.clock)) {
      const shaken = (noise(frame) - 0.5) * 0.002 * shape.charge;
      const stretch = pose.stretch - 0.003 * shape.charge;
      pose = { ...pose, stretch, x: pose.x + shaken };
    }
    return !shape.grounded && pose.plant && !line.air ? { ...pose, plant: 0 } : pose;
  }

  #hurt(rule, shape, since, frame) {
    const [age, what] = since[rule.since] ?? [NEVER, -1];
    const low = (this.table.since?.[rule.since]?.low ?? []).includes(what);
    let pose;
    if (age < rule.frames) pose = this.named(rule.first[Number(low)]);
    else if (!shape.grounded || Math.hypot(shape.vx, shape.vy) > rule.fast) {
      const turn = rule.tumble.turn * (shape.vx * shape.side < 0 ? 1 : -1);
      pose = { ...this.named(rule.tumble.pose), spin: turn * (age - rule.frames) };
    } else pose = this.#plain(rule.stagger, shape, frame);
    return { ...pose, hold: 0, weapon: pose.near_arm1 + 20 };
  }

  #plain(rule, shape, frame) {
    if (rule.pose) {
      const turn = (rule.turn ?? 0) * shape.age;
      return turn ? { ...this.named(rule.pose), spin: turn } : this.named(rule.pose);
    }
    if (rule.by === "time") {
      return this.cycle(rule.cycle, frame + SEATS_APART * Number(shape.wears ?? 0));
    }
    const at = rule.by === "x" ? (shape.x * shape.side) / (shape.size ?? 1) : shape[rule.by];
    return this.cycle(rule.cycle, at);
  }

  #overlaid(pose, shape, since) {
    let out = pose;
    for (const over of this.table.overlays ?? []) {
      const age = since[over.since]?.[0] ?? NEVER;
      if (age >= over.frames || (over.grounded && !shape.grounded)) continue;
      const top = this.named(over.pose);
      const carried = over.grounded ? this.carried(top, shape.gear) : { ...top, hold: 0 };
      out = blend(carried, out, age ? ease(age / over.frames) : 0, true);
    }
    return out;
  }
}
