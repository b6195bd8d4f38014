/** Plays several matches as one: the longest leads, and its playback bar is that of all. */

/**
 * @param {Iterable<any>} viewers  with their matches loaded
 * @returns {any} the viewer that leads
 */
export function lockstep(viewers) {
  const all = [...viewers];
  const seconds = (one) => one.last / one.hello.fps;
  const leader = all.reduce((longest, one) => (seconds(one) > seconds(longest) ? one : longest));
  leader.lead(all.filter((one) => one !== leader));
  // places of the pairs below each other, and of the bar below the last one (viewer.css)
  for (const [at, one] of all.entries())
    one.closest("figure").style.setProperty("--down", String(10 * Math.floor(at / 2)));
  if (all.length > 2) leader.bar.style.setProperty("--bar", String(5 * all.length + 6));
  return leader;
}
