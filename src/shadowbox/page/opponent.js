/**
 * A policy in the browser: one step of a network, its view from its own seat, its reaction delay and
 * its repeated decisions, as in Python (play/policy_agent.py, play/agent.py).
 */
import { noise } from "./noise.js";

export class Opponent {
  /**
   * @param {any} about  description of the policy, from export/web.py
   * @param {(inputs: Record<string, any>) => Promise<Record<string, any>>} run  one step
   * @param {number} seat
   */
  constructor(about, run, seat) {
    this.about = about;
    this.run = run;
    this.seat = seat;
    this.delay = about.delay;
  }

  /** Begin a match. @param {number} seed */
  begin(seed) {
    this.seed = seed;
    this.number = 0;
    this.queue = [];
    this.memory = Object.fromEntries(
      this.about.memory.map(({ name, shape, type }) => {
        const size = shape.reduce((a, b) => a * b, 1);
        return [name, type === "int64" ? new Array(size).fill(0) : new Float32Array(size)];
      }),
    );
    this.held = null;
  }

  /**
   * Own controls of a frame, {key: values}.
   * @param {Record<string, any>} columns  of the frame, and the controls of the frame before
   */
  async act(columns) {
    const seen = this.#late(this.#view(columns));
    const { repeat, draws, first, late } = this.about;
    if (this.number % repeat === 0) {
      const found = await this.run({
        ...seen,
        ...(late ? { [late]: [this.delay] } : {}),
        ...Object.fromEntries(Object.entries(this.memory).map(([k, v]) => [`memory/${k}`, v])),
        // in single precision a number near 1 would become 1
        noise: noise(this.seed, this.number, this.seat, first, draws).map(
          (value) => Math.floor(value * 2 ** 24) * 2 ** -24,
        ),
        reset: [this.number === 0],
      });
      for (const name of Object.keys(this.memory)) this.memory[name] = found[`after/${name}`];
      this.held = Object.fromEntries(
        this.about.controls.map((key) => [key, Array.from(found[`press/${key}`], Number)]),
      );
    }
    this.number += 1;
    return this.held;
  }

  /** Columns from the own seat: its slots first, and seats that are named renamed. */
  #view(columns) {
    return Object.fromEntries(
      Object.entries(this.about.reads).map(([key, { per, seat: names }]) => {
        let values = Array.from(columns[key], Number);
        if (this.seat === 0) return [key, values];
        if (per) {
          const each = values.length / 2;
          values = [...values.slice(each), ...values.slice(0, each)];
        }
        if (names) values = values.map((value) => (value < 2 ? 1 - value : value));
        return [key, values];
      }),
    );
  }

  /** The view of `delay` frames ago, with the own controls of now if the policy knows its delay. */
  #late(view) {
    if (!this.delay) return view;
    if (this.queue.length === 0) this.queue = Array(this.delay).fill(view);
    this.queue.push(view);
    const seen = this.queue.shift();
    if (!this.about.late) return seen;
    const own = this.about.controls.map((key) => {
      const each = view[key].length / 2;
      return [key, [...view[key].slice(0, each), ...seen[key].slice(each)]];
    });
    return { ...seen, ...Object.fromEntries(own) };
  }
}
