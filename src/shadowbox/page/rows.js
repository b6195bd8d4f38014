/**
 * Decodes packed rows, as a store writes them and a live match sends them.
 * The hello of a match gives the offset in a row at which each column begins.
 *
 * @typedef {object} Column
 * @property {"real" | "flag" | "choice"} kind
 * @property {"f4" | "u4" | "f2" | "u2" | "u1" | "bit"} store
 * @property {number} offset  from the beginning of the row, in bytes; of flags in bits
 * @property {number} slots
 * @property {string[]} [names]  of a choice
 * @property {number} [low]
 * @property {number} [high]
 *
 * @typedef {Record<string, (number | boolean)[]>} Columns  one row: "group/field" to its slots
 *
 * @typedef {object} Track  a series of an agent; its values follow the row, track by track
 * @property {string} name
 * @property {number} seat
 * @property {"f4" | "u4" | "f2" | "u2" | "u1"} dtype
 * @property {number[]} shape  of the values in one row; empty: one number
 */

const FARTHEST = 1e6; // rows; no match is this long, so a larger number is an error
const KEPT = 128; // decoded rows

const READ = {
  f4: (view, at) => view.getFloat32(at, true),
  u4: (view, at) => view.getUint32(at, true),
  f2: (view, at) => half(view.getUint16(at, true)),
  u2: (view, at) => view.getUint16(at, true),
  u1: (view, at) => view.getUint8(at),
};

/**
 * A float16 from its bits: sign, five bits of exponent, ten of fraction.
 * @param {number} bits
 */
export function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The rows of one match, from its first frame on. */
export class Rows {
  /**
   * @param {{row_bytes: number, columns: Record<string, Column>, tracks?: Track[],
   *   track_bytes?: number}} hello
   */
  constructor(hello) {
    this.width = hello.row_bytes + (hello.track_bytes ?? 0);
    this.tracks = placed(hello.tracks ?? [], hello.row_bytes);
    this.columns = Object.entries(hello.columns);
    this.length = 0;
    this.skipped = 0; // rows that were never received; each repeats the last one before it
    this.bytes = new Uint8Array(0);
    this.decoded = new Map();
  }

  /**
   * Put rows at their place. Missing rows before them repeat the last row that was received.
   * @param {number} first  number of the first row
   * @param {Uint8Array} bytes
   */
  put(first, bytes) {
    const count = bytes.length / this.width;
    if (!Number.isInteger(count)) {
      throw new RangeError(
        `expected whole rows of ${this.width} bytes (got ${bytes.length} bytes)`,
      );
    }
    if (!Number.isInteger(first) || first < 0 || first + count > FARTHEST) {
      throw new RangeError(
        `the first row must be an integer from 0 to ${FARTHEST - count} (got ${first})`,
      );
    }
    this.#reserve((first + count) * this.width);
    for (let row = this.length; row < first && this.length > 0; row++) {
      this.bytes.copyWithin(
        row * this.width,
        (this.length - 1) * this.width,
        this.length * this.width,
      );
    }
    this.skipped += Math.max(0, first - this.length);
    this.bytes.set(bytes, first * this.width);
    this.length = Math.max(this.length, first + count);
    for (let row = first; row < first + count; row++) this.decoded.delete(row);
  }

  /**
   * One row, decoded.
   * @param {number} row
   * @returns {Columns}
   */
  at(row) {
    let columns = this.decoded.get(row);
    if (!columns) {
      columns = this.#decode(row);
      if (this.decoded.size >= KEPT) this.decoded.delete(this.decoded.keys().next().value);
      this.decoded.set(row, columns);
    }
    return columns;
  }

  /**
   * One value, without decoding its row.
   * @param {string} key
   * @param {number} row
   * @param {number} slot
   */
  value(key, row, slot) {
    const [, column] = this.columns.find(([name]) => name === key);
    return read(new DataView(this.bytes.buffer, row * this.width, this.width), column, slot);
  }

  /**
   * The numbers of a track in one row, in the order of its shape; null where there is no such track.
   * @param {string} name
   * @param {number} seat
   * @param {number} row
   * @returns {number[] | null}
   */
  track(name, seat, row) {
    const track = this.tracks.find((one) => one.name === name && one.seat === seat);
    if (!track) return null;
    const view = this.#row(row);
    return Array.from({ length: track.count }, (_, at) =>
      READ[track.dtype](view, track.offset + at * Number(track.dtype[1])),
    );
  }

  #row(row) {
    if (!(row >= 0 && row < this.length)) {
      throw new RangeError(`row must be from 0 to ${this.length - 1} (got ${row})`);
    }
    return new DataView(this.bytes.buffer, row * this.width, this.width);
  }

  #decode(row) {
    const view = this.#row(row);
    const slots = (column) =>
      Array.from({ length: column.slots }, (_, slot) => read(view, column, slot));
    return Object.fromEntries(this.columns.map(([key, column]) => [key, slots(column)]));
  }

  #reserve(size) {
    if (size <= this.bytes.length) return;
    const larger = new Uint8Array(
      Math.max(size, Math.min(2 * this.bytes.length, FARTHEST * this.width)),
    );
    larger.set(this.bytes);
    this.bytes = larger;
  }
}

/** Tracks with their count of numbers and their offset in a row. @param {Track[]} tracks */
function placed(tracks, first) {
  let offset = first;
  return tracks.map((track) => {
    const count = track.shape.reduce((product, size) => product * size, 1);
    const found = { ...track, count, offset };
    offset += count * Number(track.dtype[1]);
    return found;
  });
}

/** @param {DataView} view @param {Column} column @param {number} slot */
function read(view, { store, offset }, slot) {
  if (store !== "bit") return READ[store](view, offset + slot * Number(store[1]));
  const bit = offset + slot;
  return ((view.getUint8(bit >> 3) >> (bit & 7)) & 1) === 1;
}
