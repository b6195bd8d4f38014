/* The place as the player sees it (rays over the plan), with a map, the hotbar, and the open screen. */
const FIELD = (70 * Math.PI) / 180; // of view
const EYE = 1.62; // blocks above the feet
const TALL = { "#": 3, B: 3, D: 3, "=": 1 };
const FACES = { "#": [126, 132, 138], B: [196, 138, 84], D: [120, 88, 60], "=": [150, 164, 120] };
const WIDE = 4; // pixels of a column

export function drawPlace(canvas, place) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const cells = place.plan.map((row) => [...row]);
  for (const [x, z] of place.open) cells[z][x] = ".";
  const [px, py, pz, yaw, pitch] = place.player;
  const angle = ((yaw + 90) * Math.PI) / 180;
  const horizon = height / 2 - Math.tan((pitch * Math.PI) / 180) * height * 0.7;
  const distance = width / 2 / Math.tan(FIELD / 2); // of the picture from the eye, pixels
  context.fillStyle = "#A9C7DE";
  context.fillRect(0, 0, width, horizon);
  context.fillStyle = "#7F9A6A";
  context.fillRect(0, horizon, width, height - horizon);
  const depths = [];
  for (let column = 0; column < width; column += WIDE) {
    const ray = Math.atan((column - width / 2) / distance);
    const walls = cast(cells, px, pz, angle + ray);
    depths.push(walls.length ? walls[walls.length - 1].far * Math.cos(ray) : 99);
    for (const wall of walls.reverse()) {
      const depth = Math.max(wall.far * Math.cos(ray), 0.05);
      const top = horizon - ((TALL[wall.cell] - py - EYE) / depth) * distance;
      const bottom = horizon + ((py + EYE) / depth) * distance;
      const light = Math.max(0.45, 1 - depth / 22) * (wall.side ? 0.86 : 1);
      const [r, g, b] = FACES[wall.cell].map((part) => Math.round(part * light));
      context.fillStyle = `rgb(${r},${g},${b})`;
      context.fillRect(column, top, WIDE, bottom - top);
      if (TALL[wall.cell] < py + EYE) { // its upper side
        const back = Math.max(wall.leaves * Math.cos(ray), 0.06);
        const end = horizon - ((TALL[wall.cell] - py - EYE) / back) * distance;
        context.fillStyle = `rgb(${r + 24},${g + 24},${b + 24})`;
        context.fillRect(column, end, WIDE, top - end);
      }
    }
  }
  gate(context, place, { px, py, pz, angle, horizon, distance, width, depths });
  if (place.screen) {
    screen(context, place, width, height);
  } else {
    crosshair(context, width, height, place.swing);
    map(context, cells, place, width);
  }
  hotbar(context, place, width, height);
  if (place.done) banner(context, place, width, height);
}

// walls along a ray, nearest first; low ones do not end it
function cast(cells, x, z, angle) {
  const [dx, dz] = [Math.cos(angle), Math.sin(angle)];
  let [cx, cz] = [Math.floor(x), Math.floor(z)];
  const [sx, sz] = [Math.sign(dx), Math.sign(dz)];
  const [stepX, stepZ] = [Math.abs(1 / dx), Math.abs(1 / dz)];
  let tx = (sx > 0 ? cx + 1 - x : x - cx) * stepX;
  let tz = (sz > 0 ? cz + 1 - z : z - cz) * stepZ;
  const found = [];
  for (let n = 0; n < 60; n += 1) {
    const side = tx > tz;
    const far = Math.min(tx, tz);
    if (side) { cz += sz; tz += stepZ; } else { cx += sx; tx += stepX; }
    const cell = cells[cz]?.[cx] ?? "#";
    if (!(cell in TALL)) continue;
    found.push({ cell, far, side, leaves: Math.min(tx, tz) });
    if (TALL[cell] > 2) break;
  }
  return found;
}

// pillar of light over the next task
function gate(context, place, { px, py, pz, angle, horizon, distance, width, depths }) {
  const task = place.tasks[place.task];
  if (!task) return;
  const far = Math.hypot(task.x - px, task.z - pz);
  const off = Math.atan2(task.z - pz, task.x - px) - angle;
  const turned = Math.atan2(Math.sin(off), Math.cos(off));
  if (Math.abs(turned) > FIELD / 2 + 0.2) return;
  const depth = Math.max(far * Math.cos(turned), 0.3);
  const x = width / 2 + Math.tan(turned) * distance;
  const column = depths[Math.min(Math.max(Math.floor(x / WIDE), 0), depths.length - 1)];
  const hidden = column < depth - 0.6;
  context.globalAlpha = hidden ? 0.25 : 0.75;
  context.fillStyle = "#F2C14E";
  const thick = Math.max((0.25 / depth) * distance, 3);
  const top = horizon - ((2.4 - py - EYE) / depth) * distance;
  const bottom = horizon + ((py + EYE) / depth) * distance;
  context.fillRect(x - thick / 2, top, thick, bottom - top);
  context.globalAlpha = 1;
}

function crosshair(context, width, height, swing) {
  context.strokeStyle = "#FFFFFF";
  context.lineWidth = swing ? 6 : 3;
  const size = swing ? 20 : 12;
  context.beginPath();
  context.moveTo(width / 2 - size, height / 2);
  context.lineTo(width / 2 + size, height / 2);
  context.moveTo(width / 2, height / 2 - size);
  context.lineTo(width / 2, height / 2 + size);
  context.stroke();
}

function map(context, cells, place, width) {
  const size = 14;
  const [left, top] = [width - cells[0].length * size - 16, 16];
  context.globalAlpha = 0.88;
  context.fillStyle = "#14171A";
  context.fillRect(left - 4, top - 4, cells[0].length * size + 8, cells.length * size + 8);
  cells.forEach((row, z) => row.forEach((cell, x) => {
    if (!(cell in TALL)) return;
    context.fillStyle = `rgb(${FACES[cell]})`;
    context.fillRect(left + x * size, top + z * size, size - 1, size - 1);
  }));
  context.globalAlpha = 1;
  place.tasks.forEach((task, at) => {
    const due = at === place.task;
    context.fillStyle = at < place.task ? "#6CC488" : due ? "#F2C14E" : "#8A8D91";
    context.beginPath();
    context.arc(left + task.x * size, top + task.z * size, due ? 6 : 3.5, 0, 7);
    context.fill();
  });
  const [x, , z, yaw] = place.player;
  const angle = ((yaw + 90) * Math.PI) / 180;
  const at = (far, turn) => [
    left + (x + far * Math.cos(angle + turn)) * size, top + (z + far * Math.sin(angle + turn)) * size,
  ];
  context.fillStyle = "#5AA2DC";
  context.beginPath();
  context.moveTo(...at(0.9, 0));
  context.lineTo(...at(0.6, 2.5));
  context.lineTo(...at(0.6, -2.5));
  context.fill();
}

function hotbar(context, place, width, height) {
  const size = 76;
  const left = width / 2 - (place.items.length * size) / 2;
  context.textAlign = "center";
  place.items.forEach((item, at) => {
    const x = left + at * size;
    context.fillStyle = "rgba(20,23,26,.72)";
    context.fillRect(x, height - size - 12, size - 4, size - 4);
    if (at === place.slot) {
      context.strokeStyle = "#FFFFFF";
      context.lineWidth = 4;
      context.strokeRect(x + 2, height - size - 10, size - 8, size - 8);
    }
    context.fillStyle = at === place.door_slot ? "#F2C14E" : "#E8E6E1";
    context.font = "600 20px system-ui";
    context.fillText(at + 1, x + size / 2 - 2, height - size + 14);
    context.font = "13px system-ui";
    item.split("_").forEach((word, n) => context.fillText(word, x + size / 2 - 2, height - size + 34 + 16 * n));
  });
}

function screen(context, place, width, height) {
  context.fillStyle = "rgba(20,23,26,.82)";
  context.fillRect(width * 0.15, height * 0.12, width * 0.7, height * 0.68);
  context.textAlign = "center";
  context.fillStyle = "#E8E6E1";
  context.font = "600 26px system-ui";
  context.fillText("Inventory: move the item from the pack to the chest", width / 2, height * 0.2);
  for (const [name, [x, y]] of Object.entries(place.cells)) {
    context.strokeStyle = "#8A8D91";
    context.lineWidth = 3;
    context.strokeRect(x * width - 60, y * height - 60, 120, 120);
    context.fillStyle = "#A0A3A6";
    context.font = "20px system-ui";
    context.fillText(name, x * width, y * height + 88);
    if (place.item === name) gem(context, x * width, y * height);
  }
  const [x, y] = [place.cursor[0] * width, place.cursor[1] * height];
  if (place.item === "cursor") gem(context, x, y);
  context.fillStyle = "#FFFFFF";
  context.strokeStyle = "#14171A";
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x, y + 34);
  context.lineTo(x + 9, y + 26);
  context.lineTo(x + 24, y + 25);
  context.closePath();
  context.fill();
  context.stroke();
}

function gem(context, x, y) {
  context.fillStyle = "#5AD0C0";
  context.beginPath();
  context.moveTo(x, y - 30);
  context.lineTo(x + 26, y);
  context.lineTo(x, y + 30);
  context.lineTo(x - 26, y);
  context.closePath();
  context.fill();
}

function banner(context, place, width, height) {
  context.fillStyle = "rgba(20,23,26,.8)";
  context.fillRect(0, height / 2 - 70, width, 140);
  context.fillStyle = "#FFFFFF";
  context.textAlign = "center";
  context.font = "600 44px system-ui";
  const all = place.results.tasks === place.results.of;
  const text = all ? `Course finished in ${place.results.seconds.toFixed(1)} s` : "Out of time";
  context.fillText(text, width / 2, height / 2 + 16);
}
