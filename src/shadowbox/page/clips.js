/**
 * Opens the matches that a page contains, each in the viewer beside its data. Those in an element of
 * the class `lockstep` play as one; where it is `whole`, the page is about them: the fragment `#120`
 * opens them at frame 120.
 */
import { lockstep } from "./lockstep.js";
import { el } from "./parts.js";
import { CANNOT, unpack } from "./unpack.js";

const opened = new Map(); // viewers by figure, those that could be read
const opening = [...document.querySelectorAll("figure.clip")].map(async (figure) => {
  const clip = JSON.parse(figure.querySelector("script").textContent);
  const viewer = figure.querySelector("match-viewer");
  try {
    viewer.load(clip.hello, await unpack(clip.rows), clip.events, clip.result);
    viewer.seek(0);
    opened.set(figure, viewer);
  } catch (error) {
    viewer.replaceChildren(el("p", { class: "broken" }, `${CANNOT} (${error.message})`));
  }
});

Promise.all(opening).then(() => {
  for (const group of document.querySelectorAll(".lockstep")) {
    const viewers = [...group.querySelectorAll("figure.clip")].map((one) => opened.get(one));
    if (!viewers.every(Boolean)) continue; // the ones that could be read play alone
    const leader = lockstep(viewers);
    if (!group.classList.contains("whole")) continue;
    if (location.hash) leader.seek(Number(location.hash.slice(1)) || 0);
    else if (!matchMedia("(prefers-reduced-motion: reduce)").matches) leader.play();
  }
});
