/** The Play page: a match against an agent begins with the first key, and takes all keys until it ends. */
import "./viewer.js";
import { Feed } from "./feed.js";
import { Bindings } from "./keys.js";
import { forfeits, lead } from "./lead.js";
import { button, el } from "./parts.js";
import { begins, seedOf } from "./web.js";

const viewer = document.querySelector("match-viewer");
const ids = ["start", "stage", "table", "prompt", "again", "told", "gamepad"];
const [form, stage, table, prompt, again, told, gamepad] = ids.map((id) => document.getElementById(id));
let feed = null;
let begun = false;
let leads = null;

const bindings = new Bindings(document.body.dataset.controls.split(" "), (held) => {
  if (!begun && held.length) {
    begun = true;
    prompt.textContent = "";
    leads = lead(feed);
    feed.send("pause", { on: false });
  }
  feed.send("keys", { held });
});
bindings.show([...document.querySelectorAll("[data-control]")]);
bindings.seen = (name) => {
  gamepad.textContent = `Gamepad: ${name}`;
};
document.getElementById("defaults").addEventListener("click", () => bindings.reset());

begins(form, wish, ({ match }) => {
  begun = false;
  document.body.classList.add("playing");
  stage.hidden = table.hidden = false;
  again.replaceChildren();
  prompt.textContent = "Press any of your keys to begin.";
  document.activeElement?.blur?.();
  scrollTo(0, 0);
  sit(match);
});

function choose() {
  document.body.classList.remove("playing");
  stage.hidden = table.hidden = true;
}

/** The form's fields as what the server wants: the person's name stands in their seat. */
function wish({ name, seat, opponent, stage, seed }) {
  const [p0, p1] = seat === "1" ? [opponent, name] : [name, opponent];
  return { p0, p1, seat: Number(seat), stage: stage ?? "", seed: seedOf(seed) };
}

function sit(match) {
  feed = new Feed(viewer, match, {
    hello() {
      bindings.listening = true;
    },
    state(state) {
      leads?.show(state);
      told.textContent = state.paused && begun ? "Paused." : state.pages > 1 ? `${state.pages - 1} others watch.` : "";
    },
    end({ result }) {
      told.textContent = forfeits(result, viewer.hello.players);
      bindings.listening = false;
      leads?.done();
      again.replaceChildren(
        button("Play again", "Play again", () => form.requestSubmit()),
        button("Choose another opponent", "Choose another", choose),
      );
    },
    saved: ({ where }) => told.append(where.startsWith("not") ? where : "Stored as ", el("code", {}, where.startsWith("not") ? "" : where)),
    lost() {
      bindings.listening = false;
      prompt.textContent = "The connection is lost. Is the server still running?";
    },
  });
  window.__feed = feed; // for those who test a page, or look into it
}
