/**
 * Effects of a scene as shapes, exactly as core/scenes/effects.py draws them: hits, knock-outs,
 * ribbons, hatching, and marks around figures.
 *
 * @typedef {import("./scene.js").Shape} Shape
 */
import { clamp, easeOut, noise } from "./pose.js";

export const IMPACT_FRAMES = 8;
export const BURST_FRAMES = 20;
export const SHAKE_FRAMES = 5;
export const SHAKE_MOST = 4; // pixels
const SHAKE_PER_DAMAGE = 0.16;
const RIBBON_LAYERS = 9;
const RAYS = 13;

const radians = (angle) => (angle * Math.PI) / 180;
const round = (angle, radius) => [radius * Math.cos(angle), radius * Math.sin(angle)];

/** Ring and ticks of a hit (behind the figures), or its spark (`over`); `t` is 0 to 1. */
export function impact(shape, t, seed, over) {
  const { size, fill } = shape;
  const count = 5 + Math.floor(shape.count + 0.5);
  const [tx, ty] = shape.toward;
  const ahead = (shape.ahead ?? 0) / (Math.hypot(tx - shape.x, ty - shape.y) || 1);
  const place = {
    x: shape.x + (tx - shape.x) * ahead,
    y: shape.y + (ty - shape.y) * ahead,
    tag: "ring",
  };
  if (over) {
    if (t >= 0.7) return [];
    const left = 1 - t / 0.7;
    return [
      star(place, size * 0.28 * left, size * 0.76 * left, count, seed, "ink"),
      star(place, size * 0.19 * left, size * 0.54 * left, count, seed, "paper"),
    ];
  }
  const ring = { shape: "circle", ...place, r: size * (0.62 + 0.38 * easeOut(t)), line: fill };
  Object.assign(ring, { width: size * 0.3 * (1 - t), alpha: (1 - t) ** 0.8 });
  const ticks = Array.from({ length: count }, (_, i) => {
    const angle = ((i + 0.5) * 2 * Math.PI) / count + seed;
    const near = size * (1.1 + 0.2 * easeOut(t));
    const end = near + size * 0.3 * (1 - t) * (0.6 + noise(i + 9));
    const points = [round(angle, near), round(angle, end)];
    const style = { line: "ink", width: size * 0.08, alpha: 1 - t };
    return { shape: "path", ...place, points, ...style };
  });
  return [ring, ...ticks];
}

function star(place, low, high, count, seed, fill) {
  const points = Array.from({ length: 2 * count }, (_, i) => {
    const radius = i % 2 ? low : high * (0.75 + 0.5 * noise(i * 3 + seed));
    return round(((i + seed * 3.7) * Math.PI) / count, radius);
  });
  return { shape: "polygon", ...place, points, fill };
}

/** Pixels by which a hit moves the picture, `age` frames after it. */
export function shake(shape, age) {
  if (!(age >= 0 && age < SHAKE_FRAMES)) return [0, 0];
  const power = shape.power ?? 0;
  const reach = Math.min(SHAKE_MOST, power * SHAKE_PER_DAMAGE) * (1 - age / SHAKE_FRAMES);
  return [reach * Math.cos(age * 9 + power), reach * Math.sin(age * 7)];
}

/** Rays of a knock-out, from the edge of `box` back into the stage; `t` is 0 to 1. */
export function burst(shape, t) {
  const [left, top, right, bottom] = shape.box;
  const { size, fill: color } = shape;
  let x = clamp(shape.x, left, right);
  let y = clamp(shape.y, top, bottom);
  const across = Math.min(Math.abs(shape.x - left), Math.abs(shape.x - right)) / (right - left);
  const upright = Math.min(Math.abs(shape.y - top), Math.abs(shape.y - bottom)) / (bottom - top);
  let into;
  if (across < upright) {
    into = x > (left + right) / 2 ? 180 : 0;
    x = into ? right : left;
  } else {
    into = y > (top + bottom) / 2 ? 90 : -90;
    y = into > 0 ? bottom : top;
  }
  const place = { x, y, tag: "burst" };
  const rays = Array.from({ length: RAYS }, (_, i) => {
    const spread = (i / (RAYS - 1) - 0.5) * 128;
    const angle = radians(into + spread);
    const reach = (3.9 - Math.abs(spread) / 34) * (0.7 + 0.5 * noise(i * 7));
    const long = size * reach * easeOut(Math.min(1, t * 2.2));
    const near = long * clamp((t - 0.25) * 1.5, 0, 1);
    const half = radians((i % 2 ? 5 : 9) * (1 - t * 0.6) * 0.5);
    const points = [
      [near, -0.4],
      [long, -1],
      [long * 1.06, 0],
      [long, 1],
      [near, 0.4],
    ].map(([r, w]) => [r * Math.cos(angle + w * half), -r * Math.sin(angle + w * half)]);
    const fill = i % 3 === 1 ? `${color}/paper/0.5` : color;
    return { shape: "polygon", ...place, points, fill, alpha: clamp(1.35 - t * 1.35, 0, 1) };
  });
  const ring = { r: size * (0.5 + 1.7 * easeOut(t)), line: "ink", width: size * 0.1 * (1 - t) };
  return [...rays, { shape: "circle", ...place, ...ring, alpha: 1 - t }];
}

/** A trail through places, newest first: tapering, and fainter with age. */
export function ribbon(places, width, fill) {
  let points = places;
  for (let turn = 0; turn < 3; turn++) {
    const old = points;
    points = old.map((point, n) =>
      n === 0 || n === old.length - 1
        ? point
        : [0, 1].map((i) => (old[n - 1][i] + 2 * point[i] + old[n + 1][i]) / 4),
    );
  }
  const upper = [];
  const lower = [];
  points.forEach(([x, y], n) => {
    const a = points[Math.max(0, n - 1)];
    const b = points[Math.min(points.length - 1, n + 1)];
    const half = (width * (1 - n / 13)) / (Math.hypot(b[0] - a[0], b[1] - a[1]) || 1);
    const [nx, ny] = [-(b[1] - a[1]) * half, (b[0] - a[0]) * half];
    upper.push([x + nx, y + ny]);
    lower.push([x - nx, y - ny]);
  });
  return Array.from({ length: RIBBON_LAYERS }, (_, layer) => {
    const end = Math.max(2, even((points.length * (RIBBON_LAYERS - layer)) / RIBBON_LAYERS));
    const ring = [...upper.slice(0, end), ...lower.slice(0, end).reverse()];
    return { shape: "polygon", x: 0, y: 0, points: ring, fill, alpha: 0.055, tag: "trail" };
  });
}

const even = (number) => Math.floor(number + 0.5);

/** Slanted lines inside a rectangle, `step` apart. */
export function hatch(shape) {
  const { x, y, step, line, width } = shape;
  const [w, h] = [shape.w - width, shape.h - width]; // round ends stay inside
  const lean = 0.7;
  const out = [];
  for (let k = 1; k < Math.ceil((w + lean * h) / step); k++) {
    let top = k * step;
    let low = 0;
    if (top > w) [low, top] = [(top - w) / lean, w];
    const deep = Math.min(h, low + top / lean);
    const points = [
      [top - w / 2, low - h / 2],
      [top - (deep - low) * lean - w / 2, deep - h / 2],
    ];
    out.push({ shape: "path", x, y, points, line, width, tag: "stage" });
  }
  return out;
}

/** The mark on the ground below a figure: the higher the figure, the smaller and fainter. */
export function shade({ x, y, size = 1, floors = [], fill }) {
  let floor = null;
  for (const one of floors) {
    if (one[0] - 0.2 * size < x && x < one[1] + 0.2 * size && one[2] > y)
      if (!floor || one[2] < floor[2]) floor = one;
  }
  if (!floor) return [];
  const [left, right, top] = floor;
  const near = clamp(1 - (top - y - 0.5 * size) / (5 * size), 0.15, 1);
  const [a, b] = [Math.max(left, x - 0.42 * near * size), Math.min(right, x + 0.42 * near * size)];
  if (b <= a) return [];
  const place = { x: (a + b) / 2, y: top + 0.035 * size, w: b - a, h: 0.11 * size };
  return [{ shape: "capsule", ...place, fill, alpha: 0.9 * near, tag: "shade" }];
}

/** Marks around a figure: a charge that fills, a shield of dashes, stars of a dazed one. */
export function marksAround(shape, frame, dazed) {
  const { x, y, size = 1, fill } = shape;
  const place = { x, y, tag: "figure" };
  const out = [];
  if (shape.charge > 0) {
    const turn = 2 * Math.PI * Math.min(1, shape.charge / 20);
    const style = { line: "gold", width: 0.07 * size, least: 2 };
    out.push({ ...arc(place, 0.82 * size, -Math.PI / 2, turn, 24), ...style });
  }
  if (shape.shield > 0) {
    const style = { line: fill, width: 0.035 * size, least: 1.2 };
    for (let i = 0; i < 16; i++)
      out.push({ ...arc(place, 0.86 * size, (i * Math.PI) / 8 + frame * 0.02, 0.22, 3), ...style });
  }
  for (let i = 0; dazed && i < 3; i++) {
    const turn = frame * 0.28 + i * 2.1;
    out.push({
      shape: "circle",
      x: x + Math.cos(turn) * 0.3 * size,
      y: y - 0.68 * size + Math.sin(turn) * 0.08 * size,
      r: 0.035 * size,
      least: 1.4,
      fill: "ink",
      tag: "figure",
    });
  }
  return out;
}

function arc(place, radius, start, turn, parts) {
  const points = Array.from({ length: parts + 1 }, (_, i) =>
    round(start + (turn * i) / parts, radius),
  );
  return { shape: "path", ...place, points };
}
