/** Home page: plays the match above the doors, again and again, and paints the doors' pictures. */
import "./viewer.js";
import { joints, strokes } from "./figure.js";
import { PALETTES, paint, you } from "./paint.js";
import { Poses } from "./pose.js";
import { fetchJson } from "./web.js";

const AGAIN = 1500; // ms between the end of the match and its next beginning
const viewer = document.querySelector("match-viewer");
const hold = document.getElementById("hold");
const dark = matchMedia("(prefers-color-scheme: dark)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
let held = still.matches;

load();

/** Ask for the match until it has been played. */
async function load() {
  const match = await fetchJson("/home.json").catch(() => ({ state: "none" }));
  if (match.state === "preparing") {
    viewer.querySelector(".waiting")?.replaceChildren("Preparing a match: the simulator compiles.");
    setTimeout(load, 300);
  } else if (match.state === "failed")
    viewer.querySelector(".waiting")?.replaceChildren(match.error);
  else if (match.state === "none") document.querySelector(".hero").hidden = true;
  else show(match);
}

function show({ hello, rows, events, result }) {
  viewer.load(hello, Uint8Array.from(atob(rows), (one) => one.charCodeAt(0)), events, result);
  viewer.boxes = false;
  hold.hidden = false;
  hold.addEventListener("click", () => {
    held = !held;
    act();
  });
  act();
  setInterval(() => !held && !viewer.playing && !document.hidden && viewer.play(), AGAIN);
  const table = Object.values(hello.scene.figures ?? {})[0];
  if (!table) return;
  const doors = () => paintDoors(new Poses(table), table);
  for (const query of [dark]) query.addEventListener("change", doors);
  addEventListener("resize", doors);
  doors();
}

function act() {
  hold.textContent = held ? "Play" : "Pause";
  if (held) viewer.pause();
  else viewer.play();
}

/** A door's picture: what is behind it. */
function paintDoors(poses, table) {
  const blow = (gear, move) => {
    const line = poses.line(gear, move);
    return line.at(line.windows[0][0]);
  };
  const stand = poses.pose(poses.table.stance.ground);
  const run = (at) => poses.cycle("run", at);
  const pictures = [
    [
      { pose: stand, x: -0.8, fill: "p1", mark: true },
      { pose: blow("unarmed", "side_heavy"), x: 0.75, side: -1, fill: "p2", wears: 1 },
    ],
    [
      ...[0, 1, 2, 3].map((n) => ({ pose: run(n * 0.5), x: n * 0.45 - 1.2, fill: "p1", ghost: n })),
      { pose: poses.cycle("sprint", 0), x: 0.95, fill: "p1" },
    ],
    [
      { pose: blow("unarmed", "neutral_heavy"), x: -0.75, fill: "p1" },
      { pose: blow("unarmed", "neutral_heavy"), x: 0.75, fill: "p1", hollow: true },
    ],
  ];
  for (const canvas of document.querySelectorAll("canvas[data-door]"))
    picture(canvas, table, pictures[Number(canvas.dataset.door)] ?? []);
}

function picture(canvas, table, figures) {
  const ratio = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const floor = { shape: "path", x: 0, y: 0.56, points: [[-1.6, 0], [1.6, 0]] };
  const shapes = [{ ...floor, line: "ink", width: 0.05 }];
  const box = [-1.75, -1.25, 1.75, 0.75];
  for (const { pose, x, side = 1, fill, wears = 0, hollow, ghost, mark } of figures) {
    const shape = { x, y: 0, side, fill, wears, hollow, lag: [-0.26, 0.1] };
    const made = strokes(shape, table, joints(table, pose, 1, "unarmed"));
    const faint = ghost === undefined ? 0 : 0.82 - ghost * 0.13;
    for (const one of made)
      for (const name of ["fill", "line"])
        if (faint && one[name] && one[name] !== "paper") one[name] = `${fill}/paper/${faint}`;
    shapes.push(...made);
    if (mark) shapes.push(...you({ x, y: 0.1, fill }, Math.min(width / 3.5, height / 2)));
  }
  const palette = PALETTES[dark.matches ? "dark" : "light"];
  paint(canvas.getContext("2d"), shapes, box, palette, { ratio });
}
