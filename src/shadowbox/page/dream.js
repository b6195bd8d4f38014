/**
 * A learned world in the browser: every frame is one step of a network, drawn by the seed of the
 * match and the number of the frame alone, as in Python (play/dream/world.py).
 */
import { noise } from "./noise.js";
import { Rows } from "./rows.js";

/**
 * @typedef {object} Frame  state by kind, and views of it by column
 * @property {Float32Array} reals
 * @property {Uint8Array} flags
 * @property {Int32Array} choices
 * @property {Record<string, any>} columns
 */

export class Dream {
  /**
   * @param {any} about  description of the world, from export/web.py
   * @param {(inputs: Record<string, any>) => Promise<Record<string, any>>} run  one step
   * @param {(columns: Record<string, any>) => void} repair  puts right what cannot be in the game
   * @param {Uint8Array} starts  packed rows to begin from
   */
  constructor(about, run, repair, starts) {
    this.about = about;
    this.run = run;
    this.repair = repair;
    this.starts = new Rows(about);
    this.starts.put(0, starts);
  }

  /** Begin a match. @param {number} seed  an integer from 0 to 2^53 */
  begin(seed) {
    const { dreamer, start, memory, seeds } = this.about;
    const [drawn] = noise(seed, 0, dreamer, start);
    const row = this.starts.at(Math.floor(drawn * this.starts.length));
    this.seed = seed;
    this.number = 0; // of the frame
    this.frame = frameOf(this.about, row);
    const words = [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
    this.outside = { ...outsideOf(this.about, row) };
    seeds.forEach((key, at) => (this.outside[key] = [words[at]]));
    this.memory = Object.fromEntries(
      memory.map(({ name, shape }) => [name, new Float32Array(shape.reduce((a, b) => a * b, 1))]),
    );
  }

  /** Columns of the present frame, without controls. */
  get columns() {
    return { ...this.outside, ...this.frame.columns };
  }

  /** True if the match is over. */
  get over() {
    const { over, longest } = this.about;
    const ended = over.key && this.frame.columns[over.key].some((value) => value === over.value);
    return Boolean(ended) || this.number >= longest;
  }

  /** Draw the next frame. @param {Record<string, number[]>} controls  of both players */
  async step(controls) {
    const { dreamer, draws } = this.about;
    const { reals, flags, choices } = this.frame;
    const found = await this.run({
      reals,
      flags,
      choices,
      ...controls,
      ...Object.fromEntries(Object.entries(this.memory).map(([k, v]) => [`memory/${k}`, v])),
      noise: noise(this.seed, this.number, dreamer, 0, draws),
    });
    for (const name of Object.keys(this.memory)) this.memory[name] = found[`after/${name}`];
    this.frame = viewed(this.about, {
      reals: Float32Array.from(found["after/reals"]),
      flags: Uint8Array.from(found["after/flags"]),
      choices: Int32Array.from(found["after/choices"], Number),
    });
    this.repair(this.frame.columns);
    this.number += 1;
  }

  /** Events between two frames, as the viewer takes them: what rises, begins or ends. */
  events(before) {
    const after = this.frame.columns;
    return this.about.events.flatMap(({ kind, verb, key, value }) =>
      Array.from(after[key], (now, slot) => {
        const then = before[key][slot];
        const fires = {
          rises: now > then,
          falls: now < then,
          enters: now === value && then !== value,
          leaves: now !== value && then === value,
        }[verb];
        if (!fires) return null;
        const [player, other] = verb === "rises" ? [1 - slot, slot] : [slot, -1];
        const amount = verb === "rises" ? now - then : 0;
        return { frame: this.number, kind, player, other, what: -1, value: amount };
      }).filter(Boolean),
    );
  }
}

/** Frame of the columns of a decoded row. */
export function frameOf(about, row) {
  const { layout } = about;
  const flat = (kind, Kind) => Kind.from(Object.keys(layout[kind]).flatMap((key) => row[key]), Number);
  return viewed(about, {
    reals: flat("reals", Float32Array),
    flags: flat("flags", Uint8Array),
    choices: flat("choices", Int32Array),
  });
}

function viewed({ layout, columns: all }, frame) {
  const columns = {};
  for (const kind of ["reals", "flags", "choices"])
    for (const [key, at] of Object.entries(layout[kind]))
      columns[key] = frame[kind].subarray(at, at + all[key].slots);
  return { ...frame, columns };
}

function outsideOf({ outside }, row) {
  return Object.fromEntries(outside.map((key) => [key, row[key]]));
}
