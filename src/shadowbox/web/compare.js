/** Page of two stored matches that play as one; `#120` in the address is the frame of both. */
import "./viewer.js";
import { followFrame, linkButton, loadMatch, openFrame } from "./clip.js";
import { lockstep } from "./lockstep.js";

const viewers = [...document.querySelectorAll("match-viewer")];

try {
  await Promise.all(viewers.map((one) => loadMatch(one, one.dataset.source)));
  const leader = lockstep(viewers);
  openFrame(leader);
  document.getElementById("tools").append(linkButton(leader));
  followFrame(leader);
} catch (error) {
  document.querySelector(".lockstep").hidden = true;
  document.getElementById("status").textContent = error.message;
}
