/**
 * Paints shapes on a Canvas 2D, for any game. page/paint.py paints the same shapes with Pillow.
 *
 * @typedef {import("./scene.js").Shape} Shape
 */

export const PALETTES = {
  light: {
    paper: "#FAFAF7",
    ink: "#1C1F23",
    line: "#DEDCD5",
    ground: "#E9E6DC",
    p1: "#2F7FC1",
    p2: "#D9722E",
    shade: "#1C1F23",
    wood: "#8B6B43",
    steel: "#6F9C8C",
    iron: "#6B5F78",
    kill: "#C5362F",
    gold: "#B98200",
  },
  dark: {
    paper: "#14171A",
    ink: "#E8E6E1",
    line: "#2B3036",
    ground: "#23282D",
    p1: "#2F7FC1",
    p2: "#D9722E",
    shade: "#14171A",
    wood: "#A98A60",
    steel: "#8DB8A8",
    iron: "#9A8FA8",
    kill: "#E2635A",
    gold: "#E0A93A",
  },
};

/**
 * Paint shapes so that `box` of the world fits the canvas, centered where the proportions differ.
 * @param {CanvasRenderingContext2D} context
 * @param {Shape[]} shapes
 * @param {number[]} box  left, top, right, bottom
 * @param {Record<string, string>} palette
 * @param {{ratio?: number, shake?: number[]}} [how]  device pixels a pixel; pixels to move by
 */
export function paint(context, shapes, box, palette, { ratio = 1, shake = [0, 0] } = {}) {
  const { width, height } = context.canvas;
  const [left, top, right, bottom] = box;
  const scale = Math.min(width / (right - left), height / (bottom - top));
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 1;
  context.fillStyle = palette.paper;
  context.fillRect(0, 0, width, height);
  const x = (width - (right - left) * scale) / 2 - left * scale + shake[0] * ratio;
  const y = (height - (bottom - top) * scale) / 2 - top * scale + shake[1] * ratio;
  context.setTransform(scale, 0, 0, scale, x, y);
  context.lineJoin = context.lineCap = "round";
  const seen = [-x / scale, -y / scale, (width - x) / scale, (height - y) / scale];
  for (const shape of shapes) paintShape(context, shape, palette, ratio / scale, seen);
  context.globalAlpha = 1;
}

/** The CSS color of a palette's name, of "#rrggbb", or of "a/b/share" between two. */
export function mixed(name, palette) {
  const [first, second, share] = name.split("/");
  const a = palette[first] ?? first;
  if (!second) return a;
  const key = `${a} ${second} ${share} ${palette.paper}`;
  if (!MIXED.has(key)) {
    const b = palette[second] ?? second;
    const parts = [1, 3, 5].map((at) => {
      const [from, to] = [a, b].map((color) => parseInt(color.slice(at, at + 2), 16));
      return Math.floor(from + (to - from) * Number(share) + 0.5);
    });
    MIXED.set(key, `rgb(${parts.join(" ")})`);
  }
  return MIXED.get(key);
}

const MIXED = new Map();

/** Paint one shape, in units of the world, of which a pixel of the page is `pixel`. */
function paintShape(context, shape, palette, pixel, seen) {
  const alpha = Math.min(shape.alpha ?? 1, 1);
  if (!(alpha > 0) || 1 / pixel < (shape.from ?? 0)) return;
  context.globalAlpha = alpha;
  const fill = shape.fill && mixed(shape.fill, palette);
  const line = shape.line && mixed(shape.line, palette);
  if (shape.shape === "text") {
    if (!fill) return;
    context.fillStyle = fill;
    context.font = `600 ${shape.size}px system-ui, sans-serif`;
    context.textAlign = shape.align ?? "center";
    context.textBaseline = "middle";
    context.fillText(words(shape.text), shape.x, shape.y);
    return;
  }
  const rim = rimOf(shape, pixel);
  context.beginPath();
  if (shape.shape === "dots") dots(context, shape, pixel, seen);
  else if (!outline(context, shape, rim, pixel)) return;
  if (fill) {
    context.fillStyle = fill;
    context.fill();
    if (rim > 0 && shape.shape === "polygon") {
      context.strokeStyle = fill;
      context.lineWidth = 2 * rim;
      context.stroke();
    }
  }
  if (line) {
    context.strokeStyle = line;
    const least = (shape.least ?? 1) * pixel;
    context.lineWidth = Math.max(shape.width ?? 0.04, least) + 2 * rim;
    if (context.lineWidth > 0) context.stroke();
  }
}

/** By how much a shape is wider on each side; negative: narrower. */
function rimOf({ rim }, pixel) {
  if (!rim) return 0;
  return Math.sign(rim[0]) * Math.max(Math.abs(rim[0]), Math.abs(rim[1]) * pixel);
}

/** Trace the dots of a grid that can be seen. */
function dots(context, { x, y, w, h, r, step }, pixel, [left, top, right, bottom]) {
  const radius = Math.max(r, 0.9 * pixel);
  for (let i = 0; i <= Math.floor(w / step + 1e-9); i++) {
    const cx = x - w / 2 + i * step;
    if (cx < left - r || cx > right + r) continue;
    for (let j = 0; j <= Math.floor(h / step + 1e-9); j++) {
      const cy = y - h / 2 + j * step;
      if (cy < top - r || cy > bottom + r) continue;
      context.moveTo(cx + radius, cy);
      context.arc(cx, cy, radius, 0, 2 * Math.PI);
    }
  }
}

/** Trace the path of a shape. Return false if the shape is empty. */
function outline(context, { shape, x, y, w, h, r, least, points }, rim, pixel) {
  if (shape === "polygon" || shape === "path") {
    const traced = rim < 0 && shape === "polygon" ? shrunk(points, -rim) : points;
    traced.forEach(([dx, dy], i) => context[i ? "lineTo" : "moveTo"](x + dx, y + dy));
    if (shape === "polygon") context.closePath();
    return points.length > 1;
  }
  if (shape === "circle") {
    const radius = Math.max(r, (least ?? 0) * pixel) + rim;
    if (radius > 0) context.arc(x, y, radius, 0, 2 * Math.PI);
    return radius > 0;
  }
  if (!(w > 0 && h > 0)) return false;
  if (shape === "rect") context.rect(x - w / 2, y - h / 2, w, h);
  else context.roundRect(x - w / 2, y - h / 2, w, h, Math.min(w, h) / 2);
  return true;
}

/** Points moved towards their middle. */
function shrunk(points, by) {
  const middle = [0, 1].map((i) => points.reduce((sum, one) => sum + one[i], 0) / points.length);
  return points.map(([x, y]) => {
    const [dx, dy] = [x - middle[0], y - middle[1]];
    const share = Math.max(0, 1 - by / (Math.hypot(dx, dy) || 1));
    return [middle[0] + dx * share, middle[1] + dy * share];
  });
}

/** The mark YOU above a figure, of the same size at every zoom; `scale` is pixels a unit. */
export function you({ x, y, size = 1, fill }, scale) {
  const px = 1 / scale;
  const top = y - 1.02 * size - 12 * px;
  const line = { line: fill, width: 2 * px };
  const points = [
    [-5 * px, 10 * px],
    [5 * px, 10 * px],
    [0, 16 * px],
  ];
  return [
    { shape: "polygon", x, y: top, points, fill },
    { shape: "capsule", x, y: top, w: 42 * px, h: 20 * px, fill: "paper", ...line },
    { shape: "text", x, y: top + px, text: "YOU", size: 12 * px, fill: "ink" },
  ];
}

/** Text of a value; a number is rounded to two decimals. */
export function words(value) {
  return typeof value === "number" ? String(Math.round(value * 100) / 100) : String(value);
}
