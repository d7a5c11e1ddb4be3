"use strict";
// The paper's networks trained in plain JavaScript: what `sglib/training/reference.py` states, for
// mini-batches of any size (the paper's have one picture). Numbers are float32, sums float64.

/** Random numbers in [0, 1) from a seed: mulberry32, one stream per purpose. */
function randomFrom(seed, stream) {
  let a = (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b)) >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(n, random) {
  const rows = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [rows[i], rows[j]] = [rows[j], rows[i]];
  }
  return rows;
}

/**
 * A network with PyTorch's default initialisation, and room for what training needs. `settings`:
 * head, l2, p_drop, lr; `shape`: one of SHAPES, the sizes that `sglib/models/networks.py` gives.
 */
function makeNetwork(shape, settings, random) {
  const { padding: [pad_y, pad_x], pool1, n_flat, n_hidden } = shape;
  const height = 30 + 2 * pad_y, width = 32 + 2 * pad_x; // of a picture with its border of zeros
  const one = { rows: height - 2, columns: width - 2, n_out: 8, pool: pool1 }; // conv1's output
  one.high = Math.floor(one.rows / pool1);
  one.wide = Math.floor(one.columns / pool1);
  const two = { rows: one.high - 2, columns: one.wide - 2, n_out: 16, pool: 2 };
  two.high = Math.floor(two.rows / 2);
  two.wide = Math.floor(two.columns / 2);
  const sizes = [ // name, numbers, inputs of a unit
    ["conv1.weight", 8 * 9, 9], ["conv1.bias", 8, 9],
    ["conv2.weight", 16 * 8 * 9, 72], ["conv2.bias", 16, 72],
    ["fc1.weight", n_hidden * n_flat, n_flat], ["fc1.bias", n_hidden, n_flat],
    ["fc2.weight", 2 * n_hidden, n_hidden], ["fc2.bias", 2, n_hidden],
  ];
  const total = sizes.reduce((sum, [, n]) => sum + n, 0);
  // Weights, gradients and Adam's two moments: each one array, in which every part has its place.
  const [all, gradients, first, second] = Array.from({ length: 4 }, () => new Float32Array(total));
  const w = {}, g = {};
  let start = 0;
  for (const [name, n, n_in] of sizes) {
    w[name] = all.subarray(start, start + n);
    g[name] = gradients.subarray(start, start + n);
    for (let i = 0; i < n; i++) w[name][i] = (2 * random() - 1) / Math.sqrt(n_in);
    start += n;
  }
  for (const layer of [one, two]) {
    layer.out = new Float32Array(layer.n_out * layer.rows * layer.columns);
    layer.pooled = new Float32Array(layer.n_out * layer.high * layer.wide);
    layer.winner = new Int32Array(layer.pooled.length); // where each maximum was
    layer.d = new Float32Array(layer.pooled.length); // gradient of the loss by `pooled`
  }
  return {
    ...settings, pad_y, pad_x, height, width, one, two, n_flat, n_hidden, all, gradients, first,
    second, w, g, step: 0, hidden: new Float32Array(n_hidden), d_hidden: new Float32Array(n_hidden),
    outputs: new Float32Array(2), d_outputs: new Float32Array(2),
    idle: new Int32Array(n_hidden), touched: new Uint8Array(n_hidden),
    place: sizes.slice(0, 4).reduce((sum, [, n]) => sum + n, 0), // of fc1's weights
    kept: new Uint8Array(n_hidden).fill(1),
  };
}

/** A picture, uint8 (960), as float32 in [0, 1] with its border of zeros, maybe mirrored. */
function bordered(net, pixels, mirrored) {
  const image = new Float32Array(net.height * net.width);
  for (let y = 0; y < 30; y++) for (let x = 0; x < 32; x++) {
    image[(y + net.pad_y) * net.width + x + net.pad_x] = pixels[y * 32 + (mirrored ? 31 - x : x)] / 255;
  }
  return image;
}

/** Convolution 3×3, then the maximum of each window, then the relu. */
function convolve(layer, x, n_in, width, weight, bias) {
  const { rows, columns, n_out, pool, high, wide, out, pooled, winner } = layer;
  const area = (rows + 2) * width;
  for (let o = 0, start = 0; o < n_out; o++, start += rows * columns) {
    out.fill(bias[o], start, start + rows * columns);
    for (let i = 0; i < n_in; i++) {
      const k = (o * n_in + i) * 9;
      const a = weight[k], b = weight[k + 1], c = weight[k + 2], d = weight[k + 3], e = weight[k + 4];
      const f = weight[k + 5], g = weight[k + 6], h = weight[k + 7], j = weight[k + 8];
      for (let r = 0; r < rows; r++) {
        let p = i * area + r * width, q = p + width, s = q + width, at = start + r * columns;
        for (const end = at + columns; at < end; at++, p++, q++, s++) {
          out[at] += a * x[p] + b * x[p + 1] + c * x[p + 2] + d * x[q] + e * x[q + 1] + f * x[q + 2]
            + g * x[s] + h * x[s + 1] + j * x[s + 2];
        }
      }
    }
    for (let r = 0, to = o * high * wide; r < high; r++) for (let c = 0; c < wide; c++, to++) {
      let best = start + r * pool * columns + c * pool;
      for (let y = 0; y < pool; y++) for (let x = 0; x < pool; x++) {
        const at = start + (r * pool + y) * columns + c * pool + x;
        if (out[at] > out[best]) best = at;
      }
      winner[to] = best;
      pooled[to] = Math.max(out[best], 0);
    }
  }
}

/** Fills the layers up to the two outputs. `kept`: which units of fc1 dropout leaves. */
function forward(net, image, kept, scale) {
  const { one, two, w, hidden, outputs, n_flat, n_hidden } = net;
  convolve(one, image, 1, net.width, w["conv1.weight"], w["conv1.bias"]);
  convolve(two, one.pooled, 8, one.wide, w["conv2.weight"], w["conv2.bias"]);
  const weight = w["fc1.weight"], flat = two.pooled;
  for (let unit = 0, k = 0; unit < n_hidden; unit++, k += n_flat) {
    let sum = w["fc1.bias"][unit];
    if (kept[unit]) for (let i = 0; i < n_flat; i++) sum += weight[k + i] * flat[i];
    hidden[unit] = kept[unit] && sum > 0 ? sum * scale : 0;
  }
  for (let o = 0; o < 2; o++) {
    let sum = w["fc2.bias"][o];
    for (let i = 0; i < n_hidden; i++) sum += w["fc2.weight"][o * n_hidden + i] * hidden[i];
    outputs[o] = net.head === "sigmoid" ? 1 / (1 + Math.exp(-sum)) : sum;
  }
}

/** The loss of the outputs in nats: cross-entropy behind a softmax, whatever the head. */
function loss({ outputs: [open, sunglasses], d_outputs }, label, share) {
  const p = 1 / (1 + Math.exp(open - sunglasses)); // probability of sunglasses
  d_outputs[1] = (p - label) * share;
  d_outputs[0] = (label - p) * share;
  const margin = label ? sunglasses - open : open - sunglasses;
  return Math.max(-margin, 0) + Math.log1p(Math.exp(-Math.abs(margin)));
}

/** Adds one picture's gradients, from `d_outputs`. */
function backward(net, image, scale) {
  const { one, two, w, g, hidden, d_hidden, outputs, d_outputs, n_flat, n_hidden } = net;
  const d = d_outputs;
  if (net.head === "sigmoid") for (let o = 0; o < 2; o++) d[o] *= outputs[o] * (1 - outputs[o]);
  g["fc2.bias"][0] += d[0];
  g["fc2.bias"][1] += d[1];
  for (let i = 0; i < n_hidden; i++) {
    g["fc2.weight"][i] += d[0] * hidden[i];
    g["fc2.weight"][n_hidden + i] += d[1] * hidden[i];
    const sum = d[0] * w["fc2.weight"][i] + d[1] * w["fc2.weight"][n_hidden + i];
    d_hidden[i] = hidden[i] > 0 ? sum * scale : 0; // dropped and negative units are 0
  }
  two.d.fill(0);
  const weight = w["fc1.weight"], gradient = g["fc1.weight"], flat = two.pooled;
  for (let unit = 0; unit < n_hidden; unit++) {
    const slope = d_hidden[unit];
    if (slope === 0) continue;
    net.touched[unit] = 1;
    g["fc1.bias"][unit] += slope;
    for (let i = 0, k = unit * n_flat; i < n_flat; i++, k++) {
      gradient[k] += slope * flat[i];
      two.d[i] += slope * weight[k];
    }
  }
  one.d.fill(0);
  unpool(two, one.pooled, 8, one.wide, w["conv2.weight"], g["conv2.weight"], g["conv2.bias"], one.d);
  unpool(one, image, 1, net.width, w["conv1.weight"], g["conv1.weight"], g["conv1.bias"], null);
}

/** A convolution backwards. Only a window's maximum, where the relu is open, has a gradient. */
function unpool(layer, x, n_in, width, weight, g_weight, g_bias, d_x) {
  const { rows, columns, high, wide, pooled, winner, d } = layer, area = (rows + 2) * width;
  for (let cell = 0; cell < d.length; cell++) {
    const slope = d[cell];
    if (slope === 0 || pooled[cell] <= 0) continue;
    const o = Math.floor(cell / (high * wide)), place = winner[cell] - o * rows * columns;
    const r = Math.floor(place / columns), c = place - r * columns;
    g_bias[o] += slope;
    for (let i = 0, k = o * n_in * 9; i < n_in; i++) for (let ky = 0; ky < 3; ky++) {
      const from = i * area + (r + ky) * width + c;
      for (let kx = 0; kx < 3; kx++, k++) {
        g_weight[k] += slope * x[from + kx];
        if (d_x) d_x[from + kx] += slope * weight[k];
      }
    }
  }
}

/** One step of Adam for the weights from `start` to `end`; L2 adds λw to the gradient. */
function adam(net, start, end) {
  const { all, gradients, first, second, l2, step, lr } = net;
  const c1 = 1 - 0.9 ** step, c2 = Math.sqrt(1 - 0.999 ** step);
  for (let i = start; i < end; i++) {
    const gradient = gradients[i] + l2 * all[i];
    first[i] += (gradient - first[i]) * 0.1;
    second[i] += (gradient * gradient - second[i]) * 0.001;
    all[i] -= lr / c1 * first[i] / (Math.sqrt(second[i]) / c2 + 1e-8);
  }
}

const IDLE = 300; // steps without gradient after which 0.9³⁰⁰ of a moment moves no weight any more

function update(net) {
  const { n_hidden, n_flat, place, idle, touched, gradients, first, second } = net;
  net.step++;
  adam(net, 0, place);
  adam(net, place + n_hidden * n_flat, net.all.length);
  for (let unit = 0; unit < n_hidden; unit++) { // most units of fc1 die early: no work for them
    const start = place + unit * n_flat, end = start + n_flat, missed = idle[unit] - IDLE;
    const active = touched[unit] || net.l2 > 0;
    idle[unit] = active ? 0 : idle[unit] + 1;
    if (!active && missed >= 0) continue;
    for (let i = start; missed > 0 && i < end; i++) {
      first[i] *= 0.9 ** missed;
      second[i] *= 0.999 ** missed;
    }
    adam(net, start, end);
    if (touched[unit]) gradients.fill(0, start, end);
    touched[unit] = 0;
  }
  gradients.fill(0, 0, place);
  gradients.fill(0, place + n_hidden * n_flat);
}

/** Gradients of the mean loss of a mini-batch; returns the sum of the losses. */
function accumulate(net, images, labels, masks) {
  const scale = 1 / (1 - net.p_drop);
  let sum = 0;
  images.forEach((image, i) => {
    forward(net, image, masks ? masks[i] : net.kept, scale);
    sum += loss(net, labels[i], 1 / images.length);
    backward(net, image, scale);
  });
  return sum;
}

/** Mean loss, accuracy and probabilities of sunglasses, dropout off. */
function evaluate(net, images, labels) {
  let sum = 0, right = 0;
  const probs = images.map((image, i) => {
    forward(net, image, net.kept, 1);
    sum += loss(net, labels[i], 1);
    right += (net.outputs[1] > net.outputs[0]) === (labels[i] === 1);
    return 1 / (1 + Math.exp(net.outputs[0] - net.outputs[1]));
  });
  return { loss: sum / images.length, accuracy: right / images.length, probs };
}

/** Which pictures train and which validate: a fifth of the pictures, or of the people. */
function splitRows({ people, by, seed }, subjects) {
  const rows = [...subjects.keys()].filter(row => subjects[row] < people), random = randomFrom(seed, 9);
  const n = by === "person" ? people : rows.length;
  const held = new Set(shuffled(n, random).slice(0, Math.max(1, Math.floor(n / 5))));
  const validates = (row, i) => held.has(by === "person" ? subjects[row] : i);
  return { train: rows.filter((r, i) => !validates(r, i)), val: rows.filter((r, i) => validates(r, i)) };
}

/** Trains one network and reports after each epoch; ends early when no longer `wanted`. */
async function train(settings, data, report, wanted) {
  const net = makeNetwork(SHAPES[settings.network], settings, randomFrom(settings.seed, 0));
  const [order, flipping, dropping] = [1, 2, 3].map(stream => randomFrom(settings.seed, stream));
  const { train: rows, val } = splitRows(settings, data.subjects);
  const pixels = row => data.pixels.subarray(row * 960, row * 960 + 960);
  const plain = rows.map(row => bordered(net, pixels(row), false));
  const mirrored = rows.map(row => bordered(net, pixels(row), true));
  const shown = val.map(row => bordered(net, pixels(row), false));
  const labels = rows.map(row => data.labels[row]), valLabels = val.map(row => data.labels[row]);
  const [way, fraction] = settings.flips; // "none"; "add": copies join once; "each": anew each epoch
  const copies = way === "add" ? [...shuffled(rows.length, flipping)].slice(0, Math.floor(fraction * rows.length)) : [];
  const samples = [...rows.keys(), ...copies];
  for (let epoch = 1; epoch <= settings.n_epochs; epoch++) {
    let n = 0;
    for (const place of shuffled(samples.length, order)) {
      const row = samples[place];
      const flip = way === "each" ? flipping() < fraction : place >= rows.length;
      const mask = net.p_drop > 0 ? [net.kept.map(() => dropping() >= net.p_drop)] : null;
      accumulate(net, [flip ? mirrored[row] : plain[row]], [labels[row]], mask);
      update(net);
      if (++n % 100 === 0) {
        await new Promise(done => setTimeout(done)); // hear whether to stop
        if (!wanted()) return;
      }
    }
    report({ epoch, train: evaluate(net, plain, labels), val: evaluate(net, shown, valLabels), rows: val });
  }
}
