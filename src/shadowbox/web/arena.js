/** Arena page: the form that starts a match, and the list of live matches, kept up to date. */
import { clock, el } from "./parts.js";
import { fetchJson, seedOf, startForm, versus } from "./web.js";

const INTERVAL = 2000; // ms

startForm(
  document.getElementById("start"),
  ({ p0, p1, world, stage, seed }) => ({
    ...{ p0, p1, world, stage: stage ?? "" },
    seed: seedOf(seed),
  }),
  ({ match }) => location.assign(`/live/${match}`),
);

const list = document.getElementById("matches");
let shown = "";

async function refresh() {
  if (!document.hidden) {
    const matches = await fetchJson("/live").catch(() => null);
    const text = JSON.stringify(matches);
    if (matches?.length && text !== shown) list.replaceChildren(table(matches));
    shown = text;
  }
  setTimeout(refresh, INTERVAL);
}

function table(matches) {
  const head = ["match", "players", "state", "seed", "viewers"].map((name, at) =>
    el("th", at > 2 ? { class: "number" } : {}, name),
  );
  const parts = [el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...matches.map(row))];
  return el("div", { class: "wide" }, el("table", {}, ...parts));
}

function row(match) {
  return el("tr", {},
    el("td", {}, el("a", { href: `/live/${match.match}` }, `#${match.match}`)),
    el("td", {}, ...versus(match.players)),
    el("td", {}, state(match)),
    el("td", { class: "number" }, String(match.seed)),
    el("td", { class: "number" }, String(match.pages)));
}

function state({ result, players, paused, frame, fps }) {
  if (!result) return `${paused ? "paused" : "live"} · ${clock(frame, fps)}`;
  const winner = result.winner === null ? "no winner" : `${players[result.winner]} wins`;
  return `${winner} · ${result.reason}`;
}

refresh();
