// The lanes and probabilities, on one canvas that stays put while the box around it scrolls.
const AXIS = 20, NAME = 15, BLOCK = 20, STRIP = 20, GAP = 4;
const NEAREST = 200; // pixels a second, or an utterance
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000];
const scroller = find("lanes"), wide = find("wide"), canvas = find("canvas"), head = find("head");
const pen = canvas.getContext("2d");
const laneTop = (lane) => AXIS + lane * (NAME + BLOCK + GAP);
const stripTop = (label) => laneTop(data.lanes.length) + 6 + label * (NAME + STRIP + GAP);
const height = stripTop(data.labels.length) + GAP;
let scale = 0; // pixels a second, or an utterance
let colours, paints, whose = -1;

const look = () => {
  const style = getComputedStyle(document.documentElement);
  colours = Object.fromEntries(["ink", "soft", "rule", "paper", "alarm", "accent"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  paints = data.labels.map(({ colour, texture }) => {
    const plain = style.getPropertyValue(`--k${colour}`).trim();
    return { plain, decided: pattern(plain, texture, false), unsure: pattern(plain, texture, true), letter: colour ? "#000" : "#fff" };
  });
};
// A colour with its texture, and hatched with paper where it is unsure.
const pattern = (colour, texture, unsure) => {
  if (!texture && !unsure) return colour;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const ink = tile.getContext("2d");
  ink.fillStyle = colour;
  ink.fillRect(0, 0, 8, 8);
  ink.fillStyle = "#0009";
  if (texture === 1) [[1, 1], [5, 5]].forEach(([x, y]) => ink.fillRect(x, y, 2, 2));
  if (texture === 2) [0, 4].forEach((x) => ink.fillRect(x, 0, 1.5, 8));
  if (unsure) {
    ink.strokeStyle = colours.paper;
    ink.lineWidth = 3;
    [-8, 0, 8].forEach((x) => { ink.beginPath(); ink.moveTo(x - 1, 9); ink.lineTo(x + 9, -1); ink.stroke(); });
  }
  return pen.createPattern(tile, "repeat");
};

const draw = () => {
  const width = scroller.clientWidth, ratio = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    [canvas.width, canvas.height] = [w, h];
    [canvas.style.width, canvas.style.height] = [`${width}px`, `${height}px`];
  }
  const from = scroller.scrollLeft;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  axis(from, width);
  const seen = [];
  for (let row = 0; row < count; row += 1) {
    if (start[row] === null || end[row] === null) continue;
    // Whole pixels: edges between them cost six times as much.
    const x = Math.round(start[row] * scale - from), long = Math.max(Math.round(end[row] * scale - from) - x, 1);
    if (x + long > 0 && x < width) seen.push([row, x, long > 4 ? long - 1 : long]);
  }
  blocks(seen);
  strips(seen, width);
  pen.textAlign = "left";
  data.lanes.forEach((name, lane) => title(name, laneTop(lane), width));
  data.labels.forEach(({ code, name }, label) => title(`${code}  ${name}`, stripTop(label), width));
};
const axis = (from, width) => {
  const step = STEPS.find((each) => each * scale >= 70 && (data.timed || each >= 1)) ?? STEPS.at(-1);
  pen.fillStyle = colours.soft;
  pen.textAlign = "center";
  for (let at = Math.ceil(from / scale / step); at * step * scale - from <= width; at += 1) {
    // A number stands at the middle of its utterance.
    const x = Math.round((at * step - (data.timed ? 0 : 0.5)) * scale - from);
    if (x < 0) continue;
    pen.fillRect(x, AXIS - 4, 1, 4);
    if (x > 14 && x < width - 14) pen.fillText(data.timed ? clock(at * step).replace(/\.0$/, "") : at * step, x, 8);
  }
};
const title = (name, top, width) => {
  pen.fillStyle = colours.ink;
  pen.fillText(name, 4, top + NAME / 2, width - 8);
};
const blocks = (seen) => {
  pen.textAlign = "center";
  seen.forEach(([row, x, long]) => {
    const top = laneTop(data.lane[row]) + NAME, emotion = data.emotion[row];
    if (emotion < 0) {
      // Nothing was read, heard or seen: an outline, and no colour that could be taken for an emotion.
      pen.strokeStyle = colours.soft;
      pen.setLineDash([3, 2]);
      pen.strokeRect(x + 0.5, top + 0.5, Math.max(long - 1, 0.5), BLOCK - 1);
      pen.setLineDash([]);
    } else {
      const paint = paints[emotion], { code, texture } = data.labels[emotion], unsure = data.unsure[row];
      pen.fillStyle = unsure ? paint.unsure : paint.decided;
      pen.fillRect(x, top, long, BLOCK);
      if (long > 22) letter(code, x + long / 2, top + BLOCK / 2, paint, unsure || texture);
    }
    if (data.far[row]) {
      pen.fillStyle = colours.alarm;
      pen.fillRect(x, top + BLOCK, long, 3);
    }
  });
  seen.forEach(([row, x, long]) => {
    if (row !== current) return;
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 2;
    pen.strokeRect(x, laneTop(data.lane[row]) + NAME, Math.max(long, 2), BLOCK);
    pen.lineWidth = 1;
  });
};
const letter = (code, x, y, paint, boxed) => {
  if (boxed) {
    const half = pen.measureText(code).width / 2 + 3;
    pen.fillStyle = colours.paper;
    pen.fillRect(x - half, y - 7, 2 * half, 14);
  }
  pen.fillStyle = boxed ? colours.ink : paint.letter;
  pen.fillText(code, x, y + 0.5);
};
const strips = (seen, width) => {
  data.labels.forEach((_, label) => {
    const foot = stripTop(label) + NAME + STRIP, p = data.p[label];
    pen.fillStyle = colours.rule;
    pen.fillRect(0, foot, width, 1);
    pen.fillStyle = paints[label].plain;
    seen.forEach(([row, x, long]) => {
      const tall = whose < 0 || data.lane[row] === whose ? Math.round(STRIP * p[row]) : 0;
      if (tall) pen.fillRect(x, foot - tall, long, tall);
    });
  });
};

// One drawing a frame, however many events ask for it.
let asked = false;
const redraw = () => {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; draw(); });
};
const all = () => scroller.clientWidth / length;
// Shows the timeline at another scale; what lies `at` pixels from the left stays there.
const zoom = (to, at = scroller.clientWidth / 2) => {
  const under = (scroller.scrollLeft + at) / (scale || 1);
  scale = Math.max(all(), Math.min(to, Math.max(NEAREST, all())));
  wide.style.width = `${Math.max(length * scale, scroller.clientWidth)}px`;
  scroller.scrollLeft = under * scale - at;
  place();
  redraw();
};
const place = () => {
  if (player && data.timed) head.style.transform = `translateX(${player.currentTime * scale}px)`;
};
// Scrolls so far that a moment can be seen.
const reveal = (moment) => {
  if (moment === null) return;
  const x = moment * scale - scroller.scrollLeft;
  if (x < 0 || x > scroller.clientWidth - 20) scroller.scrollLeft = moment * scale - scroller.clientWidth / 4;
};
const hit = (event) => {
  const box = canvas.getBoundingClientRect(), y = event.clientY - box.top;
  const moment = (event.clientX - box.left + scroller.scrollLeft) / scale, slack = 2 / scale;
  const lane = y >= AXIS && y < laneTop(data.lanes.length) ? Math.floor((y - AXIS) / (NAME + BLOCK + GAP)) : whose;
  let row = -1;
  for (let at = 0; at < count; at += 1) {
    if (start[at] === null || end[at] === null || (lane >= 0 && data.lane[at] !== lane)) continue;
    if (start[at] - slack <= moment && moment <= end[at] + slack) row = at;
  }
  return { row, moment };
};

find("in").onclick = () => zoom(scale * 2);
find("out").onclick = () => zoom(scale / 2);
find("all").onclick = () => zoom(0);
data.lanes.forEach((name, lane) => find("whose").append(new Option(name, lane)));
find("whose").onchange = (event) => { whose = Number(event.target.value); redraw(); };
scroller.onscroll = redraw;
scroller.addEventListener("wheel", (event) => {
  // A pinch on a touch pad is a wheel with Ctrl.
  if (!event.ctrlKey) return;
  event.preventDefault();
  zoom(scale * Math.exp(-event.deltaY / 200), event.clientX - scroller.getBoundingClientRect().left);
}, { passive: false });
canvas.onpointermove = (event) => {
  const { row, moment } = hit(event);
  find("hover").textContent = row < 0 ? (data.timed ? clock(moment) : "") :
    `${data.timed ? clock(start[row]) : row + 1} ${speakerOf(row)}, ${moodOf(row)}: ${textOf(row)}`;
};
canvas.onclick = (event) => {
  const { row, moment } = hit(event);
  if (row >= 0) choose(row, { seek: true });
  else if (player && data.timed) player.currentTime = moment;
};
