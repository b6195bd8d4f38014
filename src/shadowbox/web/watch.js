/** The page of one live match. */
import "./viewer.js";
import { Feed } from "./feed.js";
import { forfeits, lead } from "./lead.js";
import { el } from "./parts.js";

const number = Number(document.body.dataset.match);
const viewer = document.querySelector("match-viewer");
const told = document.getElementById("told");
let hello = null;
let leads = null;

const feed = new Feed(viewer, number, {
  hello(message) {
    hello = message;
    if (sessionStorage.getItem(`shadowbox.match.${number}`)) leads ??= lead(feed);
  },
  state(state) {
    leads?.show(state);
    const watching = state.pages === 1 ? "You alone watch." : `${state.pages} are watching.`;
    told.replaceChildren(`${state.paused ? "The match is paused. " : ""}${watching} Seed ${hello.seed}.`);
  },
  end({ result }) {
    leads?.done();
    const again = new URLSearchParams({ p0: hello.players[0], p1: hello.players[1], seed: hello.seed });
    const words = hello.person === null ? [" ", el("a", { href: `/?${again}` }, "Choose the next match")] : [];
    const numbers = document.querySelector(".column") ? [] : [" ", el("a", { href: location.pathname }, "What happened, in numbers")];
    told.replaceChildren(`${forfeits(result, hello.players)}The match is over. Seed ${hello.seed}.`, ...numbers, ...words);
  },
  saved: ({ where }) => told.append(` Stored: ${where}.`),
  lost: () => told.replaceChildren("The connection is lost. Is the server still running? Reload the page to try again."),
});
window.__feed = feed; // for those who test a page, or look into it
