/**
 * Play page: matches of a person against an agent, best of three. A match begins by itself or with the
 * first key, and takes all keys until it ends; P and Esc pause it. A policy may play the person's seat:
 * T takes it over and gives it back.
 */
import "./viewer.js";
import { showClone } from "./clone.js";
import { Feed } from "./feed.js";
import { Bindings } from "./keys.js";
import { aboutWorld, forfeits, matchControls, seatControls, worldSwitch } from "./match_controls.js";
import { keysOver, moments, panel, touchControls } from "./overlays.js";
import { el } from "./parts.js";
import { Sounds } from "./sounds.js";
import { LOST, fetchJson, seedOf, startForm } from "./web.js";

const WAIT = 3; // seconds until a match begins by itself
const NEEDED = 2; // wins of a best of three

const viewer = document.querySelector("match-viewer");
const [form, stage, bar, prompt] = elements("start", "stage", "controls", "prompt");
const [veil, touch, score, status, gamepad] = elements("veil", "touch", "score", "status", "gamepad");
const docs = new Map(
  [...document.querySelectorAll("[data-control]")].map((one) => [
    one.dataset.control,
    one.nextElementSibling.textContent,
  ]),
);
const sounds = new Sounds(document.getElementById("sound"));
let feed = null;
let begun = false;
let over = true;
let paused = true; // as the server last said: a match is made paused
let seat = 0;
let wins = [0, 0];
let controls = null;
let worlds = null;
let seats = null; // while a policy plays the person's seat, which the person may take over
let keys = null;
let waiting = 0;

const bindings = new Bindings(document.body.dataset.controls.split(" "), (held) => {
  if (held.length) begin();
  feed.send("keys", { held });
});
bindings.show([...document.querySelectorAll("[data-control]")]);
bindings.moved = (held) => keys?.show(held);
bindings.seen = (name) => {
  gamepad.textContent = `Gamepad: ${name}`;
};
document.getElementById("defaults").addEventListener("click", () => bindings.reset());
touchControls(touch, bindings, docs);
fetchJson("/home.json").catch(() => null); // the simulator compiles while the form is read

addEventListener("keydown", ({ key, code, repeat }) => {
  if (over || !begun || repeat || bindings.takes(code)) return;
  if (key === "Escape" || key.toLowerCase() === "p") pause(!paused);
});

for (const rival of document.querySelectorAll("[data-rival]")) {
  rival.addEventListener("click", () => {
    form.elements.opponent.value = rival.dataset.rival;
    form.elements.opponent.dispatchEvent(new Event("input"));
  });
}
form.elements.opponent.addEventListener("input", () => {
  wins = [0, 0];
  for (const one of document.querySelectorAll("[data-rival]"))
    one.setAttribute("aria-pressed", String(one.dataset.rival === form.elements.opponent.value));
});

let aboutClone = "";
showClone(document.getElementById("clone"), (spec, about) => {
  form.elements.opponent.value = spec;
  form.elements.opponent.dispatchEvent(new Event("input"));
  aboutClone = about;
  form.requestSubmit();
});

startForm(form, request, ({ match }) => {
  begun = over = false;
  paused = true;
  controls = worlds = null;
  seats?.done();
  seats = null;
  seat = Number(form.elements.seat.value);
  if (Math.max(...wins) >= NEEDED) wins = [0, 0];
  document.body.classList.add("playing");
  document.body.classList.remove("over");
  stage.hidden = bar.hidden = false;
  veil.hidden = true;
  viewer.setAttribute("you", String(seat));
  score.textContent = `Match ${wins[0] + wins[1] + 1} of 3 · ${wins.join(" : ")} `;
  prompt.textContent = "Preparing: the first frame comes as soon as the simulator is compiled.";
  document.activeElement?.blur?.();
  scrollTo(0, 0);
  sounds.begin();
  join(match);
});

/** Let the match begin: with the first key, or by itself. */
function begin() {
  if (begun || over) return;
  begun = true;
  clearTimeout(waiting);
  prompt.textContent = "";
  controls = matchControls(feed);
  worlds = worldSwitch(feed, viewer.hello);
  feed.send("pause", { on: false });
}

/** Let a policy play the person's seat, which T takes over and gives back. */
function watch(hello) {
  if (seats || over) return;
  const name = form.elements.name.value;
  seats = seatControls(feed, hello, { seat, name, keys: bindings });
  begin();
  prompt.textContent = `${hello.players[seat]} plays for you. T takes over its seat, and gives it back.`;
}

/** Count down once the first frame is there. */
function ready() {
  if (begun || over) return;
  if (!(viewer.rows?.length > 0)) {
    waiting = setTimeout(ready, 50);
    return;
  }
  const key = touchOnly() ? "touch" : "key";
  prompt.textContent = `Begins in ${WAIT} seconds, or with your first ${key}.`;
  waiting = setTimeout(begin, 1000 * WAIT);
}

const touchOnly = () => matchMedia("(pointer: coarse)").matches;

function pause(on) {
  feed.send("pause", { on });
}

function showPause() {
  const rival = form.elements.opponent.value;
  const lines = [
    "The match is paused: no player moves, no time runs.",
    `Against ${rival}. ${rivalNote()}`.trim(),
  ];
  panel(veil, "Paused", lines, [
    ["Go on (P)", () => pause(false)],
    ["Restart", () => form.requestSubmit()],
    ["Change opponent", choose],
  ]);
}

function rivalNote() {
  const rival = form.elements.opponent.value;
  return document.querySelector(`[data-rival="${CSS.escape(rival)}"]`)?.dataset.about ?? aboutClone;
}

function choose() {
  over = true;
  seats?.done();
  seats = null;
  bindings.listening = false;
  keys?.done();
  veil.hidden = true;
  document.body.classList.remove("playing", "over");
  stage.hidden = bar.hidden = true;
}

/** The screen after a match: who won, the three moments that decided it, and what comes next. */
function showEnd({ winner }) {
  over = true;
  if (winner !== null && winner !== undefined) wins[winner === seat ? 0 : 1] += 1;
  document.body.classList.add("over");
  const decided = Math.max(...wins) >= NEEDED;
  let title = "A draw";
  if (winner === seat) title = decided ? "You win the best of three" : "You win";
  else if (winner === 1 - seat) title = decided ? "You lose the best of three" : "You lose";
  score.textContent = `Best of three: ${wins.join(" : ")} `;
  const jump = (frame) => {
    veil.hidden = true;
    viewer.seek(frame);
    viewer.play();
  };
  const lines = [`Best of three: ${wins.join(" : ")}. What decided it:`];
  const buttons = [
    [decided ? "Rematch" : "Next match", () => form.requestSubmit()],
    ["Change opponent", choose],
    ["See the match", () => jump(0)],
  ];
  panel(veil, title, lines, buttons, [moments(viewer, jump)]);
}

function elements(...ids) {
  return ids.map((id) => document.getElementById(id));
}

/** Fields of the form as a request for a match, with the name of the person in their seat. */
function request({ name, seat: chosen, policy, opponent, world, stage: place, seed }) {
  const own = policy.trim() || name;
  const [p0, p1] = chosen === "1" ? [opponent, own] : [own, opponent];
  const person = policy.trim() ? {} : { seat: Number(chosen) };
  return { p0, p1, ...person, world, stage: place ?? "", seed: seedOf(seed) };
}

function join(match) {
  const current = new Feed(viewer, match, {
    hello(hello) {
      bindings.listening = hello.person !== null;
      keys?.done();
      keys = keysOver(stage, bindings, docs);
      clearTimeout(waiting);
      if (hello.person === null) watch(hello);
      else ready();
    },
    state(state) {
      if (feed !== current) return;
      controls?.show(state);
      worlds?.show(state);
      seats?.show(state);
      viewer.worlds = state.worlds;
      const others = state.pages - 1;
      const viewers = others > 0 ? `${others} other ${others === 1 ? "viewer" : "viewers"}.` : "";
      const more = state.paused && begun ? "Paused." : viewers;
      status.textContent = `${aboutWorld(state)}${more}`;
      if (begun && !over && state.paused !== paused) {
        paused = state.paused;
        if (paused) showPause();
        else veil.hidden = true;
      }
    },
    events({ events }) {
      if (begun) sounds.play(events, viewer.hello.event_kinds);
    },
    end({ result }) {
      if (feed !== current) return;
      status.textContent = forfeits(result, viewer.hello.players);
      bindings.listening = false;
      controls?.done();
      worlds?.done();
      seats?.done();
      seats = null;
      prompt.textContent = "";
      keys?.done();
      showEnd(result);
    },
    refused({ why }) {
      worlds?.refused();
      status.textContent = `${why}.`;
    },
    saved({ where }) {
      if (where.startsWith("not")) status.append(where);
      else status.append("Stored as ", el("code", {}, where));
    },
    lost() {
      if (feed !== current) return;
      bindings.listening = false;
      prompt.textContent = LOST;
    },
  });
  feed = current;
  window.__feed = feed; // for tests and for debugging in the console
}
