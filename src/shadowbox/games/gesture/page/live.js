/* Page of the live loop: the place, the body, the keys, the times of each stage; panic and settings. */
import { drawBody } from "./body.js";
import { cameraPanel } from "./camera.js";
import { drawPlace } from "./place.js";

const GROUPS = [
  ["walk", ["move_forward", "move_backward", "strafe_left", "strafe_right", "sprint", "sneak"]],
  ["act", ["jump", "attack", "use_item", "drop_item", "swap_offhand", "open_inventory"]],
  ["screen", ["inv_left", "inv_right", "inv_shift_held"]],
];
const STAGES = { policy: "pose to answers", controller: "controller", sent: "pose to messages sent" };
const COUNTS = {
  frames: "frames", skipped: "skipped", refused: "refused", states: "states", sent: "messages",
  errors: "errors", connections: "connections",
};

const make = (tag, options = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), options);
  node.append(...children);
  return node;
};
const number = (value, digits = 1) => (value === null || value === undefined ? "-" : value.toFixed(digits));

const badge = make("span", { className: "badge" });
const where = make("span", { className: "soft" });
const task = make("span", { className: "task" });
const score = make("span", { className: "soft score" });
const match = make("a", { target: "_blank", className: "match", hidden: true }, "Open the match");
const stage = make("canvas", { width: 1280, height: 720 });
const body = make("canvas", { width: 560, height: 600 });
const look = make("canvas", { width: 120, height: 120, className: "look" });
const panic = make("button", { className: "panic" }, "Panic: release everything (space)");
const rows = {};
const table = (caption, names) => {
  const lines = names.map(([key, label]) => {
    rows[key] = [make("td", { className: "number" }), make("td", { className: "number" })];
    return make("tr", {}, make("td", {}, label), ...rows[key]);
  });
  return make("table", {}, make("caption", {}, caption), ...lines);
};
const keys = {};
const keyBoard = make("section", { className: "keys" });
for (const [label, names] of GROUPS) {
  const line = make("div", { className: "line" }, make("span", { className: "soft" }, label));
  for (const name of names) {
    keys[name] = make("kbd", {}, name.replace("inv_", "").replace("move_", "").replace("strafe_", "").replaceAll("_", " "));
    line.append(keys[name]);
  }
  keyBoard.append(line);
}
const settings = {};
const setting = (name, label, step) => {
  const value = make("output");
  const change = (by) => send({ set: name, by });
  settings[name] = value;
  return make("div", { className: "setting" }, make("span", {}, label),
    make("button", { onclick: () => change(-step), ariaLabel: `less ${label}` }, "−"), value,
    make("button", { onclick: () => change(step), ariaLabel: `more ${label}` }, "+"));
};
const problems = make("ul", { className: "problems" });

document.body.append(
  make("header", {}, make("strong", {}, "Gesture"), badge, where),
  make("main", { className: "live" },
    make("div", { className: "world" },
      make("div", { className: "above" }, task, score, match), stage, keyBoard),
    make("aside", {}, body,
      make("div", { className: "under" }, look, make("div", {},
        setting("threshold", "threshold", 0.05), setting("look", "look, deg/s", 20))),
      panic),
    make("div", { className: "figures" },
      table("Latency, ms: median, 99 %", [...Object.entries(STAGES), ["trip", "game and back"]]),
      table("At rest", [["rest", "seconds at rest"], ["triggers", "false triggers"], ["minute", "a minute"]]),
      table("Counts", Object.entries(COUNTS).map(([name, label]) => [`n_${name}`, label])),
      problems)),
);

let socket;
let state = null;
let fresh = false; // a state that is not drawn yet
let webcam = null;
const send = (order) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(order));
const togglePanic = () => send({ panic: !(state?.panic ?? false) });
panic.onclick = togglePanic;
addEventListener("keydown", (event) => {
  if (event.key === " " || event.key === "Escape") {
    event.preventDefault();
    togglePanic();
  }
});

function connect() {
  socket = new WebSocket(`${location.origin.replace("http", "ws")}/live`);
  socket.onmessage = (event) => { [state, fresh] = [JSON.parse(event.data), true]; };
  socket.onclose = () => {
    state = null;
    show("the loop has ended", "bad");
    setTimeout(connect, 1000);
  };
}

function show(text, kind) {
  badge.textContent = text;
  badge.className = `badge ${kind}`;
}

function drawLook(canvas, [yaw, pitch], cursor, screen) {
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.body);
  context.clearRect(0, 0, 120, 120);
  context.strokeStyle = style.getPropertyValue("--line");
  context.lineWidth = 2;
  context.strokeRect(10, 10, 100, 100);
  context.fillStyle = style.getPropertyValue("--p1");
  const [x, y] = screen ? cursor : [yaw / 180, pitch / 180];
  context.beginPath();
  context.arc(60 + 50 * x, 60 + 50 * y, 8, 0, 7);
  context.fill();
}

function fill(name, ...values) {
  values.forEach((value, at) => { rows[name][at].textContent = value; });
}

function draw() {
  requestAnimationFrame(draw);
  if (!state || !fresh) return;
  fresh = false;
  if (state.camera && !webcam) body.before(webcam = cameraPanel(state.camera));
  const stopped = state.alarms.length > 0;
  const finished = state.place?.done;
  if (stopped) show(`released: ${state.alarms.join(", ")}`, "bad");
  else show(finished ? "course finished" : "playing", "good");
  where.textContent = `${state.source} · ${number(state.fps, 0)} frames/s · ${state.url}`;
  panic.textContent = state.panic ? "Go on (space)" : "Panic: release everything (space)";
  panic.classList.toggle("on", state.panic);
  for (const [name, key] of Object.entries(keys)) key.classList.toggle("down", Boolean(state.keys[name]));
  for (const [name, key] of Object.entries(keys)) key.title = `${name}: pressed ${state.presses[name]} times`;
  for (const name of Object.keys(STAGES)) {
    const stage = state.latency[name];
    fill(name, number(stage?.p50), number(stage?.p99));
  }
  fill("trip", number(state.round_trip), "");
  fill("rest", number(state.rest.seconds), "");
  fill("triggers", state.rest.triggers, "");
  fill("minute", number(state.rest.a_minute), "");
  for (const name of Object.keys(COUNTS)) fill(`n_${name}`, state.counts[name], "");
  settings.threshold.textContent = number(state.settings.threshold, 2);
  settings.look.textContent = number(state.settings.look, 0);
  problems.replaceChildren(...[...state.problems, ...(state.calibration ? [state.calibration] : [])]
    .map((text) => make("li", {}, text)));
  drawLook(look, state.look, state.cursor, state.screen);
  drawBody(body, state.body);
  stage.hidden = !state.place;
  match.hidden = !state.match;
  if (state.match && match.href !== state.match) match.href = state.match;
  if (state.place) {
    const { results } = state.place;
    task.textContent = finished ? "Finished" : `Next: ${state.place.next}`;
    score.textContent = `${number(results.seconds)} s · ${results.tasks} of ${results.of} tasks · ` +
      `${results.blocks_hit} hits · ${results.wrong_turns} wrong turns · ${results.bumps} bumps`;
    drawPlace(stage, state.place);
  } else {
    task.textContent = state.alarms.length ? "" : state.match ? "Playing a match" : "Playing in the game";
  }
}

connect();
draw();
