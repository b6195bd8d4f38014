/** The page of a stored match; `#120` opens it at that frame. */
import "./viewer.js";
import { ask } from "./web.js";

const viewer = document.querySelector("match-viewer");
const told = document.getElementById("told");

try {
  const { hello, rows, events, result } = await ask(document.body.dataset.source);
  viewer.load(hello, Uint8Array.from(atob(rows), (letter) => letter.charCodeAt(0)), events, result);
  if (location.hash) viewer.seek(Number(location.hash.slice(1)) || 0);
  else if (!matchMedia("(prefers-reduced-motion: reduce)").matches) viewer.play();
} catch (error) {
  viewer.hidden = true;
  told.textContent = error.message;
}
