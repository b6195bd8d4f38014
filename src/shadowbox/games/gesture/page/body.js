/* Skeleton of the person, as in a mirror, with both hands drawn larger beside their wrists. */
const BONES = [
  [11, 12], [11, 23], [12, 24], [23, 24], [11, 13], [13, 15], [12, 14], [14, 16],
  [23, 25], [25, 27], [24, 26], [26, 28], [27, 31], [28, 32],
];
const FINGERS = [[0, 1, 2, 3, 4], [0, 5, 6, 7, 8], [0, 9, 10, 11, 12], [0, 13, 14, 15, 16], [0, 17, 18, 19, 20]];
const LEFT = "--p1";
const RIGHT = "--p2";

export function drawBody(canvas, body) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const color = (name) => getComputedStyle(document.body).getPropertyValue(name);
  context.clearRect(0, 0, width, height);
  context.lineCap = "round";
  if (!body) {
    context.fillStyle = color("--soft");
    context.font = "22px system-ui";
    context.textAlign = "center";
    context.fillText("No person in the picture", width / 2, height / 2);
    return;
  }
  const scale = height / 2.25; // pixels a metre
  const place = ([x, y]) => [width / 2 - x * scale, height * 0.55 + y * scale]; // mirrored
  const line = (points, shown, tint, thick) => {
    context.strokeStyle = color(tint);
    context.lineWidth = thick;
    context.globalAlpha = shown;
    context.beginPath();
    points.forEach((point, at) => (at ? context.lineTo(...point) : context.moveTo(...point)));
    context.stroke();
    context.globalAlpha = 1;
  };
  for (const [a, b] of BONES) {
    const tint = a % 2 && b % 2 ? LEFT : a % 2 === 0 && b % 2 === 0 ? RIGHT : "--ink";
    const shown = 0.25 + 0.75 * Math.min(body.visible[a], body.visible[b]);
    line([place(body.pose[a]), place(body.pose[b])], shown, tint, 7);
  }
  const [nose, ear, other] = [0, 7, 8].map((at) => place(body.pose[at]));
  const neck = [11, 12].map((at) => place(body.pose[at])).reduce(([ax, ay], [bx, by]) => [(ax + bx) / 2, (ay + by) / 2]);
  const middle = [(ear[0] + other[0]) / 2, (ear[1] + other[1]) / 2];
  line([neck, middle], 1, "--ink", 7);
  context.fillStyle = color("--ink");
  context.beginPath();
  context.arc(...middle, 0.09 * scale, 0, 7);
  context.fill();
  context.fillStyle = color("--paper");
  context.beginPath();
  context.arc(...nose, 5, 0, 7);
  context.fill();
  for (const [name, wrist, tint] of [["left", 15, LEFT], ["right", 16, RIGHT]]) {
    const hand = body[name];
    const from = place(body.pose[wrist]);
    if (!hand) continue;
    const finger = (at) => [from[0] - hand[at][0] * scale * 1.6, from[1] + hand[at][1] * scale * 1.6];
    for (const chain of FINGERS) line(chain.map(finger), 1, tint, 3);
  }
  context.font = "20px system-ui";
  context.fillStyle = color("--soft");
  context.textAlign = "left";
  context.fillText(`left hand${body.left ? "" : " lost"}`, 12, height - 14);
  context.textAlign = "right";
  context.fillText(`right hand${body.right ? "" : " lost"}`, width - 12, height - 14);
}
