/** Plays matches of the newest checkpoint of a run on the run's page. */
import "./viewer.js";
import { Feed } from "./feed.js";
import { forfeits } from "./match_controls.js";
import { el, say } from "./parts.js";
import { LOST, startForm } from "./web.js";

const PAUSE = 3000; // ms between a match and the next one
const form = document.getElementById("watch");
const viewer = document.querySelector("#playing match-viewer");
const [newest, status] = ["newest", "match-status"].map((id) => document.getElementById(id));
const { opponent: choice, again } = form.elements;
const go = form.querySelector(".go");
let known = null; // what the server last said about checkpoint and opponents
let listed = "";
let feed = null;

/** Take what the server says about the newest checkpoint and its opponents. */
export function show(playing) {
  known = playing;
  if (!playing || playing.step === null) return;
  if (!go.textContent.endsWith("…")) go.disabled = false;
  const step = playing.step.toLocaleString("en");
  say(newest, `The checkpoint of step ${step}, the newest one, plays on this server now.`);
  const list = JSON.stringify(playing.opponents);
  if (list === listed || document.activeElement === choice) return; // an open list stays as it is
  listed = list;
  const chosen = choice.value;
  choice.replaceChildren(
    ...playing.opponents.map(([label, names]) =>
      el("optgroup", { label }, ...names.map(([value, name]) => el("option", { value }, name))),
    ),
  );
  const values = Array.from(choice.options, ({ value }) => value);
  if (values.includes(chosen)) choice.value = chosen;
}

let names = [];

startForm(form, request, ({ match }) => {
  viewer.hidden = false;
  say(status, "");
  feed = new Feed(viewer, match, handlers(match), names);
  window.__feed = feed; // for tests and for debugging in the console
});
go.disabled = true; // until the first checkpoint

function request({ opponent }) {
  const { text } = choice.selectedOptions[0];
  names = [`step ${known.step.toLocaleString("en")}`, text.replace(/^its /, "")];
  return { p0: known.agent, p1: opponent, world: known.world, stage: "", seed: null };
}

function handlers(match) {
  const page = () => el("a", { href: `/live/${match}` }, "The match has a page of its own.");
  return {
    state: ({ paused }) => status.replaceChildren(paused ? "Paused. " : "", page()),
    end({ result }) {
      status.replaceChildren(forfeits(result, names), page());
      if (again.checked) setTimeout(() => again.checked && form.requestSubmit(), PAUSE);
    },
    refused: ({ why }) => say(status, `${why}.`),
    lost: () => say(status, LOST),
  };
}
