/** Shared by all pages of the server: a copy button beside every command, and requests with readable errors. */
import { button, el } from "./parts.js";

for (const block of document.querySelectorAll(".command")) {
  const copy = button("Copy the command", "Copy", async () => {
    await navigator.clipboard.writeText(block.querySelector("code").textContent);
    copy.textContent = "Copied";
  });
  block.append(copy);
}

/** Ask for something; a refusal is an Error in the server's words. */
export async function ask(address, body) {
  const options = body ? { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) } : {};
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  const data = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
  if (!answer.ok) throw new Error(data.error ?? `The server answered ${answer.status}.`);
  return data;
}

/**
 * A form that begins a match. While the server gets it ready the button says so.
 * @param {HTMLFormElement} form
 * @param {(fields: Record<string, string>) => object} wish  what to ask for
 * @param {(begun: {match: number, key: string}) => void} then
 */
export function begins(form, wish, then) {
  const go = form.querySelector(".go");
  const message = form.querySelector(".message");
  const label = go.textContent;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    go.textContent = "Getting ready…";
    message.textContent = "";
    try {
      const begun = await ask("/live", wish(Object.fromEntries(new FormData(form))));
      sessionStorage.setItem(`shadowbox.match.${begun.match}`, begun.key);
      then(begun);
    } catch (error) {
      message.textContent = error.message;
    }
    go.disabled = false;
    go.textContent = label;
  });
}

/** A seed as a number, or nothing: then the server takes one. */
export function seedOf(text) {
  return text === "" ? null : Number(text);
}

/** Players with the edge of their color. */
export function versus(players) {
  const sides = players.map((name, at) => el("span", { class: `player p${at + 1}` }, name));
  return sides.flatMap((side, at) => (at ? [el("small", {}, " against "), side] : [side]));
}
