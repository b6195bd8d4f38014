/** Pause, single steps and speed of a live match, for the page that started it; everybody who watches sees the effect. */

/**
 * @param {import("./feed.js").Feed} feed
 * @returns {{show: (state: {paused: boolean, speed: number}) => void, done: () => void}}
 */
export function lead(feed) {
  const bar = document.querySelector(".lead");
  const [hold, step] = ["hold", "step"].map((id) => document.getElementById(id));
  const speed = bar.querySelector("select");
  let paused = false;
  hold.onclick = () => feed.send("pause", { on: !paused }); // of the one match that this page leads
  step.onclick = () => feed.send("step", { frames: 1 });
  speed.onchange = () => feed.send("speed", { times: Number(speed.value) });
  bar.hidden = false;
  return {
    show(state) {
      paused = state.paused;
      hold.textContent = paused ? "Go on" : "Pause";
      step.disabled = !paused;
      speed.value = String(state.speed);
    },
    done: () => (bar.hidden = true),
  };
}

/** Who lost by forfeit, and why, in words. */
export function forfeits({ forfeit = [] }, players) {
  return forfeit.map(({ player, reason }) => `${players[player]} forfeits: ${reason}. `).join("");
}
