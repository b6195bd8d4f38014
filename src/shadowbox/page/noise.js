/**
 * Uniform numbers of a match: a function of seed, frame, player and draw alone, bit for bit that of
 * `noise` in core/game.py. Seeds and players are integers from 0 to 2^53.
 */
const STEP = 0x9e3779b97f4a7c15n;
const FIRST = 0xbf58476d1ce4e5b9n;
const SECOND = 0x94d049bb133111ebn;

/** Numbers in [0, 1) of the draws `first`, `first + 1`, ... */
export function noise(seed, frame, player, first, count = 1) {
  const begun = mixed(mixed(BigInt(seed), frame), player);
  return Array.from({ length: count }, (_, at) => {
    // both halves of the upper 53 bits, which a number holds exactly
    const bits = mixed(begun, first + at) >> 11n;
    return Number(bits) * 2 ** -53;
  });
}

function mixed(before, word) {
  let x = BigInt.asUintN(64, before + (BigInt(word) + 1n) * STEP);
  x = BigInt.asUintN(64, (x ^ (x >> 30n)) * FIRST);
  x = BigInt.asUintN(64, (x ^ (x >> 27n)) * SECOND);
  return x ^ (x >> 31n);
}
