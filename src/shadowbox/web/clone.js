/** The person's clone on the Play page: how many matches it needs, its training, and how alike it plays. */
import { el } from "./parts.js";
import { fetchJson } from "./web.js";

const SLOW = 5000; // milliseconds between looks while nothing happens
const FAST = 1000;

/**
 * Fill a section with the state of the clone, and keep it up to date.
 * @param {HTMLElement} section
 * @param {(spec: string, about: string) => void} choose  called with the clone as the opponent
 */
export function showClone(section, choose) {
  let shown = "";
  const look = async () => {
    let wait = SLOW;
    if (!document.body.classList.contains("playing")) {
      try {
        const state = await fetchJson("/clone.json");
        if (["training", "judging"].includes(state.state)) wait = FAST;
        const text = JSON.stringify(state);
        if (text !== shown) section.replaceChildren(...parts(state, choose, look));
        shown = text;
        section.hidden = false;
      } catch {
        section.hidden = true;
      }
    }
    clearTimeout(showClone.next);
    showClone.next = setTimeout(look, wait);
  };
  look();
}

/** Elements for a state of the server (web/front/clone.py). */
function parts(state, choose, look) {
  const title = el("b", {}, "Your clone");
  const found = [title];
  if (state.clone) found.push(...finished(state.clone, choose));
  if (state.state === "training") {
    const left = state.left_s === null ? "" : `, about ${Math.ceil(state.left_s)} s left`;
    found.push(
      el("progress", { value: String(state.share), max: "1", "aria-label": "training of your clone" }),
      el("span", {}, `Training: ${Math.round(100 * state.share)} %${left}.`),
    );
  } else if (state.state === "judging") {
    found.push(el("span", {}, "It plays some matches, to measure how alike it plays."));
  } else if (state.state === "failed") {
    found.push(el("span", { role: "alert" }, `It was not trained: ${state.why}.`), begin(look, "Try again"));
  } else if (state.matches < state.needed) {
    const more = state.needed - state.matches;
    const matches = more === 1 ? "one more match" : `${more} more matches`;
    found.push(el("span", {}, `Play ${matches}, and a policy can learn to play like you.`));
  } else if (state.matches > (state.clone?.matches ?? 0)) {
    const label = state.clone ? `Train again, from ${state.matches} matches` : "Train my clone";
    found.push(el("span", {}, `${state.matches} of your matches are stored.`), begin(look, label));
  }
  return found;
}

function finished({ spec, matches, likeness }, choose) {
  const { value, baselines } = likeness.likeness_auc;
  const about = `From ${matches} matches of yours. ${alike(value, baselines)}`;
  const fight = el("button", { type: "button", class: "fight" }, "Fight your clone");
  fight.addEventListener("click", () => choose(spec, about));
  return [fight, el("span", {}, about)];
}

/** How well a classifier distinguishes the clone and the person, in words. */
function alike(value, { real, others }) {
  if (value === null) return "How alike it plays is not known: the matches are too few.";
  const parts = [`clone and you ${value.toFixed(2)}`];
  if (real) parts.push(`you and you ${real.value.toFixed(2)}`);
  if (others) parts.push(`you and your opponents ${others.value.toFixed(2)}`);
  return `How well they can be distinguished (0.5 not at all, 1 always): ${parts.join(", ")}.`;
}

function begin(look, label) {
  const made = el("button", { type: "button" }, label);
  made.addEventListener("click", async () => {
    made.disabled = true;
    await fetchJson("/clone", {}).catch(() => null); // the next look says why it was refused
    look();
  });
  return made;
}
