/** Page of a stored match; `#120` in the address opens it at frame 120, and follows the frame. */
import "./viewer.js";
import { clipButton, followFrame, linkButton } from "./clip.js";
import { fetchJson } from "./web.js";

const viewer = document.querySelector("match-viewer");
const status = document.getElementById("status");

try {
  const { hello, rows, events, result } = await fetchJson(document.body.dataset.source);
  viewer.load(hello, Uint8Array.from(atob(rows), (letter) => letter.charCodeAt(0)), events, result);
  if (location.hash) viewer.seek(Number(location.hash.slice(1)) || 0);
  else if (!matchMedia("(prefers-reduced-motion: reduce)").matches) viewer.play();
  const name = document.title.replace(/ · .*/, "");
  document.getElementById("tools").append(
    ...[linkButton(viewer), clipButton(viewer, name)].filter(Boolean),
  );
  followFrame(viewer);
} catch (error) {
  viewer.hidden = true;
  status.textContent = error.message;
}
