/**
 * Play page: a match of a person against an agent, which starts with the first key and takes all
 * keys until it ends.
 */
import "./viewer.js";
import { Feed } from "./feed.js";
import { Bindings } from "./keys.js";
import { aboutWorld, forfeits, matchControls, worldSwitch } from "./match_controls.js";
import { button, el } from "./parts.js";
import { LOST, seedOf, startForm } from "./web.js";

const viewer = document.querySelector("match-viewer");
const [form, stage, bar, prompt] = elements("start", "stage", "controls", "prompt");
const [again, status, gamepad] = elements("again", "status", "gamepad");
let feed = null;
let begun = false;
let controls = null;
let worlds = null;

const bindings = new Bindings(document.body.dataset.controls.split(" "), (held) => {
  if (!begun && held.length) {
    begun = true;
    prompt.textContent = "";
    controls = matchControls(feed);
    worlds = worldSwitch(feed, viewer.hello);
    feed.send("pause", { on: false });
  }
  feed.send("keys", { held });
});
bindings.show([...document.querySelectorAll("[data-control]")]);
bindings.seen = (name) => {
  gamepad.textContent = `Gamepad: ${name}`;
};
document.getElementById("defaults").addEventListener("click", () => bindings.reset());

startForm(form, request, ({ match }) => {
  begun = false;
  controls = worlds = null;
  document.body.classList.add("playing");
  stage.hidden = bar.hidden = false;
  again.replaceChildren();
  prompt.textContent = "Press one of your keys to start.";
  document.activeElement?.blur?.();
  scrollTo(0, 0);
  join(match);
});

function choose() {
  document.body.classList.remove("playing");
  stage.hidden = bar.hidden = true;
}

function elements(...ids) {
  return ids.map((id) => document.getElementById(id));
}

/** Fields of the form as a request for a match, with the name of the person in their seat. */
function request({ name, seat, opponent, world, stage, seed }) {
  const [p0, p1] = seat === "1" ? [opponent, name] : [name, opponent];
  return { p0, p1, seat: Number(seat), world, stage: stage ?? "", seed: seedOf(seed) };
}

function join(match) {
  feed = new Feed(viewer, match, {
    hello() {
      bindings.listening = true;
    },
    state(state) {
      controls?.show(state);
      worlds?.show(state);
      viewer.worlds = state.worlds;
      const others = state.pages - 1;
      const viewers = others > 0 ? `${others} other ${others === 1 ? "viewer" : "viewers"}.` : "";
      const more = state.paused && begun ? "Paused." : viewers;
      status.textContent = `${aboutWorld(state)}${more}`;
    },
    end({ result }) {
      status.textContent = forfeits(result, viewer.hello.players);
      bindings.listening = false;
      controls?.done();
      worlds?.done();
      again.replaceChildren(
        button("Play again", "Play again", () => form.requestSubmit()),
        button("Change opponent", "Change opponent", choose),
      );
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
      bindings.listening = false;
      prompt.textContent = LOST;
    },
  });
  window.__feed = feed; // for tests and for debugging in the console
}
