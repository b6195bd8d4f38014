/**
 * Controls of a live match (pause, step, speed, taking a seat) for the page that started it; they
 * act for all viewers.
 */
import { Bindings } from "./keys.js";
import { button, el, say } from "./parts.js";

/**
 * Show the controls and connect them to the match of a feed.
 * @param {import("./feed.js").Feed} feed
 * @returns {{show: (state: {paused: boolean, speed: number}) => void, done: () => void}}
 */
export function matchControls(feed) {
  const bar = document.querySelector(".match-controls");
  const [pause, step] = ["pause", "step"].map((id) => document.getElementById(id));
  const speed = bar.querySelector("select");
  let paused = false;
  // assigned, not added: a second match on the page replaces the handlers of the first
  pause.onclick = () => feed.send("pause", { on: !paused });
  step.onclick = () => feed.send("step", { frames: 1 });
  speed.onchange = () => feed.send("speed", { times: Number(speed.value) });
  bar.hidden = false;
  return {
    show(state) {
      paused = state.paused;
      pause.textContent = paused ? "Resume" : "Pause";
      step.disabled = !paused;
      speed.value = String(state.speed);
    },
    done: () => (bar.hidden = true),
  };
}

/**
 * Buttons that take over the seat of an agent, with the keys of the Play page, and give it back; T
 * does the same for the seat that was taken last.
 * @param {import("./feed.js").Feed} feed
 * @param {{players: string[], controls: string[]}} hello
 * @param {{seat?: number | null, name?: string, keys?: Bindings}} [of]  the only seat, the name of the
 *   person, and the page's own bindings
 * @returns {{show: (state: {holders: string[]}) => void, done: () => void}}
 */
export function seatControls(feed, hello, { seat: only = null, name = "", keys } = {}) {
  const bindings = keys ?? new Bindings(hello.controls, (held) => feed.send("keys", { held }));
  const first = hello.players.findIndex((spec) => spec.startsWith("policy:"));
  let mine = null; // the seat that this page holds
  let last = only ?? Math.max(first, 0);
  const toggle = (seat) => {
    document.activeElement?.blur?.(); // the space bar is a key of the game
    last = seat;
    if (mine === seat) feed.send("give", { seat });
    else feed.send("take", { seat, name });
  };
  const labels = hello.players.map((spec) => `Play as ${spec}`);
  const buttons = hello.players.map((spec, seat) =>
    button(`Play as ${spec} (key T)`, labels[seat], () => toggle(seat)),
  );
  const key = ({ code, repeat, target }) => {
    const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName);
    if (code === "KeyT" && !repeat && !typing && !bindings.takes(code)) toggle(mine ?? last);
  };
  addEventListener("keydown", key);
  document.querySelector(".match-controls").append(...buttons);
  return {
    show({ holders }) {
      const taken = holders.findIndex((holder, seat) => holder !== hello.players[seat]);
      mine = taken < 0 ? null : taken;
      bindings.listening = mine !== null;
      for (const [seat, made] of buttons.entries()) {
        made.hidden = (mine ?? only ?? seat) !== seat;
        say(made, mine === seat ? "Give the seat back" : labels[seat]);
        made.title = `${made.textContent} (key T)`;
        made.setAttribute("aria-label", made.title);
      }
    },
    done() {
      bindings.listening = false;
      removeEventListener("keydown", key);
      for (const made of buttons) made.remove();
    },
  };
}

/**
 * Switch between the game and its dream, each of which goes on from the present state.
 * @param {import("./feed.js").Feed} feed
 * @param {{sides: {game?: string, dream?: string}}} hello
 * @returns {{show: (state: {world: string}) => void, refused: () => void, done: () => void}}
 */
export function worldSwitch(feed, { sides }) {
  const names = Object.entries({ Game: sides.game, Dream: sides.dream }).filter(([, spec]) => spec);
  const buttons = new Map(
    names.map(([name, spec]) => [spec, button(`${name}: go on in ${spec}`, name, () => go(spec))]),
  );
  const group = el("div", { class: "worlds", role: "group", "aria-label": "world" });
  group.append(...buttons.values());
  document.querySelector(".match-controls").append(group);
  let present = "";
  const show = (wanted) => {
    for (const [spec, made] of buttons) {
      made.setAttribute("aria-pressed", String(spec === present));
      made.setAttribute("aria-busy", String(spec === wanted && wanted !== present));
    }
  };
  function go(spec) {
    document.activeElement?.blur?.(); // the space bar is a key of the game
    feed.send("world", { spec });
    show(spec); // busy while its model is loaded
  }
  return {
    show({ world }) {
      if (world !== present) show((present = world));
    },
    refused: () => show(present),
    done: () => group.remove(),
  };
}

/** Sentence on a world that is a dream; empty for the game itself. */
export function aboutWorld({ world }) {
  return world.startsWith("dream:") ? "A dream: a learned world draws every frame. " : "";
}

/** Sentences on the players who forfeited, each with the reason; empty without a forfeit. */
export function forfeits({ forfeit = [] }, players) {
  return forfeit.map(({ player, reason }) => `${players[player]} forfeits: ${reason}. `).join("");
}
