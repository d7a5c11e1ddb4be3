"use strict";
// The page: where a picture comes from, how it is framed, and what is shown of the answer.

const $ = id => document.getElementById(id);
const MARGIN = 4, COLUMNS = WIDTH + 2 * MARGIN, ROWS = HEIGHT + 2 * MARGIN; // of the stage
const MAX_PIXELS = 25_000_000, MAX_BYTES = 20_000_000; // as `sglib predict` has them

let picture = null; // {gray, width, height, canvas}: grey values, and what is drawn on the stage
// The frame: its middle and height in the picture's pixels. `whole`: all of the picture, as
// `sglib predict` sees it, which also fills up pictures that are narrower or lower.
let frame = { x: 0, y: 0, tall: 1, whole: true };
let threshold = MODEL.threshold, answer = 0;

// -- Pictures: chosen, dropped, pasted, an example, the camera -------------------------------------

async function open(file) {
  stopCamera();
  try {
    if (file.size > MAX_BYTES) throw new Error("it has more than 20 MB");
    // Upright as EXIF says; colours as they are in the file, since networks know no colour profiles.
    const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
    const bitmap = await createImageBitmap(file, options).catch(() => {
      throw new Error("the browser cannot read it as a picture");
    });
    if (bitmap.width * bitmap.height > MAX_PIXELS) throw new Error("it has more than 25 million pixels");
    const canvas = blank(bitmap.width, bitmap.height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    take(canvas);
    frameWhole();
    say(`${file.name || "The picture"}: ${bitmap.width} × ${bitmap.height} pixels.`);
  } catch (error) {
    say(`This picture cannot be used: ${error.message}.`);
  }
}

function blank(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d", { willReadFrequently: true });
  return canvas;
}

function take(canvas) {
  const { width, height } = canvas;
  const gray = toGray(canvas.getContext("2d").getImageData(0, 0, width, height).data);
  picture = { gray, width, height, canvas };
}

function paint(canvas, rgb) { // 30×32 colours, from a function of the pixel's number
  const image = new ImageData(WIDTH, HEIGHT);
  for (let i = 0; i < WIDTH * HEIGHT; i++) image.data.set([...rgb(i), 255], 4 * i);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

const pixels = Uint8Array.from(atob(EXAMPLES.pixels), c => c.charCodeAt(0));
EXAMPLES.labels.forEach((label, number) => {
  const start = number * WIDTH * HEIGHT, canvas = blank(WIDTH, HEIGHT);
  paint(canvas, i => Array(3).fill(pixels[start + i]));
  const button = document.createElement("button");
  const what = label ? "with sunglasses" : "without";
  button.ariaLabel = `Person ${Math.floor(number / 2) + 1}, ${what}`;
  button.append(canvas);
  button.onclick = () => {
    stopCamera();
    take(canvas);
    frameWhole();
    say(`An example: a drawn person ${what}.`);
  };
  $("examples").append(button);
});

let stream = null;
async function startCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    return say("This browser gives no camera to a page opened from a file: choose a picture instead.");
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } } });
  } catch (error) {
    return say(`No camera: ${error.name === "NotAllowedError" ? "it was not allowed" : error.message}.`);
  }
  const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true });
  video.playsInline = true;
  await video.play();
  $("camera").textContent = "Take the picture";
  $("camera").ariaPressed = "true";
  say("The camera is on; its pictures stay in this page.");
  const canvas = blank(video.videoWidth, video.videoHeight);
  frame = { x: canvas.width / 2, y: canvas.height / 2, tall: canvas.height, whole: false };
  let last = 0;
  (function next(now) {
    if (!stream) return;
    if (now - last > 66) { // fifteen pictures a second
      last = now;
      canvas.getContext("2d").drawImage(video, 0, 0);
      take(canvas);
      refresh();
    }
    requestAnimationFrame(next);
  })(performance.now());
}

function stopCamera() {
  stream?.getTracks().forEach(track => track.stop());
  stream = null;
  $("camera").textContent = "Use the camera";
  $("camera").ariaPressed = "false";
}

$("camera").onclick = () => {
  if (!stream) return startCamera();
  stopCamera();
  say("Taken.");
  refresh();
};
$("file").onchange = event => { if (event.target.files[0]) open(event.target.files[0]); };
addEventListener("paste", event => {
  const file = [...event.clipboardData.files].find(one => one.type.startsWith("image/"));
  if (file) open(file);
  else say("What was pasted is no picture.");
});
addEventListener("dragover", event => { event.preventDefault(); $("drop").hidden = false; });
addEventListener("dragleave", event => { if (!event.relatedTarget) $("drop").hidden = true; });
addEventListener("drop", event => {
  event.preventDefault();
  $("drop").hidden = true;
  if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
});

// -- The frame -------------------------------------------------------------------------------------

const highest = () => Math.max(picture.height, picture.width * HEIGHT / WIDTH); // shows everything
const lowest = () => Math.min(highest(), 12); // fewer pixels show nothing

function frameWhole() {
  frame = { x: picture.width / 2, y: picture.height / 2, tall: highest(), whole: true };
  refresh();
}

function move(right, down) { // of the frame, in the picture's pixels
  frame.x = Math.min(Math.max(frame.x + right, 0), picture.width);
  frame.y = Math.min(Math.max(frame.y + down, 0), picture.height);
  frame.whole = false;
  refresh();
}

/** Zooms so that what is at (x, y), measured from the frame's middle in its heights, stays there. */
function zoom(factor, x = 0, y = 0) {
  const before = frame.tall;
  frame.tall = Math.min(Math.max(before * factor, lowest()), highest() * 1.5);
  move(x * (before - frame.tall), y * (before - frame.tall));
}

/** What the network is shown, in whole pixels of the picture. */
function part() {
  if (frame.whole) return { left: 0, top: 0, width: picture.width, height: picture.height };
  const height = Math.max(1, Math.round(frame.tall));
  const width = Math.max(1, Math.round(frame.tall * WIDTH / HEIGHT));
  const left = Math.round(frame.x - frame.tall * WIDTH / HEIGHT / 2);
  return { left, top: Math.round(frame.y - frame.tall / 2), width, height };
}

const view = $("view"), touching = new Map(); // fingers or the mouse, by number
const heights = () => view.clientHeight * HEIGHT / ROWS; // of the frame, on the screen
view.onpointerdown = event => {
  view.setPointerCapture(event.pointerId);
  touching.set(event.pointerId, event);
};
view.onpointerup = view.onpointercancel = event => touching.delete(event.pointerId);
view.onpointermove = event => {
  const before = touching.get(event.pointerId);
  if (!before || !picture) return;
  const other = [...touching.values()].find(one => one.pointerId !== event.pointerId);
  const share = (touching.size > 1 ? 0.5 : 1) / heights() * frame.tall;
  if (other) {
    const far = one => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    zoom(far(before) / Math.max(far(event), 1));
  }
  move((before.clientX - event.clientX) * share, (before.clientY - event.clientY) * share);
  touching.set(event.pointerId, event);
};
view.addEventListener("wheel", event => {
  event.preventDefault(); // the page stays where it is
  const box = view.getBoundingClientRect();
  const x = (event.clientX - box.left - box.width / 2) / heights();
  const y = (event.clientY - box.top - box.height / 2) / heights();
  zoom(Math.exp(Math.max(-50, Math.min(50, event.deltaY)) * 0.004), x, y);
}, { passive: false });
view.onkeydown = event => {
  const step = frame.tall / HEIGHT * (event.shiftKey ? 5 : 1); // one pixel of the network
  const actions = {
    ArrowLeft: () => move(step, 0), ArrowRight: () => move(-step, 0),
    ArrowUp: () => move(0, step), ArrowDown: () => move(0, -step),
    "+": () => zoom(0.92), "=": () => zoom(0.92), "-": () => zoom(1 / 0.92), 0: frameWhole,
  };
  if (!actions[event.key] || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  actions[event.key]();
};
$("larger").onclick = () => zoom(0.85);
$("smaller").onclick = () => zoom(1 / 0.85);
$("whole").onclick = frameWhole;
$("zoom").oninput = event => { // equal steps of the slider are equal factors
  zoom(highest() * (lowest() / highest()) ** event.target.value / frame.tall);
};

// -- The answer ------------------------------------------------------------------------------------

let asked = false;
function refresh() { // at most once a picture of the screen
  if (!asked) requestAnimationFrame(() => { asked = false; look(); });
  asked = true;
}

function look() {
  drawStage();
  const seen = fit(picture, part());
  answer = probability(seen);
  paint($("seen"), i => Array(3).fill(seen[i]));
  const range = Math.log(lowest() / highest());
  $("zoom").value = range ? Math.log(frame.tall / highest()) / range : 0;
  const like = likeness(seen) >= 0;
  $("framing").textContent = like ? "Framed like the training pictures."
    : "Not framed like the training pictures: the answer may mean little.";
  showAnswer();
  explain(seen);
}

function showAnswer() {
  $("answer").textContent = answer > threshold ? "Sunglasses" : "No sunglasses";
  $("probability").textContent = answer.toFixed(4);
  $("fill").style.transform = `scaleX(${answer})`;
  $("tick").style.left = `calc(${threshold * 100}% - ${threshold * 2}px)`;
  $("limit").textContent = threshold.toFixed(2);
  clearTimeout(showAnswer.later); // a screen reader is told when the picture rests
  showAnswer.later = setTimeout(() => {
    $("said").textContent = `${$("answer").textContent}, probability ${answer.toFixed(2)}`;
  }, 700);
}
$("threshold").oninput = event => { threshold = Number(event.target.value); showAnswer(); };

function drawStage() {
  const context = view.getContext("2d"), unit = view.width / COLUMNS;
  const scale = HEIGHT * unit / frame.tall, { canvas, width, height } = picture;
  const left = view.width / 2 - frame.x * scale, top = view.height / 2 - frame.y * scale;
  context.imageSmoothingEnabled = scale < 4;
  context.imageSmoothingQuality = "high";
  // The picture, and beyond its border the outermost pixels, as the network is shown them.
  const across = [[0, 1, 0, left], [0, width, left, left + width * scale],
    [width - 1, 1, left + width * scale, view.width]];
  const down = [[0, 1, 0, top], [0, height, top, top + height * scale],
    [height - 1, 1, top + height * scale, view.height]];
  for (const [sx, sw, x, right] of across) for (const [sy, sh, y, bottom] of down) {
    if (right > x && bottom > y) context.drawImage(canvas, sx, sy, sw, sh, x, y, right - x, bottom - y);
  }
}

// The map takes a thousand answers: a worker makes it, first a coarse one, then the whole.
const work = `
let newest = 0;
onmessage = async ({ data: { seen, paces } }) => {
  const mine = ++newest;
  for (const pace of paces) {
    const map = await occlusion(seen, pace, () => mine === newest);
    if (map) postMessage({ map, seen, last: pace === paces.at(-1) });
  }
};`;
const source = ["data", "network"].map(name => $(`script-${name}`).textContent);
const worker = new Worker(URL.createObjectURL(new Blob([...source, work])));
let busy = false;

function explain(seen) {
  if (stream && busy) return; // the camera does not wait, and leaves it the time it needs
  busy = true;
  worker.postMessage({ seen, paces: stream ? [4] : [4, 1] });
}

worker.onmessage = ({ data: { map, seen, last } }) => {
  if (last) busy = false;
  const strongest = Math.max(1e-12, ...map.map(Math.abs));
  paint($("map"), i => {
    const strength = Math.abs(map[i]) / strongest * 0.8; // the face shines through
    const colour = map[i] > 0 ? [230, 97, 1] : [94, 60, 153];
    return colour.map(c => Math.round((127 + seen[i] / 2) * (1 - strength) + c * strength));
  });
  $("map").dataset.done = last ? "yes" : "no";
  $("strongest").textContent = `Strongest: ${strongest.toFixed(2)} of log-odds.`;
};

function say(text) { $("message").textContent = text; }

$("examples").children[1].click(); // something to see at once
say("");
