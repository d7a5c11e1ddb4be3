"use strict";
// The page: settings, a worker that trains, curves, and the sentence that reads them.

const $ = id => document.getElementById(id);
const FLOOR = Math.log(1 + Math.exp(-1)); // the loss of outputs 1 and 0 behind the sigmoid
const INVITATION = $("rest").textContent;
const KEPT = 8; // runs that stay
const NAMES = { add: "25 % mirrored added", each: "mirrored" };
let runs = [], current = null;

// -- The pictures: one PNG, tile after tile --------------------------------------------------------

async function readPictures() {
  const bytes = Uint8Array.from(atob(PICTURES.png), c => c.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none" });
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const all = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const pixels = new Uint8Array(PICTURES.labels.length * 960), across = bitmap.width / 32;
  for (let i = 0; i < pixels.length; i++) {
    const row = Math.floor(i / 960), y = Math.floor(i % 960 / 32) + Math.floor(row / across) * 30;
    pixels[i] = all[(y * bitmap.width + (row % across) * 32 + i % 32) * 4];
  }
  return { pixels, labels: PICTURES.labels, subjects: PICTURES.subjects };
}

/** Accuracy of a look-up table: each held-out picture gets the label of the nearest other one. */
function copyNearest({ train: rows, val }, { pixels, labels }) {
  let right = 0;
  for (const row of val) {
    let best = Infinity, label = 0;
    for (const other of rows) {
      let far = 0;
      for (let i = 0; i < 960 && far < best; i++) far += (pixels[row * 960 + i] - pixels[other * 960 + i]) ** 2;
      if (far < best) { best = far; label = labels[other]; }
    }
    right += label === labels[row];
  }
  return right / val.length;
}

// -- Training, in a worker -------------------------------------------------------------------------

const work = `
let newest = 0, data = null;
onmessage = ({ data: told }) => {
  if (told.pixels) { data = told; return; }
  const mine = ++newest;
  if (told.settings) train(told.settings, data, result => postMessage({ id: told.id, ...result }), () => mine === newest);
};`;
const source = `const SHAPES = ${JSON.stringify(SHAPES)};${$("script-trainer").textContent}${work}`;
const worker = new Worker(URL.createObjectURL(new Blob([source])));
const ready = readPictures().then(data => { worker.postMessage(data); return data; });

function chosen() {
  const value = id => $(id).value, [way, fraction] = value("flips").split(" ");
  return {
    network: value("network"), by: value("by"), head: value("head"), people: Number(value("people")),
    l2: Number(value("l2")), p_drop: Number(value("p_drop")), flips: [way, Number(fraction)],
    n_epochs: Number(value("n_epochs")), lr: 0.002, seed: runs.length + start.before,
  };
}

function inWords({ network, by, head, people, l2, p_drop, flips: [way, fraction] }) {
  return [network, by === "person" ? "people held out" : "pictures held out", `${people} people`,
    head === "logit" && "logits", l2 > 0 && `λ = ${l2}`, p_drop > 0 && `dropout ${p_drop * 100} %`,
    way !== "none" && (way === "each" ? `${fraction * 100} % ` : "") + NAMES[way]].filter(Boolean).join(", ");
}

async function start() {
  const data = await ready, settings = chosen(), id = ++start.count;
  const split = splitRows(settings, data.subjects);
  if (current?.history.length === 0) runs.pop(); // stopped before its first epoch
  current = { id, settings, history: [], wrong: [], running: true, copy: copyNearest(split, data), n: split.val.length };
  runs.push(current);
  if (runs.length > KEPT) { runs.shift(); start.before++; }
  worker.postMessage({ id, settings });
  show();
}
start.count = start.before = 0;

function stop() {
  if (current?.running) {
    current.running = false;
    worker.postMessage({ stop: true });
  }
  show();
}

worker.onmessage = ({ data: { id, epoch, train, val, rows } }) => {
  if (id !== current?.id || !current.running) return;
  current.history.push({ train: train.accuracy, val: val.accuracy, train_loss: train.loss, val_loss: val.loss });
  current.wrong = rows.map((row, i) => ({ row, p: val.probs[i] }))
    .filter(({ row, p }) => (p > 0.5) !== (PICTURES.labels[row] === 1));
  if (epoch === current.settings.n_epochs) current.running = false;
  show();
};

$("settings").onsubmit = event => { event.preventDefault(); start(); };
$("stop").onclick = stop;
$("clear").onclick = () => { stop(); start.before += runs.length; runs = []; current = null; show(); };

// -- What is shown ---------------------------------------------------------------------------------

let asked = false;
function show() {
  if (!asked) requestAnimationFrame(() => { asked = false; render(); });
  asked = true;
}

async function render() {
  const data = await ready;
  $("start").textContent = current?.running ? "Start again" : "Train";
  $("stop").disabled = !current?.running;
  $("clear").disabled = !runs.length;
  const [gap, rest] = reading(current);
  $("gap").textContent = gap;
  $("rest").textContent = rest;
  if (!current?.running) $("said").textContent = gap + rest; // a screen reader hears the end, not each epoch
  drawChart("accuracy", ["train", "val"], [0.4, 1], current?.copy, "copy");
  const losses = runs.flatMap(run => run.history.flatMap(h => [h.train_loss, h.val_loss]));
  const top = [0.8, 1.2, 2, 4, 8, 16].find(limit => Math.max(0, ...losses) <= limit) ?? 32;
  drawChart("loss", ["train_loss", "val_loss"], [0, top], current?.settings.head === "sigmoid" ? FLOOR : null, "floor");
  showFaces(data);
  showRuns();
}

const points = x => Math.round(x * 100);
const best = history => history.reduce((k, h, i) => (h.val > history[k].val ? i : k), 0);

/** One or two sentences from the numbers: the gap, and what choosing an epoch afterwards would do. */
function reading(run) {
  if (!run) return ["", INVITATION];
  const { history, settings, n, copy } = run, points_of = k => `${k} point${k === 1 ? "" : "s"}`;
  if (!history.length) return ["", run.running ? `Epoch 1 of ${settings.n_epochs} …` : "Stopped before the first epoch ended."];
  const last = history.at(-1), gap = points(last.train - last.val), k = best(history);
  const held = settings.by === "person" ? "people it has not seen" : "held-out pictures of people it has seen";
  const first = `Epoch ${history.length}: train ${last.train.toFixed(2)}, ${held} ${last.val.toFixed(2)}: `
    + (gap > 0 ? `${points_of(gap)} gap.` : "no gap.");
  const train = history.map(h => h.train), ten = train.slice(-10).sort((a, b) => a - b);
  if (history.length >= 5 && ten[ten.length >> 1] < 0.7) { // as `sglib.training.fit.outcome` says
    return [first, Math.max(...train) < 0.7 ? " It has not learned anything yet; some runs never do, on any data."
      : " It had learned and has collapsed."];
  }
  const gain = points(history[k].val - last.val);
  const flattered = gain > 0 ? ` Reporting the best epoch, ${k + 1}, would flatter it by ${points_of(gain)}.` : "";
  const no_better = points(last.val - copy) > 0 ? "" : ", which is no worse";
  return [first, `${flattered} Copying the nearest picture's label reaches ${copy.toFixed(2)}${no_better} (${n} pictures).`];
}

const SVG = "http://www.w3.org/2000/svg";
function drawChart(id, [train, val], [low, high], level, kind) {
  const svg = $(id), parts = [], epochs = Math.max(10, ...runs.map(run => run.settings.n_epochs));
  const left = 34, right = 352, top = 8, bottom = 204;
  const x = epoch => left + (right - left) * epoch / epochs;
  const y = value => bottom - (bottom - top) * (Math.min(Math.max(value, low), high) - low) / (high - low);
  const add = (name, attributes, text = "") => {
    const element = document.createElementNS(SVG, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    element.textContent = text;
    parts.push(element);
  };
  for (let i = 0; i <= 4; i++) {
    const value = low + (high - low) * i / 4;
    add("path", { class: "grid", d: `M${left} ${y(value)}H${right}` });
    add("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(high - low < 2 ? 2 : 0));
    add("text", { x: x(epochs * i / 4), y: bottom + 15, "text-anchor": "middle" }, String(Math.round(epochs * i / 4)));
  }
  add("text", { x: (left + right) / 2, y: bottom + 28, "text-anchor": "middle" }, "epoch");
  if (level != null) add("path", { class: kind, d: `M${left} ${y(level)}H${right}` });
  for (const run of [...runs.filter(one => one !== current), ...(current ? [current] : [])]) {
    for (const [key, who] of [[val, "val"], [train, "train"]]) {
      if (!run.history.length) continue;
      const line = run.history.map((h, i) => `${x(i + 1).toFixed(1)} ${y(h[key]).toFixed(1)}`);
      const state = run === current ? "run" : run === lit ? "old lit" : "old";
      add("path", { class: `${state} ${who}`, d: `M${line.join("L")}` });
      if (who === "val" && run !== current) {
        const [x1, y1] = line.at(-1).split(" ").map(Number);
        add("text", { class: "end", x: x1 + 2, y: y1 + 3 }, String(run.id));
      }
      if (run !== current) continue;
      const [cx, cy] = line.at(-1).split(" ");
      add("circle", { class: who, cx, cy, r: 3.2 });
    }
  }
  svg.replaceChildren(...parts);
}

function showFaces({ pixels, labels }) {
  const faces = $("faces"), wrong = current?.wrong ?? [];
  faces.replaceChildren(...wrong.slice(0, 24).map(({ row, p }) => {
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    const canvas = Object.assign(document.createElement("canvas"), { width: 32, height: 30 });
    const image = new ImageData(32, 30);
    for (let i = 0; i < 960; i++) image.data.set([...Array(3).fill(pixels[row * 960 + i]), 255], 4 * i);
    canvas.getContext("2d").putImageData(image, 0, 0);
    caption.textContent = `p = ${p.toFixed(2)}`;
    canvas.role = "img";
    canvas.ariaLabel = `Person ${PICTURES.subjects[row] + 1}, ${labels[row] ? "with" : "without"} sunglasses`;
    figure.append(canvas, caption);
    return figure;
  }));
  if (!current?.history.length) $("wrong-text").textContent = "None yet: nothing has been trained.";
  else {
    const missed = wrong.filter(({ row }) => labels[row]).length;
    $("wrong-text").textContent = `${wrong.length} of ${current.n}: ${missed} with sunglasses called open, `
      + `${wrong.length - missed} without called sunglasses. p: probability of sunglasses.`;
  }
}

let lit = null; // the earlier run that the pointer is on in the table
function showRuns() {
  const rows = [...runs].reverse().map(run => {
    const tr = document.createElement("tr"), { history } = run, last = history.at(-1);
    const cells = last ? [history.length, last.train.toFixed(2), last.val.toFixed(2), points(last.train - last.val),
      `${history[best(history)].val.toFixed(2)} (${best(history) + 1})`] : ["…", "", "", "", ""];
    tr.className = run === current ? "now" : "";
    const head = Object.assign(document.createElement("th"), { scope: "row", textContent: `${run.id}: ${inWords(run.settings)}` });
    tr.append(head, ...cells.map(text => {
      return Object.assign(document.createElement("td"), { className: "num", textContent: text });
    }));
    tr.onpointerenter = () => { lit = run; show(); };
    tr.onpointerleave = () => { lit = null; show(); };
    return tr;
  });
  if (rows.length) $("runs").replaceChildren(...rows);
  else $("runs").innerHTML = '<tr><td colspan="6">none yet</td></tr>';
}

render();
