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
  return leader;
}
