/** Tools of a stored match: an address that follows the frame, a link to it, and a clip as a film. */
import { save } from "./download.js";
import { button } from "./parts.js";
import { fetchJson } from "./web.js";

const SECONDS = 5; // of a clip
const FILMS = ["video/mp4;codecs=avc1.42E01E", "video/webm;codecs=vp9", "video/webm"];
const FOLLOW = 500; // milliseconds; browsers refuse more than about three changes a second

/** Load the match whose data are at an address of the server. */
export async function loadMatch(viewer, address) {
  const { hello, rows, events, result } = await fetchJson(address);
  viewer.load(hello, Uint8Array.from(atob(rows), (letter) => letter.charCodeAt(0)), events, result);
}

/** Go to the frame that the address names, or play. */
export function openFrame(viewer) {
  if (location.hash) viewer.seek(Number(location.hash.slice(1)) || 0);
  else if (!matchMedia("(prefers-reduced-motion: reduce)").matches) viewer.play();
}

/** Keep `#FRAME` in the address at the frame that is shown. */
export function followFrame(viewer) {
  setInterval(() => {
    const at = `#${viewer.frame}`;
    if (location.hash !== at) history.replaceState(null, "", at);
  }, FOLLOW);
}

/** A button that copies the address of the frame that is shown. */
export function linkButton(viewer) {
  const made = button("Copy link to this frame", "Copy link", async () => {
    const address = new URL(`#${viewer.frame}`, location.href);
    await navigator.clipboard.writeText(address.href);
    made.textContent = "Copied";
    setTimeout(() => made.replaceChildren("Copy link"), 1500);
  });
  return made;
}

/** A button that plays the next seconds and saves them as a film; null where the browser cannot. */
export function clipButton(viewer, name) {
  const type = globalThis.MediaRecorder && FILMS.find((one) => MediaRecorder.isTypeSupported(one));
  if (!type || !viewer.canvas.captureStream) return null;
  const label = `Save ${SECONDS} s as a film`;
  const made = button(label, label, async () => {
    made.disabled = true;
    made.textContent = "Recording…";
    const parts = [];
    const recorder = new MediaRecorder(viewer.canvas.captureStream(60), { mimeType: type });
    recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
    const ended = new Promise((done) => {
      recorder.addEventListener("stop", done);
    });
    const first = viewer.frame;
    recorder.start();
    viewer.play();
    await new Promise((done) => {
      setTimeout(done, 1000 * SECONDS);
    });
    viewer.pause();
    recorder.stop();
    await ended;
    const ending = type.startsWith("video/mp4") ? "mp4" : "webm";
    save(new Blob(parts, { type }), `${name}-${first}.${ending}`);
    made.disabled = false;
    made.textContent = label;
  });
  return made;
}
