/** Opens the match that a page contains; the fragment `#120` opens it at frame 120. */
import { el } from "./parts.js";
import { CANNOT, unpack } from "./unpack.js";

const match = JSON.parse(document.getElementById("match").textContent);
const viewer = document.querySelector("match-viewer");

unpack(match.rows).then(
  (rows) => {
    viewer.load(match.hello, rows, match.events, match.result);
    const frame = Number(location.hash.slice(1));
    if (location.hash) viewer.seek(frame || 0);
    else if (!matchMedia("(prefers-reduced-motion: reduce)").matches) viewer.play();
  },
  (error) => viewer.replaceChildren(el("p", { class: "broken" }, `${CANNOT} (${error.message})`)),
);
