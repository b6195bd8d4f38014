/** Page of a stored match; `#120` in the address opens it at frame 120, and follows the frame. */
import "./viewer.js";
import { clipButton, followFrame, linkButton, loadMatch, openFrame } from "./clip.js";

const viewer = document.querySelector("match-viewer");
const status = document.getElementById("status");

try {
  await loadMatch(viewer, document.body.dataset.source);
  openFrame(viewer);
  const name = document.title.replace(/ · .*/, "");
  document.getElementById("tools").append(
    ...[linkButton(viewer), clipButton(viewer, name)].filter(Boolean),
  );
  followFrame(viewer);
} catch (error) {
  viewer.hidden = true;
  status.textContent = error.message;
}
