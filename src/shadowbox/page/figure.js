/**
 * Articulated figures as shapes, exactly as core/scenes/figure.py draws them: a pose becomes joints,
 * and joints become strokes.
 *
 * @typedef {import("./scene.js").Shape} Shape
 */
import { LIMBS, clamp } from "./pose.js";

const GAPS_FROM = 34; // pixels a unit: below, the gaps between near limbs close
const HALO = [0.05, 1.6]; // rims: units, least pixels
const GAP = [0.021, 0.6];
const HOLLOW = [-0.032, -1.1];
const SMEARED = 48;
const MOST_SMEARED = 4;

const radians = (angle) => (angle * Math.PI) / 180;
const along = (a, b, share) => [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share];

function step([x, y], angle, length) {
  const turn = radians(angle);
  return [x + Math.cos(turn) * length, y - Math.sin(turn) * length];
}

/** Places of a posed body's joints, in units around its center. */
export function joints(table, pose, grounded, gear) {
  const { bones } = table;
  const pelvis = [pose.x, pose.y];
  const neck = step(pelvis, pose.torso, bones.torso.length);
  const shoulder = step(pelvis, pose.torso, bones.torso.length * 0.9);
  const body = { pelvis, neck, head: step(neck, pose.head, bones.head.length) };
  for (const limb of LIMBS) {
    const bone = bones[limb];
    const near = limb.startsWith("near");
    const root = limb.endsWith("arm")
      ? [shoulder[0] + (near ? -0.035 : 0.045), shoulder[1] + 0.02]
      : [pelvis[0] + (near ? -0.025 : 0.03), pelvis[1]];
    const middle = step(root, pose[`${limb}0`], bone.lengths[0] * pose[`${limb}2`]);
    const end = step(middle, pose[`${limb}1`], bone.lengths[1] * pose[`${limb}2`]);
    body[limb] = [root, middle, end];
    if (bone.foot) body[limb].push(step(end, pose[`${limb}1`] + 88, bone.foot[0]));
  }
  const held = table.gear?.[gear];
  body.gear = held ? gearPoints(held, body.near_arm[2], pose.weapon) : [];
  const every = [pelvis, neck, body.head, ...LIMBS.flatMap((limb) => body[limb]), ...body.gear];
  turn(every, pelvis, neck, pose);
  if (grounded && pose.plant > 0) {
    const legs = [body.near_leg, body.far_leg];
    const low = Math.max(...legs.map((leg) => leg[2][1]), ...legs.map((leg) => leg.at(-1)[1] - 0.005));
    const drop = (table.floor - low - 0.055) * pose.plant * grounded;
    for (const point of every) point[1] += drop;
  }
  if (held && grounded && pose.plant > 0.5) aboveFloor(body, held, table.floor + 0.04);
  if (held && pose.hold > 0.5) reach(body, bones.far_arm.lengths[0] * pose.far_arm2 * 1.12);
  return Object.assign(body, { face: pose.head + pose.spin, stretch: pose.stretch, held });
}

/** Points of the gear: butt, tip, place of the far hand, both ends of its head. */
function gearPoints(gear, hand, angle) {
  const ends = gear.blade ?? gear.head;
  return [gear.butt, gear.tip, gear.hold, ends[0], ends[1]].map((n) => step(hand, angle, n));
}

function turn(points, hip, neck, pose) {
  const middle = along(hip, neck, 0.5);
  const [torso, spin] = [radians(pose.torso), radians(pose.spin)];
  const [ux, uy, cos, sin] = [Math.cos(torso), -Math.sin(torso), Math.cos(spin), -Math.sin(spin)];
  const thin = pose.stretch ** -0.6;
  for (const point of points) {
    const [dx, dy] = [point[0] - middle[0], point[1] - middle[1]];
    const [long, across] = [(dx * ux + dy * uy) * pose.stretch, (dy * ux - dx * uy) * thin];
    const [x, y] = [long * ux - across * uy, long * uy + across * ux];
    point[0] = middle[0] + x * cos - y * sin;
    point[1] = middle[1] + x * sin + y * cos;
  }
}

/** Turn the gear about the hand until neither its tip nor its butt is below the floor. */
function aboveFloor(body, gear, floor) {
  const hand = body.near_arm[2];
  const points = body.gear;
  for (const [end, thick] of [
    [points[4], gear.head ? gear.head[2] : 0.03],
    [points[0], 0.03],
  ]) {
    const [x, y] = [end[0] - hand[0], end[1] - hand[1]];
    const far = Math.hypot(x, y) || 1e-6;
    const slant = Math.atan2(thick, far);
    const lowest = Math.asin(clamp((floor - hand[1]) / Math.hypot(far, thick), -1, 1)) - slant;
    const angle = Math.atan2(y, Math.abs(x));
    if (angle <= lowest) continue;
    const back = (lowest - angle) * (x >= 0 ? 1 : -1);
    const [cos, sin] = [Math.cos(back), Math.sin(back)];
    for (const point of points) {
      const [dx, dy] = [point[0] - hand[0], point[1] - hand[1]];
      point[0] = hand[0] + dx * cos - dy * sin;
      point[1] = hand[1] + dx * sin + dy * cos;
    }
  }
}

/** The far hand on the shaft: two bones of one length and one triangle. */
function reach(body, length) {
  const root = body.far_arm[0];
  const [x, y] = [body.gear[2][0] - root[0], body.gear[2][1] - root[1]];
  const far = Math.min(Math.hypot(x, y), 2 * length - 0.002) || 0.01;
  const [base, bend] = [Math.atan2(y, x), Math.acos(far / (2 * length))];
  const elbow = base + bend;
  body.far_arm[1] = [root[0] + length * Math.cos(elbow), root[1] + length * Math.sin(elbow)];
  body.far_arm[2] = [root[0] + far * Math.cos(base), root[1] + far * Math.sin(base)];
}

/** Strokes of one figure, in units of the world. */
class Pen {
  constructor(shape, table, body) {
    Object.assign(this, { shape, bones: table.bones, body, out: [] });
    this.size = shape.size ?? 1;
  }

  points(points) {
    return points.map(([x, y]) => [this.shape.side * x * this.size, y * this.size]);
  }

  add(kind, color, rim, more) {
    const { x, y } = this.shape;
    const one = { shape: kind, x, y, tag: "figure", ...more };
    one[kind === "path" ? "line" : "fill"] = color;
    if (rim) one.rim = [rim[0] * this.size, rim[1]];
    if (rim === GAP) one.from = GAPS_FROM / this.size;
    this.out.push(one);
    return one;
  }

  path(points, width, least, color, rim) {
    this.add("path", color, rim, { points: this.points(points), width: width * this.size, least });
  }

  area(points, color, rim) {
    this.add("polygon", color, rim, { points: this.points(points) });
  }

  dot(point, radius, least, color, rim) {
    const [[x, y]] = this.points([point]);
    const one = this.add("circle", color, rim, { r: radius * this.size, least });
    one.x += x;
    one.y += y;
  }

  limb(name, color, rim) {
    const points = this.body[name];
    const bone = this.bones[name];
    this.path(points.slice(0, 2), bone.widths[0], 2.3, color, rim);
    this.path(points.slice(0, 3), bone.widths[1], 2.0, color, rim);
    if (bone.foot) this.path(points.slice(2, 4), bone.foot[1], 2.2, color, rim);
    else this.dot(points[2], bone.fist, 1.7, color, rim);
  }

  torso(color, rim) {
    const { pelvis, neck, stretch } = this.body;
    const thin = stretch ** -0.6;
    const [low, high] = this.bones.torso.width.map((width) => (width / 2) * thin);
    const up = Math.atan2(neck[1] - pelvis[1], neck[0] - pelvis[0]);
    const ring = [];
    for (const [center, radius, start] of [
      [pelvis, low, up + Math.PI / 2],
      [along(pelvis, neck, 0.86), high, up - Math.PI / 2],
    ]) {
      for (let i = 0; i < 9; i++) {
        const angle = start + (i * Math.PI) / 8;
        ring.push([center[0] + radius * Math.cos(angle), center[1] + radius * Math.sin(angle)]);
      }
    }
    this.area(ring, color, rim);
  }

  skull(color, rim) {
    this.dot(this.body.head, this.bones.head.radius, 3.4, color, rim);
  }

  onHead(x, y) {
    const face = radians(this.body.face);
    const [cos, sin] = [Math.cos(face), Math.sin(face)];
    const [hx, hy] = this.body.head;
    return [hx + sin * x + cos * y, hy + cos * x - sin * y];
  }

  /** What tells the figures apart without color: a ribbon that trails, or a crest. */
  worn(color, rim) {
    if (this.shape.wears) {
      this.area(
        CREST.map(([x, y]) => this.onHead(x, y)),
        color,
        rim,
      );
      return;
    }
    const lag = this.shape.lag ?? [-0.25, 0.06];
    const length = Math.hypot(...lag) || 1;
    const [nx, ny] = [-lag[1] / length, lag[0] / length];
    const knot = this.onHead(-this.bones.head.radius * 0.9, 0.045);
    for (const [apart, part] of [
      [0.05, 1],
      [-0.03, 0.72],
    ]) {
      const wave = 0.05 * Math.sin((this.shape.frame ?? 0) * 0.45 + part * 3);
      const [a, b] = [apart + wave, apart * 1.6 - wave];
      const middle = [
        knot[0] + lag[0] * 0.5 * part + nx * a,
        knot[1] + lag[1] * 0.5 * part + ny * a,
      ];
      const end = [knot[0] + lag[0] * part + nx * b, knot[1] + lag[1] * part + ny * b];
      this.path([knot, middle, end], 0.055, 1.3, color, rim);
    }
  }

  gear(shaft, metal, rim) {
    const { held: gear } = this.body;
    if (!gear) return;
    const [butt, tip, , a, b] = this.body.gear;
    this.path([butt, tip], gear.width, 1.4, shaft, rim);
    const long = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
    const half = (gear.blade ?? gear.head)[2];
    const [nx, ny] = [(-(b[1] - a[1]) / long) * half, ((b[0] - a[0]) / long) * half];
    const beside = ([x, y], sign) => [x + sign * nx, y + sign * ny];
    const m = along(a, b, 0.34);
    const blade = [a, beside(m, 1), b, beside(m, -1)];
    const block = [beside(a, 1), beside(b, 1), beside(b, -1), beside(a, -1)];
    this.area(gear.blade ? blade : block, metal, rim);
  }
}

const CREST = [
  [0.12, 0.11],
  [0.0, 0.305],
  [-0.035, 0.2],
  [-0.165, 0.27],
  [-0.155, 0.13],
  [-0.29, 0.12],
  [-0.17, -0.04],
  [-0.04, 0.0],
];

/** Shapes of a figure: halo, far limbs, trunk, head, near leg, gear, near arm and visor. */
export function strokes(shape, table, body) {
  const pen = new Pen(shape, table, body);
  const color = shape.fill;
  const far = `${color}/shade/0.39`;
  const paper = "paper";
  const [shaft, metal] = body.held?.colors ?? ["ink", "ink"];
  pen.limb("far_arm", paper, HALO);
  pen.limb("far_leg", paper, HALO);
  pen.worn(paper, HALO);
  pen.torso(paper, HALO);
  pen.skull(paper, HALO);
  pen.limb("near_leg", paper, HALO);
  pen.gear(paper, paper, HALO);
  pen.limb("near_arm", paper, HALO);
  pen.limb("far_arm", far);
  pen.limb("far_leg", far);
  pen.worn(far);
  pen.torso(paper, GAP);
  pen.torso(color);
  pen.limb("near_leg", color);
  pen.skull(paper, GAP);
  pen.skull(color);
  if (body.held) {
    pen.gear(paper, paper, GAP);
    pen.gear(shaft, metal);
    pen.dot(body.far_arm[2], table.bones.far_arm.fist, 1.7, far);
  }
  pen.limb("near_arm", paper, GAP);
  pen.limb("near_arm", color);
  pen.dot(body.near_arm[0], 0.062, 1.2, color);
  if (shape.hollow) {
    const pale = `paper/${color}/0.14`;
    for (const name of ["far_arm", "far_leg", "near_leg"]) pen.limb(name, pale, HOLLOW);
    pen.torso(pale, HOLLOW);
    pen.skull(pale, HOLLOW);
    pen.limb("near_arm", pale, HOLLOW);
  }
  const visor = [pen.onHead(0.045, 0.025), pen.onHead(0.115, 0.02)];
  pen.path(visor, 0.058, 1.5, shape.hollow ? color : paper);
  return pen.out;
}

/** The path of what hits over the last frames as a crescent; speed lines beside a thrust. */
export function smear(shape, poses, line, at, grounded) {
  const window = line.windows.findLast((one) => one[0] - 0.5 <= at && at <= one[1] + 2.5);
  if (!line.smear || !window) return [];
  const [first, last] = window;
  const { fill: color, gear } = shape;
  const body = (frame) => joints(poses.table, line.at(frame), grounded, gear);
  const pen = new Pen(shape, poses.table, {});
  if (line.smear === "thrust") thrust(pen, body(at), `${color}/paper/0.35`);
  else {
    const [start, end] = [Math.max(first - 0.82, at - MOST_SMEARED), Math.min(at, last)];
    const outer = [];
    const inner = [];
    for (let i = 0; i <= SMEARED; i++) {
      const share = i / SMEARED;
      const [far, near] = edge(line.smear, body(start + (end - start) * share));
      outer.push(far);
      inner.push(along(far, near, share));
    }
    pen.area([...outer, ...inner.reverse()], `${color}/paper/0.45`);
  }
  const alpha = 0.75 * clamp(1 - (at - last) / 3, 0, 1);
  return pen.out.map((one) => ({ ...one, alpha, tag: "smear" }));
}

function thrust(pen, body, color) {
  const hand = body.near_arm[2];
  const tip = body.gear[1];
  const long = Math.hypot(tip[0] - hand[0], tip[1] - hand[1]) || 1;
  const [nx, ny] = [-(tip[1] - hand[1]) / long, (tip[0] - hand[0]) / long];
  for (const [apart, a, b, width] of [
    [-0.13, 0.42, 0.84, 0.05],
    [0.12, 0.3, 0.74, 0.05],
    [0.22, 0.5, 0.66, 0.035],
    [-0.22, 0.2, 0.4, 0.035],
  ]) {
    const ends = [a, b].map((t) => {
      const [x, y] = along(hand, tip, t);
      return [x + nx * apart, y + ny * apart];
    });
    pen.path(ends, width, 1, color);
  }
}

/** What hits, and a point nearer to the body: the two edges of a smear. */
function edge(kind, body) {
  if (kind === "tip" && body.gear.length) {
    const [butt, tip] = body.gear;
    return [tip, along(butt, tip, body.held.head ? 0.5 : 0.82)];
  }
  if (kind === "near") return [body.near_arm[2], along(body.near_arm[0], body.near_arm[2], 0.72)];
  const share = kind === "near_foot" ? 0.7 : 0.62;
  return [body.near_leg.at(-1), along(body.near_leg[0], body.near_leg[2], share)];
}
