/** Packs the columns of a frame into a row, as a store writes it; the inverse of rows.js. */

/**
 * @param {{row_bytes: number, columns: Record<string, import("./rows.js").Column>}} hello
 * @param {import("./rows.js").Columns} columns
 */
export function packed({ row_bytes, columns: places }, columns) {
  const bytes = new Uint8Array(row_bytes);
  const view = new DataView(bytes.buffer);
  for (const [key, { store, offset, slots }] of Object.entries(places)) {
    for (let slot = 0; slot < slots; slot++) {
      const value = Number(columns[key][slot]);
      if (store === "bit") bytes[(offset + slot) >> 3] |= value << ((offset + slot) & 7);
      else WRITE[store](view, offset + slot * Number(store[1]), value);
    }
  }
  return bytes;
}

const WRITE = {
  f4: (view, at, value) => view.setFloat32(at, value, true),
  u4: (view, at, value) => view.setUint32(at, value, true),
  f2: (view, at, value) => view.setUint16(at, halfBits(value), true),
  u2: (view, at, value) => view.setUint16(at, value, true),
  u1: (view, at, value) => view.setUint8(at, value),
};

/** Bits of the float16 nearest to a number; ties go to the even one. */
export function halfBits(value) {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(Math.floor(Math.log2(size || 1e-9)), -14);
  const steps = even(size / 2 ** (exponent - 10)); // 1024 and more for a normal number
  return sign | (steps + ((exponent + 14) << 10));
}

/** The integer nearest to a number; of two equally near ones the even one. */
function even(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}
