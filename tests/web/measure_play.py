"""Times of Play in a real browser: from a key to the first picture that shows it, and between pictures.

    python tests/web/measure_play.py [PRESSES]

It starts a server and Chromium, plays a match against `constant`, injects keys, and prints one JSON
object in milliseconds. Run it on an idle machine: both share its cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from playwright.sync_api import sync_playwright

MEASURE = """async (presses) => {
  const viewer = document.querySelector("match-viewer");
  const picture = () => new Promise(requestAnimationFrame);
  // a picture lies between two rows: it shows the later one as soon as it moves towards it
  const held = () => viewer.rows.at(Math.ceil(viewer.position))["keys/j"][0];
  const key = (type) => dispatchEvent(new KeyboardEvent(type, { code: "KeyJ", key: "j", bubbles: true }));
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const found = { key: [], picture: [] };
  for (let at = 0; at < presses && !viewer.ended; at += 1) {
    await pause(120 + 180 * Math.random());
    const began = performance.now();
    key("keydown");
    while (!held() && !viewer.ended) await picture();
    found.key.push(performance.now() - began);
    key("keyup");
    while (held() && !viewer.ended) await picture();
  }
  let last = await picture();
  for (let at = 0; at < 600 && !viewer.ended; at += 1) {
    const now = await picture();
    found.picture.push(now - last);
    last = now;
  }
  return found;
}"""
STARTED = "() => document.querySelector('match-viewer').rows?.length > 15"


def main(presses: int) -> None:
    """Measure matches until there were enough presses, and print the figures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        command = [sys.executable, "-m", "shadowbox", "serve", "--port", "0", "--json"]
        server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE)
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            key: list[float] = []
            picture: list[float] = []
            while len(key) < presses:
                page.goto(url + "play")
                page.fill("[name=opponent]", "constant")
                page.click(".go")
                while not page.evaluate(STARTED):
                    page.wait_for_timeout(100)
                found = page.evaluate(MEASURE, min(100, presses - len(key)))
                key += found["key"]
                picture += found["picture"]
            print(json.dumps({"key_ms": spread(key), "picture_ms": spread(picture)}))
        finally:
            browser.close()
            server.terminate()
            server.wait()


def spread(values: list[float]) -> dict[str, float]:
    """Number, median and 95th percentile."""
    order = sorted(values)
    at = {
        name: order[int(share * (len(order) - 1))] for name, share in (("p50", 0.5), ("p95", 0.95))
    }
    return {"count": len(order), **{name: round(value, 1) for name, value in at.items()}}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
