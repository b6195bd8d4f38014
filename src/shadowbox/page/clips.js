/** A page with several matches inside: each viewer shows the one that stands beside it, and plays when it is told to. */
import { el } from "./parts.js";
import { CANNOT, unpack } from "./unpack.js";

for (const figure of document.querySelectorAll("figure.clip")) {
  const clip = JSON.parse(figure.querySelector("script").textContent);
  const viewer = figure.querySelector("match-viewer");
  unpack(clip.rows).then(
    (rows) => {
      viewer.load(clip.hello, rows, clip.events, clip.result);
      viewer.seek(0);
    },
    (error) => viewer.replaceChildren(el("p", { class: "broken" }, `${CANNOT} (${error.message})`)),
  );
}
