/**
 * Shows beside a match how its policies judge it, from their tracks: the value over the whole match,
 * the probability of each press, the attention to their latest decisions, and the guess of whom they
 * face. Beside a dream it shows how far its fields are from the recorded ones, and how far they would
 * be if nothing had changed.
 */
import { el, plain, say } from "./parts.js";

const POINTS = 400; // of a curve
const INSET = 8; // px, as in timeline.js, so that the playheads are above each other
const APART = 250; // ms between two paintings of the curves
const SOME = 60; // rows that are painted at once
const NAMES = 4; // guesses that are listed, the likeliest first

/**
 * Panels of the players with such tracks; without any the element is hidden.
 * @param {any} hello
 * @param {import("./rows.js").Rows} rows
 * @returns {{element: HTMLElement, show: (frame: number, last: number) => void}}
 */
export function mind(hello, rows) {
  const seats = hello.players.map((_, seat) => seat);
  const valued = seats.filter((seat) => has(hello, "value", seat));
  const element = el("section", { class: "mind", "aria-label": "what the policies think" });
  const parts = valued.length ? [curve(element, hello, rows, valued)] : [];
  const panels = el("div", { class: "panels" });
  for (const seat of seats) parts.push(...panel(panels, hello, rows, seat));
  if (panels.children.length) element.append(panels);
  element.hidden = !parts.length;
  return {
    element,
    show(frame, last) {
      if (rows.length) for (const part of parts) part(frame, last);
    },
  };
}

function has(hello, name, seat) {
  return (hello.tracks ?? []).some((one) => one.name === name && one.seat === seat);
}

/** Values of all frames as curves, and those of the shown frame in words. */
function curve(parent, hello, rows, seats) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const head = el("i", { class: "head" });
  const words = el("p", { class: "values" });
  parent.append(words, el("div", { class: "strip" }, canvas, head));
  let painted = { at: 0, last: -1, wide: 0 };
  return (frame, last) => {
    const values = seats.map((seat) => {
      const [value] = rows.track("value", seat, frame);
      const number = Number.isFinite(value) ? value.toFixed(2).replace("-", "\u2212") : "-";
      return `${hello.players[seat]} ${number}`;
    });
    say(words, `value, the return that a policy expects: ${values.join(", ")}`);
    head.style.setProperty("--at", String(last ? frame / last : 0));
    const now = performance.now();
    const resized = painted.wide !== canvas.clientWidth;
    const soon = last - painted.last < SOME && now - painted.at < APART; // while a match grows
    if (!resized && (painted.last === last || soon)) return;
    painted = { at: now, last, wide: canvas.clientWidth };
    draw(canvas, rows, seats, last);
  };
}

function draw(canvas, rows, seats, last) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  [canvas.width, canvas.height] = [width * ratio, height * ratio];
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const count = Math.min(POINTS, last + 1);
  const frames = Array.from({ length: count }, (_, at) => Math.floor((at * (last + 1)) / count));
  const curves = seats.map((seat) => frames.map((frame) => rows.track("value", seat, frame)[0]));
  const most = Math.max(0.1, ...curves.flat().filter(Number.isFinite).map(Math.abs));
  const style = getComputedStyle(canvas);
  const line = (color, points) => {
    pen.strokeStyle = style.getPropertyValue(color);
    pen.lineWidth = color === "--line" ? 1 : 1.5;
    pen.beginPath();
    let down = false;
    for (const [x, value] of points) {
      const y = height / 2 - (value / most) * (height / 2 - 4);
      if (down) pen.lineTo(x, y);
      else if (Number.isFinite(value)) pen.moveTo(x, y);
      down = Number.isFinite(value);
    }
    pen.stroke();
  };
  const x = (frame) => INSET + ((width - 2 * INSET) * frame) / Math.max(last, 1);
  line("--line", [[INSET, 0], [width - INSET, 0]]);
  for (const [at, seat] of seats.entries())
    line(`--p${seat + 1}`, curves[at].map((value, n) => [x(frames[n]), value]));
}

/** Probabilities, attention and guess of one player. */
function panel(parent, hello, rows, seat) {
  const name = hello.players[seat];
  const head = el("p", { class: "name", title: name }, name);
  const made = el("div", { class: `thoughts p${seat + 1}`, role: "group", "aria-label": name }, head);
  const updates = [];
  const odds = (hello.tracks ?? []).filter(
    (one) => one.seat === seat && /^(press|mean)\//.test(one.name),
  );
  if (odds.length) updates.push(decision(made, hello, rows, seat, odds));
  if (has(hello, "attention", seat)) updates.push(attention(made, hello, rows, seat));
  const names = (hello.tracks ?? [])
    .filter((one) => one.seat === seat && one.name.startsWith("guess/"))
    .map(({ name }) => name);
  if (names.length) updates.push(guess(made, rows, seat, names));
  const errors = (hello.tracks ?? []).filter(
    (one) => one.seat === seat && one.name.startsWith("error/"),
  );
  if (errors.length) updates.push(meter(made, rows, seat, errors));
  if (updates.length) parent.append(made);
  return updates;
}

/** The probability of each press and the expected position of each stick; what is held is marked. */
function decision(parent, hello, rows, seat, odds) {
  const lines = odds.map(({ name }) => {
    const [, kind, key, slot] = /^(press|mean)\/(.+?)(?:\[(\d+)\])?$/.exec(name);
    const column = hello.columns[key];
    const label = el("span", { class: "name" }, plain(key.split("/").pop() + (slot ? ` ${slot}` : "")));
    const [bar, number] = [el("span", { class: "track" }, el("i")), el("span", {})];
    const at = column ? (seat * column.slots) / hello.players.length + Number(slot ?? 0) : 0;
    const line = el("div", { class: "odd" }, label, bar, number);
    return { name, kind, key, column, at, label, bar, number, line };
  });
  const list = el("div", { class: "odds" }, ...lines.map(({ line }) => line));
  const sticks = lines.some(({ kind }) => kind === "mean") ? ", mean position of each stick" : "";
  parent.append(el("p", {}, `probability of each press${sticks}; what is held is marked`), list);
  return (frame) => {
    for (const { name, kind, key, column, at, label, bar, number } of lines) {
      const [value] = rows.track(name, seat, frame);
      const { low = -1, high = 1 } = kind === "mean" ? (column ?? {}) : { low: 0, high: 1 };
      const known = Number.isFinite(value);
      const share = known ? Math.max(0, Math.min(1, (value - low) / (high - low || 1))) : 0;
      bar.style.setProperty("--share", String(share));
      const words = kind === "press" ? `${Math.round(100 * value)} %` : value.toFixed(2);
      say(number, known ? words.replace("-", "\u2212") : "-");
      if (column?.kind === "flag") label.classList.toggle("down", rows.value(key, frame, at));
    }
  };
}

/** A bar for each decision that is attended to, the newest on the right. */
function attention(parent, hello, rows, seat) {
  const { shape } = hello.tracks.find((one) => one.name === "attention" && one.seat === seat);
  const bars = Array.from({ length: shape[0] }, () => el("i"));
  const label = `attention to the last ${shape[0]} decisions, the newest right`;
  const words = el("p", {}, label);
  parent.append(words, el("div", { class: "looks", "aria-hidden": "true" }, ...bars));
  return (frame) => {
    const weights = rows.track("attention", seat, frame);
    const most = Math.max(1e-6, ...weights.filter(Number.isFinite));
    const first = weights.indexOf(most);
    const share = `${Math.round(100 * most)} % ${first ? `to ${first} before it` : "to it"}`;
    say(words, first < 0 ? label : `${label}: ${share}`);
    for (const [at, bar] of bars.entries()) {
      const weight = weights[bars.length - 1 - at];
      bar.style.setProperty("--share", String(Number.isFinite(weight) ? weight / most : 0));
    }
  };
}

/** The likeliest opponents with their probabilities. */
function guess(parent, rows, seat, names) {
  const lines = names.slice(0, NAMES).map(() => {
    const [name, share] = [el("span", { class: "name" }), el("span", {})];
    const bar = el("span", { class: "track" }, el("i"));
    return { name, share, bar, line: el("div", { class: "guess" }, name, bar, share) };
  });
  parent.append(el("p", {}, "takes its opponent for"), ...lines.map(({ line }) => line));
  return (frame) => {
    const found = names.map((name) => [name.slice(6), rows.track(name, seat, frame)[0]]);
    found.sort(([, one], [, other]) => (other || 0) - (one || 0));
    for (const [at, { name, share, bar }] of lines.entries()) {
      const known = Number.isFinite(found[at][1]);
      say(name, known ? plain(found[at][0]) : "-");
      say(share, known ? `${Math.round(100 * found[at][1])} %` : "");
      bar.style.setProperty("--share", String(known ? found[at][1] : 0));
    }
  };
}

/** Error of each field against the recorded match, beside that of holding the first value. */
function meter(parent, rows, seat, errors) {
  parent.append(el("p", {}, "error, beside that if nothing had changed"));
  const lines = errors.map(({ name }) => {
    const [bar, words] = [el("span", { class: "track" }, el("i")), el("span", {})];
    const label = el("span", { class: "name" }, plain(name.slice(6)));
    parent.append(el("div", { class: "miss" }, label, bar, words));
    return { name, bar, words };
  });
  return (frame, last) => {
    for (const { name, bar, words } of lines) {
      const all = Array.from({ length: last + 1 }, (_, at) => rows.track(name, seat, at));
      const most = Math.max(1e-6, ...all.flatMap((pair) => [...pair]).filter(Number.isFinite));
      const [error, hold] = all[frame] ?? [Number.NaN, Number.NaN];
      bar.style.setProperty("--share", String(Number.isFinite(error) ? error / most : 0));
      say(words, `${error.toFixed(2)} (${hold.toFixed(2)})`);
    }
  };
}
