/** Tables of the pages: sorted by a click on a heading, filtered by a word, and saved as CSV. */
import { saveCsv } from "./download.js";
import { button, el } from "./parts.js";

const FEWEST = 3; // rows of a table that can be sorted
const LONG = 8; // rows of a table that has a filter
const SPANS = { h: 3600, min: 60, s: 1 };

for (const table of document.querySelectorAll("main table")) {
  if (table.tBodies[0]?.rows.length >= FEWEST && table.tHead) equip(table);
}

function equip(table) {
  const body = table.tBodies[0];
  const all = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  for (const [at, head] of heads.entries()) {
    const name = head.textContent;
    if (!name) continue;
    const made = button(`sort by ${name}`, name, () => sort(body, heads, at));
    made.className = "sorts";
    const means = head.querySelector("dfn")?.title;
    if (means) [made.title, made.className] = [means, "sorts means"];
    head.replaceChildren(made);
  }
  const rows = () => [heads, ...[...body.rows].filter(({ hidden }) => !hidden).map(({ cells }) => [...cells])];
  const texts = () => rows().map((cells) => cells.map(({ textContent }) => textContent.trim()));
  const named = () => document.querySelector("h1")?.textContent ?? "table";
  const tools = el("div", { class: "table-tools" });
  if (all.length >= LONG) tools.append(filter(all));
  tools.append(button("save this table as CSV", "CSV", () => saveCsv(texts(), named())));
  (table.closest(".wide") ?? table).before(tools);
}

function filter(rows) {
  const input = el("input", { type: "search", placeholder: "Filter", "aria-label": "filter the rows" });
  const count = el("span", { class: "soft", role: "status" });
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const shown = rows.filter(({ hidden }) => !hidden).length;
    count.textContent = words.length ? `${shown} of ${rows.length}` : "";
  });
  const box = el("span", { class: "filter" }, input, count);
  return box;
}

/** Sort by a column; a second click turns the order around. */
function sort(body, heads, at) {
  const down = heads[at].getAttribute("aria-sort") === "ascending";
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[at].setAttribute("aria-sort", down ? "descending" : "ascending");
  const keyed = [...body.rows].map((row) => [key(row.cells[at]?.textContent.trim() ?? ""), row]);
  keyed.sort(([one], [other]) => (down ? -1 : 1) * compare(one, other));
  body.append(...keyed.map(([, row]) => row));
}

/** A number, a span of time in seconds, or the text itself. */
function key(text) {
  const spans = [...text.matchAll(/(\d+(?:\.\d+)?) (h|min|s)\b/g)];
  if (spans.length) return spans.reduce((sum, [, value, unit]) => sum + value * SPANS[unit], 0);
  const number = /^-?[\d,]*\.?\d+(e[-+]?\d+)?/i.exec(text);
  return number ? Number(number[0].replaceAll(",", "")) : text;
}

/** Numbers before texts, and what is empty or unknown last. */
function compare(one, other) {
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true });
}
