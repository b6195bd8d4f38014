/** Opens the matches that a page contains, each in the viewer beside its data. */
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

// clips that are compared start, stop and move together
for (const group of document.querySelectorAll(".clips.together")) {
  const viewers = [...group.querySelectorAll("match-viewer")];
  for (const viewer of viewers)
    for (const name of ["play", "pause", "seek"])
      viewer[name] = (...values) => {
        for (const each of viewers.filter((one) => one.hello)) {
          if (name === "play") [each.speed, each.position] = [viewer.speed, viewer.position];
          Object.getPrototypeOf(each)[name].apply(each, values);
        }
      };
}
