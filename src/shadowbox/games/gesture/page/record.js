/* Page of a recording: what to do now, the body, presses a minute; takes, and the calibration. */
import { drawBody } from "./body.js";
import { cameraPanel } from "./camera.js";

const make = (tag, options = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), options);
  node.append(...children);
  return node;
};
const words = (name) => name.replace("inv_", "click ").replace("move_", "walk ").replaceAll("_", " ");
const ORDERS = [ // order, words, key
  ["start", "Start a take", "r"], ["calibrate", "Calibrate", "c"],
  ["delete", "Delete the last take", "Backspace"], ["finish", "Finish", "q"],
];

const badge = make("span", { className: "badge" });
const where = make("span", { className: "soft" });
const now = make("div", { className: "now" });
const next = make("div", { className: "next soft" });
const bar = make("progress", { max: 1, value: 0, ariaLabel: "share of the prompt" });
const body = make("canvas", { width: 840, height: 600 });
const buttons = Object.fromEntries(ORDERS.map(([order, text, key]) => [order,
  make("button", { onclick: () => give(order), title: `key: ${key}` }, text)]));
const takes = make("p", { className: "soft" });
const presses = {};
const rates = make("tbody");
const result = make("section", { className: "result", hidden: true });
const problems = make("ul", { className: "problems" });
const side = make("aside", {}, make("div", { className: "orders" }, ...Object.values(buttons)), takes,
  make("table", { className: "presses" }, make("caption", {}, "Presses"),
    make("thead", {}, make("tr", {}, ...["", "count", "a minute"].map((text, at) =>
      make("th", { className: at ? "number" : "" }, text)))), rates));
document.body.append(
  make("header", {}, make("strong", {}, "Gesture: record"), badge, where),
  make("main", { className: "live" },
    make("div", { className: "stage" }, make("div", { className: "prompt" }, now, bar, next), body, result),
    side, problems));

let socket;
let [state, fresh, webcam, shown] = [null, false, null, null];
const send = (order) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ order }));
const isBusy = () => ["recording", "countdown"].includes(state?.phase);
const give = (order) => send(order === "start" && (isBusy() || state?.phase === "calibrating") ? "stop" : order);
addEventListener("keydown", (event) => {
  const order = ORDERS.find(([, , key]) => key === event.key)?.[0] ?? (event.key === " " ? "start" : null);
  if (!order || event.target.tagName === "BUTTON" && event.key === " ") return;
  event.preventDefault();
  give(order);
});

function connect() {
  socket = new WebSocket(`${location.origin.replace("http", "ws")}/live`);
  socket.onmessage = (event) => { [state, fresh] = [JSON.parse(event.data), true]; };
  socket.onclose = () => {
    state = null;
    mark("the recording has ended", "bad");
    setTimeout(connect, 1000);
  };
}

function mark(text, kind) {
  badge.textContent = text;
  badge.className = `badge ${kind}`;
}

// words of now, words of next, and a share from 0 to 1
function prompt() {
  const { phase, prompt: cue, calibration } = state;
  if (phase === "countdown") return [Math.ceil(state.countdown), "Step back until the whole body is in the picture", 0];
  if (phase === "recording" && !cue) return [state.labels === "game" ? "Play" : "Recording",
    state.labels === "game" ? "Keys and state come from the game" : "Landmarks alone, without keys", 0];
  if (phase === "recording") {
    const soon = cue.next ? `${cue.next} in ${cue.wait.toFixed(1)} s` : "the last one";
    return cue.now ? [cue.now, `then ${soon}`, cue.done] : ["Rest", soon, Math.max(0, 1 - cue.wait / 2.2)];
  }
  if (phase === "calibrating") {
    const { gesture, held, share, number, of } = calibration;
    return [gesture, held ? `hold it, ${number} of ${of}` : `get ready, ${number} of ${of}`, share];
  }
  return state.seen ? ["Ready", (calibrated(calibration?.result) || "Start a take, or calibrate first")
    + (state.labels === "prompts" ? `; a take has prompts for ${state.of.toFixed(0)} s` : ""), 0]
    : ["No person", state.camera ? "Start the camera, and step back until the hips are in the picture" : "The source shows no person yet", 0];
}

/** What a calibration found, in a few words; empty before one. The table below the person has the rest. */
function calibrated(result) {
  if (!result?.confused) return "";
  const alike = result.confused.map(({ gesture, with: other }) => `${gesture} looks like ${other}`);
  return alike.length ? `${alike.slice(0, 2).join(", ")}: calibrate again, or start a take` : "All gestures are clear: start a take";
}

function showPresses() {
  for (const [name, count] of Object.entries(state.presses)) {
    if (!presses[name]) {
      presses[name] = [make("td", { className: "number" }), make("td", { className: "number" })];
      rates.append(make("tr", {}, make("td", {}, words(name)), ...presses[name]));
    }
    presses[name][0].textContent = count;
    presses[name][1].textContent = state.minutes > 0.05 ? (count / state.minutes).toFixed(1) : "-";
  }
}

function showResult() {
  const found = state.calibration?.result;
  result.hidden = !found;
  if (!found || JSON.stringify(found) === shown) return;
  shown = JSON.stringify(found);
  const { confused = [], missing = [], shares = {}, clear } = found;
  const lines = confused.map((pair) => make("li", {},
    `${pair.gesture} looks like ${pair.with}: ${(100 * pair.share).toFixed(0)} % of its half seconds. Make one of the two larger.`));
  const table = make("table", {}, make("thead", {}, make("tr", {}, make("th", {}, "gesture"),
    make("th", { className: "number" }, "own, %"), make("th", {}, "also taken for"))),
  make("tbody", {}, ...Object.entries(shares).map(([name, all]) => make("tr", {}, make("td", {}, name),
    make("td", { className: "number" }, (100 * (all[name] ?? 0)).toFixed(0)),
    make("td", {}, Object.entries(all).filter(([other]) => other !== name)
      .map(([other, share]) => `${other} ${(100 * share).toFixed(0)} %`).join(", "))))));
  result.replaceChildren(
    make("h2", {}, "Calibration"),
    make("p", {}, make("span", { className: `badge ${confused.length ? "bad" : "good"}` },
      confused.length ? "confused" : "clear"), clear === undefined ? "" :
      ` ${(100 * clear).toFixed(0)} % of the half seconds are nearest to their own gesture. It is stored with the next takes.`),
    make("ul", {}, ...lines),
    ...(missing.length ? [make("p", { className: "soft" }, `Not seen: ${missing.join(", ")}.`)] : []),
    table);
}

function draw() {
  requestAnimationFrame(draw);
  if (!state || !fresh) return;
  fresh = false;
  if (state.camera && !webcam) side.prepend(webcam = cameraPanel(state.camera));
  const kinds = { recording: "bad", countdown: "", calibrating: "" };
  mark(state.phase === "recording" ? `recording ${state.seconds.toFixed(0)} s` : state.phase, kinds[state.phase] ?? "good");
  where.textContent = `${state.person} · ${state.fps.toFixed(0)} frames/s · ${state.store}`;
  const [large, small, share] = prompt();
  [now.textContent, next.textContent, bar.value] = [large, small, share];
  buttons.start.textContent = isBusy() ? "Stop the take" : state.phase === "calibrating" ? "Stop the calibration" : "Start a take";
  buttons.start.classList.toggle("panic", isBusy());
  buttons.calibrate.disabled = state.phase !== "ready" || !state.seen;
  buttons.delete.disabled = !state.deletable && state.phase !== "recording";
  const total = state.takes.reduce((sum, take) => sum + take.seconds, 0);
  takes.textContent = `${state.takes.length} take${state.takes.length === 1 ? "" : "s"}, ${total.toFixed(0)} s. ` +
    (state.deletable ? "The last one is stored when the next begins." : "");
  showPresses();
  showResult();
  problems.replaceChildren(...state.problems.map((text) => make("li", {}, text)));
  drawBody(body, state.body);
}

connect();
draw();
