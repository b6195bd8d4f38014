/**
 * Defines the element `<match-viewer>`: a match of any game, live or from a file.
 *
 * A file:   viewer.load(hello, rows, events, result)
 * Live:     viewer.begin(hello), then viewer.append(first, rows) and viewer.happened(events) as
 *           they come, then viewer.end(result)
 *
 * Rows are packed bytes; `hello` describes them (page/match_page.py builds it). A live match is
 * shown a few frames behind the newest row, so that a late row does not show; scrubbing back stops
 * following until "live" is pressed.
 * With the attribute keys="page" the viewer listens to the keys of the whole page, otherwise to
 * those pressed inside it. One viewer may lead others (lockstep.js): they show the moment it shows.
 */
import { helpList, sentence, verdict } from "./captions.js";
import { mind } from "./mind.js";
import { Film } from "./motion.js";
import { PALETTES, paint, words, you } from "./paint.js";
import { pad } from "./pads.js";
import { button, clock, el, icon, plain, say } from "./parts.js";
import { Rows } from "./rows.js";
import { valueOf } from "./scene.js";
import { side } from "./side.js";
import { Timeline, curves } from "./timeline.js";
import { transport } from "./transport.js";

const SPEEDS = [0.125, 0.25, 0.5, 1, 2, 4, 8];
const BEHIND = 3; // frames that a live picture stays behind the newest row; attribute `behind`
const TOO_LATE = 2; // seconds behind the newest row at which the picture jumps to it
const CAPTION_FRAMES = 24; // frames for which the caption names an event

export class MatchViewer extends HTMLElement {
  leader = null; // the viewer that this one keeps up with
  others = []; // the viewers that keep up with this one

  connectedCallback() {
    window.__viewer = this; // for tests and for debugging
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.onKey = (event) => this.#key(event);
    this.group = this.closest(".lockstep") ?? this; // has the keys and the full screen
    const page = this.getAttribute("keys") === "page" || this.group.matches(".whole");
    this.keys = page ? document : this.group;
    this.keys.addEventListener("keydown", this.onKey);
    this.repaint = () => this.#resized();
    for (const query of [this.still, this.dark]) query.addEventListener("change", this.repaint);
    this.observer = new ResizeObserver(this.repaint);
    if (!this.hello)
      this.replaceChildren(el("p", { class: "waiting", role: "status" }, "Waiting for the match."));
  }

  disconnectedCallback() {
    this.keys.removeEventListener("keydown", this.onKey);
    for (const query of [this.still, this.dark]) query.removeEventListener("change", this.repaint);
    this.observer.disconnect();
    this.pause();
  }

  // ---- the match ----

  /** Show a whole match, paused at its first frame. */
  load(hello, rows, events = [], result = null) {
    this.begin(hello);
    this.live = this.following = false;
    this.append(0, rows);
    this.happened(events);
    this.end(result);
    this.pause();
    this.seek(0);
  }

  /** Begin to show a live match. */
  begin(hello) {
    this.pause();
    this.hello = hello;
    this.rows = new Rows(hello);
    this.events = new Map();
    this.film = new Film(hello.scene, this.rows, (frame) => this.events.get(frame) ?? []);
    this.live = this.following = true;
    this.ended = false;
    this.result = null;
    this.position = 0;
    this.speed = 1;
    this.boxes = true;
    this.trails = true;
    this.drawn = [];
    this.painted = 0;
    this.#build();
    this.play();
  }

  /** Add rows of a live match: the number of the first row, and their bytes. */
  append(first, bytes) {
    if (first < this.rows.length) this.film.forget();
    this.rows.put(first, bytes);
    if (this.drawn.length === 0) this.#draw();
    this.#grown();
  }

  /** Add events of a live match. */
  happened(events) {
    // values were f4 before they were text
    const exact = events.map((event) => ({ ...event, value: Math.fround(event.value) }));
    for (const event of exact)
      this.events.set(event.frame, [...(this.events.get(event.frame) ?? []), event]);
    this.film.noticed();
    this.timeline.add(exact);
    this.#grown();
  }

  /** End a live match. @param {{winner?: number | null, reason?: string} | null} result */
  end(result) {
    this.ended = true;
    this.result = result;
    this.#grown(true);
  }

  /** Name the worlds; a match may go on in another. @param {{from: number, spec: string}[]} list */
  set worlds(list) {
    this.places = list;
    if (this.drawn.length) this.#words();
  }

  /** Summary of the screen, for tests. */
  get state() {
    const { ended, following, playing, speed, boxes, trails } = this;
    return {
      frame: this.frame,
      length: this.rows?.length ?? 0,
      shapes: this.drawn?.length ?? 0,
      numbers: this.sides?.map((one) => one.numbers()) ?? [],
      skipped: this.rows?.skipped ?? 0,
      ...{ ended, following, playing, speed, boxes, trails },
    };
  }

  // ---- playback ----

  get frame() {
    return Math.floor(this.position);
  }

  get last() {
    return Math.max(this.rows.length - 1, 0);
  }

  /** Frames that a live picture stays behind: 0 for a player, some for a smooth picture. */
  get behind() {
    return Number(this.getAttribute("behind") ?? BEHIND);
  }

  get playing() {
    return (this.leader ?? this).ticking !== undefined;
  }

  /** Let other viewers of loaded matches show the moment that this one shows, second by second. */
  lead(others) {
    this.others = others;
    for (const one of others) {
      one.leader = this;
      one.bar.hidden = true;
    }
    this.#draw();
  }

  play() {
    if (this.leader) return this.leader.play();
    if (this.playing) return;
    if (this.ended && this.frame >= this.last) this.position = 0;
    this.then = performance.now();
    this.ticking = requestAnimationFrame((now) => this.#tick(now));
    this.#draw();
  }

  pause() {
    if (this.leader) return this.leader.pause();
    if (!this.playing) return;
    cancelAnimationFrame(this.ticking);
    this.ticking = undefined;
    this.#draw();
  }

  /** Show a frame, and stop following a live match. */
  seek(frame) {
    if (this.leader) return this.leader.seek((frame * this.leader.hello.fps) / this.hello.fps);
    this.following = false;
    this.position = Math.max(0, Math.min(this.last, frame));
    this.#draw();
  }

  /** Go back to the newest row and follow it. */
  follow() {
    this.following = true;
    this.speed = 1;
    this.position = Math.max(0, this.last - this.behind);
    this.play();
  }

  #tick(now) {
    // `now` may be earlier than the call of play()
    const passed = Math.max(0, Math.min((now - this.then) / 1000, 0.5)) * this.hello.fps;
    this.then = now;
    this.ticking = requestAnimationFrame((next) => this.#tick(next));
    if (this.following && !this.ended) {
      const lag = this.last - this.position;
      if (lag > TOO_LATE * this.hello.fps) this.position = this.last - this.behind;
      else if (this.behind === 0) this.position = Math.max(this.position + passed, this.last - 0.5);
      else this.position += passed * Math.max(0, 1 + (lag - this.behind) / 10);
    } else this.position += passed * this.speed;
    this.position = Math.min(this.position, this.last);
    if (this.position >= this.last && (this.ended || !this.live)) this.pause();
    else this.#draw(false);
  }

  // ---- elements ----

  #build() {
    const { hello } = this;
    const players = hello.players.map((_, player) => player);
    this.sides = players.map((player) => side(hello, player));
    this.pads = players.map((player) => pad(hello, player));
    this.timeline = new Timeline(hello, (frame) => this.seek(frame));
    this.mind = mind(hello, this.rows);
    this.canvas = el("canvas", {
      role: "img",
      "aria-label": `${hello.players.join(" against ")}: the stage`,
    });
    this.caption = el("p", { class: "caption" });
    this.verdict = el("p", { class: "verdict", role: "status" });
    this.badge = el("p", { class: "dream" });
    this.place = el("code", {});
    this.places = hello.worlds ?? [{ from: 0, spec: hello.world }]; // older pages have one
    const corner = el("p", { class: "corner" }, this.place, ` ${words(hello.fps)} fps`);
    const over = [this.badge, corner, this.caption, this.verdict];
    const stage = el("div", { class: "stage" }, this.canvas, ...over);
    const pads = el("div", { class: "pads" }, ...this.pads.map((one) => one.element));
    const fold = button("Controllers", "Controllers", () => {
      fold.setAttribute("aria-expanded", String(pads.classList.toggle("open")));
    });
    fold.classList.add("fold");
    fold.setAttribute("aria-expanded", "false");
    this.help = helpList();
    Object.assign(this, transport(this));
    this.replaceChildren(
      el("div", { class: "sides" }, ...this.sides.map((one) => one.element)),
      ...[stage, fold, pads, this.timeline.element, this.bar, this.mind.element, this.help],
    );
    this.observer.disconnect();
    this.observer.observe(stage);
  }

  #key(event) {
    if (this.leader || !this.hello) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (this.help.open || event.target.closest?.("input, textarea, select")) return;
    if (event.key === " " && event.target.closest?.("button, summary, a")) return; // presses them
    const step = event.shiftKey ? Math.round(this.hello.fps) : 1;
    const act = {
      " ": () => (this.playing ? this.pause() : this.play()),
      ArrowLeft: () => this.step(-step),
      ArrowRight: () => this.step(step),
      Home: () => this.seek(0),
      End: () => this.seek(this.last),
      "[": () => this.faster(-1),
      "]": () => this.faster(1),
      h: () => this.toggle("boxes"),
      t: () => this.toggle("trails"),
      f: () => this.full(),
      "?": () => this.help.showModal(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  step(frames) {
    this.pause();
    this.seek(this.frame + frames);
  }

  faster(steps) {
    const at = SPEEDS.indexOf(this.speed) + steps;
    this.speed = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, at))];
    this.following = false;
    this.#draw();
  }

  toggle(what) {
    this[what] = !this[what];
    this.#draw();
  }

  full() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.group.requestFullscreen?.();
  }

  // ---- painting ----

  /** Repaint the timeline after new rows or events: at most twice a second unless `now`. */
  #grown(now = false) {
    if (!now && performance.now() - this.painted < 500) return;
    this.painted = performance.now();
    this.timeline.show(this.frame, this.last);
    this.timeline.paint(curves(this.hello, this.rows));
    if (now) this.#draw();
  }

  #resized() {
    if (!this.hello) return;
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = this.canvas.getBoundingClientRect();
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.timeline.paint();
    this.#draw();
  }

  /** Show the moment that the leader shows, or the last frame. */
  #keepUp(now) {
    const { position, boxes, trails, hello } = this.leader;
    Object.assign(this, { boxes, trails });
    this.position = Math.min(this.last, (position * this.hello.fps) / hello.fps);
    this.#draw(now);
  }

  /** Paint the stage at the present position; the texts follow when the frame is another. */
  #draw(now = true) {
    if (!this.rows?.length) return;
    for (const one of this.others) one.#keepUp(now);
    const { position, hello } = this;
    const moving = !this.still.matches;
    const at = moving || !this.playing ? position : this.frame;
    const shapes = this.film.shapes(at, { trails: this.trails && moving, rings: moving });
    this.drawn = shapes.filter((shape) => this.boxes || shape.tag !== "hitbox");
    const box = moving ? this.film.camera(at) : hello.scene.bounds;
    const palette = PALETTES[this.dark.matches ? "dark" : "light"];
    const ratio = window.devicePixelRatio || 1;
    const shake = moving && this.hasAttribute("shake") ? this.film.shake(at) : [0, 0];
    const context = this.canvas.getContext("2d");
    paint(context, [...this.drawn, ...this.#marks(at, box, ratio)], box, palette, { ratio, shake });
    if (!now && this.frame === this.shown) return;
    this.shown = this.frame;
    const columns = this.rows.at(this.frame);
    for (const part of [...this.sides, ...this.pads]) part.show(columns);
    this.timeline.show(this.frame, this.last);
    this.mind.show(this.frame, this.last);
    this.#words();
  }

  /** The mark above one's own figure: attribute you="SEAT". */
  #marks(at, box, ratio) {
    if (!this.hasAttribute("you")) return [];
    const seat = Number(this.getAttribute("you"));
    const { width, height } = this.canvas;
    const scale = Math.min(width / (box[2] - box[0]), height / (box[3] - box[1])) / ratio;
    return this.film.places(at).flatMap((figure) => (figure.slot === seat ? you(figure, scale) : []));
  }

  #words() {
    const { hello, frame, last, buttons } = this;
    const { spec } = this.places.findLast(({ from }) => from <= frame) ?? this.places[0];
    const { scene } = hello;
    const where = scene.where ? `${valueOf(scene, this.rows.at(frame), scene.where)} · ` : "";
    say(this.place, where + (spec || hello.game));
    say(this.badge, spec.startsWith("dream:") ? "DREAM" : "");
    say(this.clock, `${clock(frame, hello.fps)} / ${clock(last, hello.fps)}  frame ${frame}`);
    say(this.caption, this.#lastEvent(frame));
    say(
      this.verdict,
      this.ended && this.result && frame >= last ? verdict(this.result, hello.players) : "",
    );
    say(buttons.speed, `${String(this.speed).replace(/^0/, "")}×`);
    buttons.speed.ariaLabel = buttons.speed.title = `Speed ${buttons.speed.textContent}`;
    const label = this.playing ? "Pause" : "Play";
    if (buttons.play.title !== `${label} (space)`) {
      buttons.play.title = `${label} (space)`;
      buttons.play.setAttribute("aria-label", label);
      buttons.play.replaceChildren(icon(this.playing ? "pause" : "play"));
    }
    buttons.live.hidden = !this.live || this.following || this.ended;
    for (const name of ["boxes", "trails"])
      buttons[name].setAttribute("aria-pressed", String(this[name]));
  }

  /** Sentence about the latest event, of the kinds that the timeline shows; empty after a while. */
  #lastEvent(frame) {
    for (let at = frame; at > Math.max(frame - CAPTION_FRAMES, -1); at--) {
      const event = this.events
        .get(at)
        ?.findLast(({ kind }) => this.timeline.shown.has(this.hello.event_kinds[kind]));
      if (event) return sentence(event, this.hello);
    }
    return "";
  }
}

customElements.define("match-viewer", MatchViewer);
