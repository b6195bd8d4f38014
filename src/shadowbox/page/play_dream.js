/**
 * Page of an exported dream: a person plays against a policy in a learned world, without a server.
 */
import { Dream, frameOf } from "./dream.js";
import { Bindings } from "./keys.js";
import { network, startRuntime } from "./network.js";
import { Opponent } from "./opponent.js";
import { packed } from "./pack.js";
import { button, el } from "./parts.js";
import { unpack } from "./unpack.js";

const LATE = 4; // frames behind the pace that are caught up; of more the rest is forgotten
const SEAT = 0; // of the person
const data = JSON.parse(document.getElementById("dream").textContent);
const viewer = document.querySelector("match-viewer");
const [prompt, status, reaction, again, touch] = ["prompt", "status", "reaction", "again", "touch"].map(
  (id) => document.getElementById(id),
);
const { hello, world, policy } = data;
const controls = hello.controls;
let held = [];
let dream, opponent, session;

const bindings = new Bindings(controls, (now) => {
  held = now;
  if (now.length && session && !session.begun) session.begin();
});
bindings.show([...document.querySelectorAll("[data-control]")]);
for (const control of controls) touch.append(touchKey(control));

/** A match: its pace, its pressed keys and its rows. */
class Session {
  constructor(seed) {
    this.seed = seed;
    this.begun = this.over = false;
    this.times = []; // ms of each frame of the dream, for tests
    opponent.delay = Number(reaction.value);
    dream.begin(seed);
    opponent.begin(seed);
    this.pressed = neutral();
    viewer.begin({ ...hello, worlds: [{ from: 0, spec: world.spec }] });
    viewer.append(0, packed(hello, { ...dream.columns, ...this.pressed }));
    prompt.textContent = "Press one of your keys to start.";
    status.textContent = `Seed ${seed}.`;
    bindings.listening = true;
  }

  begin() {
    this.begun = true;
    prompt.textContent = "";
    this.due = performance.now();
    requestAnimationFrame((now) => this.#run(now));
  }

  async #run() {
    const length = 1000 / hello.fps;
    const now = performance.now();
    if (now - this.due > LATE * length) this.due = now - LATE * length;
    while (session === this && !this.over && this.due <= now) {
      this.due += length;
      await this.turn();
    }
    if (!this.over && session === this) requestAnimationFrame((next) => this.#run(next));
  }

  /** One frame: both decide, the row is shown, the world goes on. */
  async turn() {
    const began = performance.now();
    const columns = dream.columns;
    const answer = await opponent.act({ ...columns, ...this.pressed });
    this.pressed = Object.fromEntries(
      controls.map((key) => [key, both(Number(held.includes(key)), answer[key][0])]),
    );
    const before = dream.frame.columns;
    const number = dream.number;
    await dream.step(this.pressed);
    viewer.append(number, packed(hello, { ...columns, ...this.pressed }));
    // the newest row shows the keys of the one before it, until its own are known
    this.over = dream.over;
    const shown = this.over ? neutral() : this.pressed;
    viewer.append(number + 1, packed(hello, { ...dream.columns, ...shown }));
    viewer.happened(dream.events(before));
    this.times.push(performance.now() - began);
    if (this.over) this.end();
  }

  end() {
    bindings.listening = false;
    const [winner] = world.winner ? dream.frame.columns[world.winner] : [2];
    viewer.end({ winner: winner < 2 ? winner : null, reason: "" });
    status.textContent = `The match is over. Seed ${this.seed}.`;
    again.querySelector("button").focus();
  }
}

function neutral() {
  return Object.fromEntries(controls.map((key) => [key, [0, 0]]));
}

function both(own, other) {
  return SEAT === 0 ? [own, other] : [other, own];
}

/** A key for fingers, which holds its control while it is touched. */
function touchKey(control) {
  const name = control.split("/")[1];
  const made = button(`hold ${name}`, name, () => {});
  const hold = (on) => (event) => {
    event.preventDefault();
    bindings.touch({ [control]: on });
  };
  made.addEventListener("pointerdown", hold(true));
  for (const end of ["pointerup", "pointercancel", "pointerleave"])
    made.addEventListener(end, hold(false));
  made.addEventListener("contextmenu", (event) => event.preventDefault());
  return made;
}

function start() {
  document.activeElement?.blur?.();
  const asked = new URLSearchParams(location.search).get("seed");
  session = new Session(/^\d{1,15}$/.test(asked ?? "") ? Number(asked) : random());
  window.__session = session; // for tests and for debugging in the console
}

function random() {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

/**
 * Draw recorded frames again, for tests: rows and controls, the memory before, seed and number of
 * the frame. Gives the drawn values by kind, and the memory.
 */
async function redraw(records) {
  const found = [];
  for (const { row, pressed, memory, seed, number } of records) {
    dream.seed = seed;
    dream.number = number;
    dream.frame = frameOf(dream.about, row);
    dream.memory = Object.fromEntries(
      Object.entries(memory).map(([name, values]) => [name, Float32Array.from(values)]),
    );
    await dream.step(pressed);
    const { reals, flags, choices } = dream.frame;
    found.push({
      reals: [...reals],
      flags: [...flags],
      choices: [...choices],
      memory: Object.fromEntries(Object.entries(dream.memory).map(([k, v]) => [k, [...v]])),
    });
  }
  return found;
}

async function load() {
  prompt.textContent = "Loading the world and the policy…";
  await startRuntime($ort, data.runtime);
  const starts = await unpack(world.starts);
  dream = new Dream({ ...hello, ...world }, await network($ort, world.step), $repair, starts);
  opponent = new Opponent(policy, await network($ort, policy.step), 1 - SEAT);
  window.__redraw = redraw;
  again.replaceChildren(button("New match", "New match", start));
  reaction.onchange = () => !session.begun && start();
  start();
}

load().catch((error) => {
  prompt.textContent = `The dream cannot run in this browser: ${error.message}`;
  throw error;
});
