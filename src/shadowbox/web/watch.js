/** Page of a live match: the viewer, a status line, and controls for the page that started it. */
import "./viewer.js";
import { Feed } from "./feed.js";
import { aboutWorld, forfeits, matchControls, seatControls, worldSwitch } from "./match_controls.js";
import { el } from "./parts.js";
import { LOST } from "./web.js";

const number = Number(document.body.dataset.match);
const viewer = document.querySelector("match-viewer");
const status = document.getElementById("status");
let hello = null;
let controls = null;
let seats = null;
let worlds = null;

const feed = new Feed(viewer, number, {
  hello(message) {
    hello = message;
    if (!sessionStorage.getItem(`shadowbox.match.${number}`)) return;
    controls ??= matchControls(feed);
    worlds ??= worldSwitch(feed, hello);
    if (hello.playable && hello.person === null) seats ??= seatControls(feed, hello);
  },
  state(state) {
    controls?.show(state);
    seats?.show(state);
    worlds?.show(state);
    viewer.worlds = state.worlds;
    const viewers = state.pages === 1 ? "1 viewer." : `${state.pages} viewers.`;
    const about = `${aboutWorld(state)}${state.paused ? "Paused. " : ""}`;
    status.replaceChildren(`${about}${viewers} Seed ${hello.seed}.`);
  },
  end({ result }) {
    controls?.done();
    seats?.done();
    worlds?.done();
    const [p0, p1] = hello.players;
    const query = new URLSearchParams({ p0, p1, seed: hello.seed });
    const links = [];
    if (!document.querySelector(".column")) links.push([location.pathname, "Show the numbers"]);
    if (hello.person === null) links.push([`/arena?${query}`, "Start another match"]);
    status.replaceChildren(
      `${forfeits(result, hello.players)}The match is over. Seed ${hello.seed}.`,
      ...links.flatMap(([href, label]) => [" ", el("a", { href }, label)]),
    );
  },
  saved({ where }) {
    status.append(where.startsWith("not") ? ` ${where}.` : ` Stored as ${where}.`);
  },
  refused({ why }) {
    worlds?.refused();
    status.append(` ${why}.`);
  },
  lost: () => status.replaceChildren(LOST),
});
window.__feed = feed; // for tests and for debugging in the console
