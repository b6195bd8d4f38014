/** Draws the curves of a report over steps or over wall time. */
import { chart } from "./chart.js";
import { el, plain } from "./parts.js";

const figures = JSON.parse(document.getElementById("figures").textContent);
const spot = document.getElementById("curves");
const folded = el("details", {}, el("summary", {}, "Everything else that was measured"));
const charts = figures.map((figure) => ({ figure, view: chart(titleOf(figure), figure.means) }));
let axis = "step";

spot.replaceChildren(
  ...charts.filter(({ figure }) => !figure.folded).map(({ view }) => view.root),
  folded,
);
folded.append(...charts.filter(({ figure }) => figure.folded).map(({ view }) => view.root));
folded.hidden = folded.children.length === 1;

function titleOf({ name, words }) {
  return words ? `${plain(name)}: ${words}` : plain(name);
}

function draw() {
  for (const { figure, view } of charts) {
    const curves = figure.curves.map(({ name, ...curve }) => ({
      ...curve,
      name: plain(name),
      x: curve[axis],
    }));
    const marks = figure.marks.map((mark) => ({ ...mark, x: mark[axis] }));
    view.draw(curves, figure.summary, axis === "step" ? steps : seconds, {
      levels: figure.levels,
      marks,
    });
  }
}

function steps(x) {
  return `step ${Math.round(x).toLocaleString("en")}`;
}

function seconds(x) {
  return x < 120 ? `${Number(x.toFixed(1))} s` : `${(x / 60).toFixed(1)} min`;
}

for (const choice of document.querySelectorAll("[name=axis]")) {
  choice.addEventListener("change", () => {
    axis = choice.value;
    draw();
  });
}
draw();
