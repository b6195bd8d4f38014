/** The Arena page: two agents to choose, and the list of live matches, which updates itself. */
import { clock, el } from "./parts.js";
import { ask, begins, seedOf, versus } from "./web.js";

const EVERY = 2000; // ms

begins(
  document.getElementById("start"),
  ({ p0, p1, stage, seed }) => ({ p0, p1, stage: stage ?? "", seed: seedOf(seed) }),
  ({ match }) => location.assign(`/live/${match}`),
);

const list = document.getElementById("matches");
let shown = "";

async function refresh() {
  if (!document.hidden) {
    const matches = await ask("/live").catch(() => null);
    const text = JSON.stringify(matches);
    if (matches?.length && text !== shown) list.replaceChildren(table(matches));
    shown = text;
  }
  setTimeout(refresh, EVERY);
}

function table(matches) {
  const head = ["match", "players", "state", "seed", "watching"].map((name, at) => el("th", at > 2 ? { class: "number" } : {}, name));
  return el("div", { class: "wide" }, el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...matches.map(line))));
}

function line(one) {
  return el("tr", {},
    el("td", {}, el("a", { href: `/live/${one.match}` }, `#${one.match}`)),
    el("td", {}, ...versus(one.players)),
    el("td", {}, state(one)),
    el("td", { class: "number" }, String(one.seed)),
    el("td", { class: "number" }, String(one.pages)));
}

function state({ result, players, paused, frame, fps }) {
  if (!result) return `${paused ? "paused" : "live"} · ${clock(frame, fps)}`;
  const who = result.winner === null ? "no winner" : `${players[result.winner]} won`;
  return `${who} · ${result.reason}`;
}

refresh();
