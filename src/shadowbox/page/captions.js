/** Writes the texts of the viewer: sentences about events and results, and the list of keys. */
import { words } from "./paint.js";
import { button, el, plain } from "./parts.js";

const KEYS = [
  ["space", "play or pause"],
  ["← →", "a frame back or forward"],
  ["shift ← →", "a second back or forward"],
  ["home end", "the beginning or the end"],
  ["[ ]", "slower or faster"],
  ["h", "hit boxes"],
  ["t", "trails"],
  ["f", "full screen"],
  ["?", "this list"],
];

/** Sentence about an event: kind, players, detail and value. */
export function sentence({ kind, player, other, what, value }, hello) {
  const name = hello.event_kinds[kind];
  const whats = hello.event_whats[name];
  const who =
    other >= 0 ? `${hello.players[player]} – ${hello.players[other]}` : hello.players[player];
  const parts = [plain(name), who, whats && plain(whats[what] ?? ""), value ? words(value) : ""];
  return parts.filter(Boolean).join(" · ");
}

/** Sentence about the end of a match: the winner, and the reason. */
export function verdict({ winner, reason }, players) {
  const who = winner === null || winner === undefined ? "no winner" : `${players[winner]} wins`;
  return reason ? `${who} · ${plain(reason)}` : who;
}

/** Dialog that lists the keys of the viewer. */
export function helpList() {
  const rows = KEYS.flatMap(([key, what]) => [
    el("dt", {}, el("kbd", {}, key)),
    el("dd", {}, what),
  ]);
  const close = button("Close", "Close", () => list.close());
  const list = el("dialog", { "aria-label": "keys" }, el("dl", {}, ...rows), close);
  return list;
}
