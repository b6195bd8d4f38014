/** Builds the playback bar of a viewer: play, single frames, speed, clock, and what is drawn. */
import { button, el, icon } from "./parts.js";

/**
 * @param {any} viewer
 * @returns {{bar: HTMLElement, buttons: Record<string, HTMLElement>, clock: HTMLElement}}
 */
export function transport(viewer) {
  const buttons = {
    play: button("Play", icon("play"), () => (viewer.playing ? viewer.pause() : viewer.play())),
    back: button("A frame back", icon("back"), () => viewer.step(-1)),
    forward: button("A frame forward", icon("forward"), () => viewer.step(1)),
    speed: button("Speed 1×", "1×", () => viewer.faster(viewer.speed >= 4 ? -5 : 1)),
    live: button("Back to the live picture", "live", () => viewer.follow()),
    boxes: button("Hit boxes (h)", icon("boxes"), () => viewer.toggle("boxes")),
    trails: button("Trails (t)", icon("trails"), () => viewer.toggle("trails")),
    full: button("Full screen (f)", icon("full"), () => viewer.full()),
    help: button("Keys (?)", "?", () => viewer.help.showModal()),
  };
  buttons.live.classList.add("live");
  buttons.full.hidden = !document.fullscreenEnabled;
  const clock = el("span", { class: "clock" });
  const { play, back, forward, speed, live, boxes, trails, full, help } = buttons;
  const bar = el(
    "div",
    { class: "bar", role: "toolbar", "aria-label": "playback" },
    ...[play, back, forward, speed, clock, live],
    ...[el("span", { class: "gap" }), boxes, trails, full, help],
  );
  return { bar, buttons, clock };
}
