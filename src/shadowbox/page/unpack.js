/** Unpacks the rows of a match that a page contains. */

/** base64 of gzip -> bytes */
export async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Message shown in place of a match that cannot be shown. */
export const CANNOT =
  "This match cannot be unpacked. A browser of 2023 or newer can; so can shadowbox view.";
