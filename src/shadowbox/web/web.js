/** Shared script of the server's pages: copy buttons, requests, forms that start a match. */
import { button, el } from "./parts.js";
import "./hint.js";
import "./tables.js";

export const LOST =
  "Connection lost. Check that the server is still running, then reload this page.";

for (const block of document.querySelectorAll(".command")) {
  const copy = button("Copy the command", "Copy", async () => {
    await navigator.clipboard.writeText(block.querySelector("code").textContent);
    copy.textContent = "Copied";
  });
  block.append(copy);
}

/** Fetch JSON, by POST if there is a body; a refusal throws an Error with the server's message. */
export async function fetchJson(address, body) {
  const headers = { "content-type": "application/json" };
  const options = body ? { method: "POST", headers, body: JSON.stringify(body) } : {};
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error("The server does not answer. Check that it is still running.");
  }
  const failed = `The server answered with status ${answer.status}.`;
  const data = await answer.json().catch(() => ({ error: failed }));
  if (!answer.ok) throw new Error(data.error ?? failed);
  return data;
}

/**
 * Let a form start a match. Until the server has set it up the button says so.
 * @param {HTMLFormElement} form
 * @param {(fields: Record<string, string>) => object} request  fields of the form -> request
 * @param {(begun: {match: number, key: string}) => void} then
 */
export function startForm(form, request, then) {
  const go = form.querySelector(".go");
  const message = form.querySelector(".message");
  const label = go.textContent;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    go.textContent = "Starting…";
    message.textContent = "";
    try {
      const begun = await fetchJson("/live", request(Object.fromEntries(new FormData(form))));
      sessionStorage.setItem(`shadowbox.match.${begun.match}`, begun.key);
      then(begun);
    } catch (error) {
      message.textContent = error.message;
    }
    go.disabled = false;
    go.textContent = label;
  });
  go.disabled = false;
}

/** Seed of a form as a number; null for an empty field, so that the server draws one. */
export function seedOf(text) {
  return text === "" ? null : Number(text);
}

/** Names of the players, each underlined in its color. */
export function versus(players) {
  const sides = players.map((name, at) => el("span", { class: `player p${at + 1}` }, name));
  return sides.flatMap((side, at) => (at ? [el("small", {}, " against "), side] : [side]));
}
