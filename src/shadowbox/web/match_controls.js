/**
 * Controls of a live match (pause, step, speed) for the page that started it; they act for all
 * viewers.
 */

/**
 * Show the controls and connect them to the match of a feed.
 * @param {import("./feed.js").Feed} feed
 * @returns {{show: (state: {paused: boolean, speed: number}) => void, done: () => void}}
 */
export function matchControls(feed) {
  const bar = document.querySelector(".match-controls");
  const [pause, step] = ["pause", "step"].map((id) => document.getElementById(id));
  const speed = bar.querySelector("select");
  let paused = false;
  // assigned, not added: a second match on the page replaces the handlers of the first
  pause.onclick = () => feed.send("pause", { on: !paused });
  step.onclick = () => feed.send("step", { frames: 1 });
  speed.onchange = () => feed.send("speed", { times: Number(speed.value) });
  bar.hidden = false;
  return {
    show(state) {
      paused = state.paused;
      pause.textContent = paused ? "Resume" : "Pause";
      step.disabled = !paused;
      speed.value = String(state.speed);
    },
    done: () => (bar.hidden = true),
  };
}

/** Sentences on the players who forfeited, each with the reason; empty without a forfeit. */
export function forfeits({ forfeit = [] }, players) {
  return forfeit.map(({ player, reason }) => `${players[player]} forfeits: ${reason}. `).join("");
}
