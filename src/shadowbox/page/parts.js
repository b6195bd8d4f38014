/** Builds elements of a page from text, which is never read as markup. */

const ICONS = {
  play: "M8 5l11 7-11 7z",
  pause: "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z",
  back: "M17 6v12l-9-6zM5 6h2.5v12H5z",
  forward: "M7 6v12l9-6zM16.5 6H19v12h-2.5z",
  boxes: "M4 7h9v9H4zm1.8 1.8v5.4h5.4V8.8zM15.5 10H20v6h-4.5z",
  trails:
    "M3 12a1.5 1.5 0 103 0 1.5 1.5 0 10-3 0zM8 12a2.2 2.2 0 104.4 0 2.2 2.2 0 10-4.4 0zM14 12a3.5 3.5 0 107 0 3.5 3.5 0 10-7 0z",
  full: "M4 4h6v2H6v4H4zM14 4h6v6h-2V6h-4zM4 14h2v4h4v2H4zM18 14h2v6h-6v-2h4z",
};
const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with attributes and children; strings become text.
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The picture of a button. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button whose label is read by screen readers and shown as its tooltip. */
export function button(label, content, press) {
  const made = el("button", { type: "button", "aria-label": label, title: label }, content);
  made.addEventListener("click", press);
  return made;
}

/** Set the text of an element if it differs: most texts stay the same at 60 updates a second. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A name with spaces for underscores: `side_light` becomes "side light". */
export function plain(name) {
  return name.replaceAll("_", " ");
}

/** Frames as minutes and seconds. */
export function clock(frame, fps) {
  const tenths = Math.floor((10 * frame) / fps);
  const seconds = String(Math.floor(tenths / 10) % 60).padStart(2, "0");
  return `${Math.floor(tenths / 600)}:${seconds}.${tenths % 10}`;
}
