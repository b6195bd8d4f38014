/** A page with one match inside: unpack it and show it. `#120` opens it at that frame. */
import { el } from "./parts.js";

const match = JSON.parse(document.getElementById("match").textContent);
const viewer = document.querySelector("match-viewer");

unpack(match.rows).then(
  (rows) => {
    viewer.load(match.hello, rows, match.events, match.result);
    const frame = Number(location.hash.slice(1));
    if (location.hash) viewer.seek(frame || 0);
    else if (!matchMedia("(prefers-reduced-motion: reduce)").matches) viewer.play();
  },
  (error) => viewer.replaceChildren(el("p", { class: "broken" }, `This match cannot be unpacked: ${error.message}. A browser of 2023 or newer can; so can shadowbox view.`)),
);

/** base64 of gzip -> bytes */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
