/* Webcam of this browser. Pose and hands are found here, and landmarks alone are sent: no picture
   leaves the page. */
const MODELS = "/camera/"; // files of `shadowbox setup camera`
const LIKED = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
const POSE = 33;
const REASONS = { // name of the browser's error -> what to do
  NotAllowedError: "The browser may not use the camera. Allow it beside the address, then start again.",
  NotFoundError: "No camera was found. Plug one in, then start again.",
  NotReadableError: "The camera gives no picture. Close other programs that use it, then start again.",
};

// metres a pixel, by least squares between the pose in metres and the pose in the picture
export function metresPerPixel(world, picture, width, height) {
  const middle = (points, axis) => points.reduce((sum, p, at) => sum + p[axis] * weight(at), 0) / total;
  const weight = (at) => picture[at].visibility ?? 1;
  const total = picture.reduce((sum, _, at) => sum + weight(at), 0);
  let [above, below] = [0, 0];
  for (const [axis, size] of [["x", width], ["y", height]]) {
    const [w, p] = [middle(world, axis), middle(picture, axis)];
    picture.forEach((point, at) => {
      const pixels = (point[axis] - p) * size;
      above += weight(at) * pixels * (world[at][axis] - w);
      below += weight(at) * pixels * pixels;
    });
  }
  return below > 0 ? above / below : 0;
}

const within = (value, most) => Math.min(Math.max(value, -most), most);

// message of one frame: metres from the hips, and of each hand from its wrist
export function landmarksOf(results, width, height) {
  const picture = results.poseLandmarks;
  // the package's name of the pose in metres is a short one that its build chose
  const world = Object.values(results).find((part) => part !== picture && Array.isArray(part) && part.length === POSE);
  if (!picture || !world) {
    return { pose: Array(POSE).fill([0, 0, 0]), visibility: Array(POSE).fill(0), left: null, right: null };
  }
  const scale = metresPerPixel(world, picture, width, height);
  const sizes = [scale * width, scale * height, scale * width];
  const hand = (points) => points && scale > 0
    ? points.map((p) => ["x", "y", "z"].map((axis, at) => within((p[axis] - points[0][axis]) * sizes[at], 1)))
    : null;
  return {
    pose: world.map((p) => [p.x, p.y, p.z].map((value) => within(value, 9))),
    visibility: picture.map((p) => Math.min(Math.max(p.visibility ?? 0, 0), 1)),
    left: hand(results.leftHandLandmarks),
    right: hand(results.rightHandLandmarks),
  };
}

// true where a graphics card is only imitated: the processor itself is ten times as fast there
function imitatesGraphics() {
  const context = document.createElement("canvas").getContext("webgl2");
  const name = context?.getExtension("WEBGL_debug_renderer_info");
  return !name || /swiftshader|llvmpipe|software|basic render/i.test(context.getParameter(name.UNMASKED_RENDERER_WEBGL));
}

const script = (address) => new Promise((loaded, failed) => {
  const node = Object.assign(document.createElement("script"), { src: address, onload: loaded });
  node.onerror = () => failed(new Error("The models are missing: run `shadowbox setup camera`, then load this page again."));
  document.head.append(node);
});

// Panel with a button, a mirrored preview and a line of figures; `options.complexity` is 0, 1 or 2.
export function cameraPanel(options) {
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, hidden: true });
  const button = Object.assign(document.createElement("button"), { textContent: "Start the camera" });
  const line = Object.assign(document.createElement("p"), {
    className: "soft", textContent: "Pictures stay in this browser: landmarks of body and hands are sent, and nothing else.",
  });
  const panel = Object.assign(document.createElement("section"), { className: "camera" });
  panel.append(video, button, line);
  let running = null;

  const say = (text, bad = false) => {
    line.textContent = text;
    line.classList.toggle("bad", bad);
  };
  const stop = () => {
    running?.clock.terminate();
    running?.socket.close();
    running?.stream.getTracks().forEach((track) => track.stop());
    running?.finder.close();
    running = null;
    video.hidden = true;
    button.textContent = "Start the camera";
    button.disabled = false;
    panel.dataset.frames = 0;
  };

  async function start() {
    button.disabled = true;
    say("Asking for the camera …");
    if (!navigator.mediaDevices) throw new Error("Browsers give cameras to pages of this machine alone: open this page as 127.0.0.1 or localhost.");
    const stream = await navigator.mediaDevices.getUserMedia({ video: LIKED, audio: false });
    video.srcObject = stream;
    await video.play();
    video.hidden = false;
    say("Loading the models; the first frame takes a few seconds …");
    if (!window.Holistic) await script(`${MODELS}holistic.js`);
    const finder = new window.Holistic({ locateFile: (name) => MODELS + name });
    finder.setOptions({ modelComplexity: options.complexity, smoothLandmarks: true, useCpuInference: imitatesGraphics() });
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/landmarks`);
    const clock = new Worker("/static/clock.js");
    running = { stream, finder, socket, clock };
    follow(running);
    button.textContent = "Stop the camera";
    button.disabled = false;
  }

  function follow(run) {
    let [busy, last, frames, since, rested] = [false, -1, 0, performance.now(), 0];
    const taken = [];
    run.finder.onResults((results) => {
      if (run.socket.readyState !== WebSocket.OPEN) return;
      run.socket.send(JSON.stringify(landmarksOf(results, video.videoWidth, video.videoHeight)));
      panel.dataset.frames = ++frames;
    });
    run.socket.onclose = () => {
      if (run !== running) return;
      stop();
      say("The program has ended. Start it again, then load this page again.", true);
    };
    run.stream.getVideoTracks()[0].onended = () => {
      if (run !== running) return;
      stop();
      say("The camera was switched off or unplugged.", true);
    };
    run.clock.onmessage = async () => {
      if (busy || run !== running || video.currentTime === last || performance.now() < rested) return;
      [busy, last] = [true, video.currentTime];
      const began = performance.now();
      try {
        await run.finder.send({ image: video });
      } catch (error) {
        if (run === running) {
          stop();
          say(`The models failed: ${error.message ?? error}`, true);
        }
      }
      busy = false;
      const took = performance.now() - began;
      rested = took > 50 ? performance.now() + took / 4 : 0; // a slow page must still hear its buttons
      taken.push(took);
      if (taken.length > 30) taken.shift();
      if (run === running && performance.now() - since > 500) {
        since = performance.now();
        const mean = taken.reduce((sum, each) => sum + each, 0) / taken.length;
        say(`${video.videoWidth} x ${video.videoHeight}, ${mean.toFixed(0)} ms a frame. Pictures stay in this browser.`);
      }
    };
  }

  button.onclick = async () => {
    if (running) {
      stop();
      say("The camera is off.");
      return;
    }
    try {
      await start();
    } catch (error) {
      stop();
      say(REASONS[error.name] ?? error.message, true);
    }
  };
  return panel;
}
