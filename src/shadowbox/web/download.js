/** Files that a page makes itself: rows as CSV, and a drawing as PNG. */

// properties that a copy of an SVG needs as attributes, since no style sheet reaches it
const INLINED = [
  "fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "fill-opacity", "font-family",
  "font-size", "font-weight",
];
const SHARP = 2; // pixels of the picture for one of the page

/** Let the browser save a blob under a name. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name.replaceAll(/[^\w.-]+/g, "-");
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** Rows of texts as CSV (RFC 4180). A text that a spreadsheet would run as a formula is quoted as text. */
export function csv(rows) {
  const number = /^-?[\d.,]+(e[-+]?\d+)?$/i;
  const cell = (value) => {
    const text = String(value ?? "");
    const safe = /^[=+@\t-]/.test(text) && !number.test(text) ? `'${text}` : text;
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return `${rows.map((row) => row.map(cell).join(",")).join("\n")}\n`;
}

export function saveCsv(rows, name) {
  save(new Blob([csv(rows)], { type: "text/csv" }), `${name}.csv`);
}

/** Save an SVG of the page as a PNG, in the colors that it has now. */
export async function savePng(svg, name) {
  const copy = svg.cloneNode(true);
  const [from, to] = [svg, copy].map((root) => [root, ...root.querySelectorAll("*")]);
  for (const [at, element] of from.entries()) {
    const style = getComputedStyle(element);
    for (const key of INLINED) to[at].setAttribute(key, style.getPropertyValue(key));
  }
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  const [width, height] = ["width", "height"].map((side) => Number(svg.getAttribute(side)));
  const picture = new Image(width, height);
  picture.src = `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  await picture.decode();
  const canvas = Object.assign(document.createElement("canvas"), {
    width: SHARP * width,
    height: SHARP * height,
  });
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(document.body).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => {
    canvas.toBlob(done, "image/png");
  });
  save(blob, `${name}.png`);
}
