/**
 * Fighters of a drawn frame who are on the ground where none is: they are in the air from then on.
 * `repairs` of games/brawl/figures/couplings.py, whose numbers are in TABLES.
 */
function $repair(columns) {
  const { blocks, slack, reach, body, platform, walking, air } = TABLES;
  const [grounded, carried] = ["grounded", "on_platform"].map((name) => columns[`player/${name}`]);
  const stage = Math.min(columns["match/stage"][0], blocks.length - 1);
  for (let player = 0; player < grounded.length; player++) {
    const x = columns["player/x"][player];
    const feet = Math.fround(columns["player/y"][player] + body);
    const onBlock = blocks[stage].some(
      ([left, right, top]) => x > left - reach && x < right + reach && Math.abs(feet - top) < slack,
    );
    const near = Math.abs(x - columns["platform/x"][0]) < platform.width + reach;
    const top = Math.fround(columns["platform/y"][0] - platform.height);
    const onPlatform = near && Math.abs(feet - top) < slack;
    const falls = grounded[player] && !(onBlock || onPlatform);
    if (carried[player] && !onPlatform) carried[player] = 0;
    if (!falls) continue;
    grounded[player] = 0;
    if (walking.includes(columns["player/state"][player])) {
      columns["player/state"][player] = air;
      columns["player/age"][player] = 0;
    }
  }
}
