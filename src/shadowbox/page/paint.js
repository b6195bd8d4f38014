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
  },
  dark: {
    paper: "#14171A",
    ink: "#E8E6E1",
    line: "#2B3036",
    ground: "#23282D",
    p1: "#2F7FC1",
    p2: "#D9722E",
  },
};

/**
 * Paint shapes so that `box` of the world fits the canvas, centered where the proportions differ.
 * @param {CanvasRenderingContext2D} context
 * @param {Shape[]} shapes
 * @param {number[]} box  left, top, right, bottom
 * @param {Record<string, string>} palette
 */
export function paint(context, shapes, box, palette) {
  const { width, height } = context.canvas;
  const [left, top, right, bottom] = box;
  const scale = Math.min(width / (right - left), height / (bottom - top));
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = palette.paper;
  context.fillRect(0, 0, width, height);
  const x = (width - (right - left) * scale) / 2 - left * scale;
  const y = (height - (bottom - top) * scale) / 2 - top * scale;
  context.setTransform(scale, 0, 0, scale, x, y);
  context.lineJoin = "round";
  for (const shape of shapes) paintShape(context, shape, palette, 1 / scale);
  context.globalAlpha = 1;
}

/** Paint one shape, in units of the world; lines are at least `pixel` thick. */
function paintShape(context, shape, palette, pixel) {
  const alpha = Math.min(shape.alpha ?? 1, 1);
  if (!(alpha > 0)) return;
  context.globalAlpha = alpha;
  const fill = shape.fill && (palette[shape.fill] ?? shape.fill);
  const line = shape.line && (palette[shape.line] ?? shape.line);
  if (shape.shape === "text") {
    if (!fill) return;
    context.fillStyle = fill;
    context.font = `600 ${shape.size}px system-ui, sans-serif`;
    context.textAlign = shape.align ?? "center";
    context.textBaseline = "middle";
    context.fillText(words(shape.text), shape.x, shape.y);
    return;
  }
  context.beginPath();
  if (!outline(context, shape)) return;
  if (fill) {
    context.fillStyle = fill;
    context.fill();
  }
  if (line) {
    context.strokeStyle = line;
    context.lineWidth = Math.max(shape.width ?? 0.04, pixel);
    context.stroke();
  }
}

/** Trace the path of a shape. Return false if the shape is empty. */
function outline(context, { shape, x, y, w, h, r, points }) {
  if (shape === "polygon") {
    points.forEach(([dx, dy], i) => context[i ? "lineTo" : "moveTo"](x + dx, y + dy));
    context.closePath();
    return points.length > 1;
  }
  if (shape === "circle") {
    if (r > 0) context.arc(x, y, r, 0, 2 * Math.PI);
    return r > 0;
  }
  if (!(w > 0 && h > 0)) return false;
  if (shape === "rect") context.rect(x - w / 2, y - h / 2, w, h);
  else context.roundRect(x - w / 2, y - h / 2, w, h, Math.min(w, h) / 2);
  return true;
}

/** Text of a value; a number is rounded to two decimals. */
export function words(value) {
  return typeof value === "number" ? String(Math.round(value * 100) / 100) : String(value);
}
