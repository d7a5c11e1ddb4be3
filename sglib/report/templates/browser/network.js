"use strict";
// A trained model in the browser. `MODEL.steps` is what PyTorch's exporter says that the model does,
// one operation after the other; this file does them, on arrays of float32.

const bytes = Uint8Array.from(atob(MODEL.weights), c => c.charCodeAt(0));
const WEIGHTS = new Float32Array(bytes.buffer);

/** The probability of sunglasses of a picture, Uint8Array (960), row after row. */
function probability(picture) {
  const values = [{ data: picture, shape: [1, 30, 32] }]; // the results so far, by number
  const found = x => { // numbers of results and places of weights become arrays; the rest stays
    if (Array.isArray(x) && x.some(y => y?.value !== undefined)) return x.map(found);
    if (x?.value !== undefined) return values[x.value];
    if (x?.weights) return x.array ??= { data: WEIGHTS.subarray(...x.weights), shape: x.shape };
    return x;
  };
  for (const step of MODEL.steps) {
    const given = {};
    for (const name in step.given) given[name] = found(step.given[name]);
    values.push({ data: OPERATIONS[step.name](given, step.shape, step), shape: step.shape });
  }
  return values.at(-1).data[0];
}

const size = shape => shape.reduce((a, b) => a * b, 1);
const each = f => ({ self }) => new Float32Array(self.data).map(x => f(x));
const both = f => ({ self, other }, shape, step) => {
  const out = new Float32Array(size(shape));
  if (typeof other === "number") return out.map((_, i) => f(self.data[i], other));
  const a = step.a ??= places(shape, self.shape), b = step.b ??= places(shape, other.shape);
  return out.map((_, i) => f(self.data[a[i]], other.data[b[i]]));
};

/** Where each element of `shape` finds its partner in `small`, whose sides may be 1 or missing. */
function places(shape, small) {
  const sides = [...Array(shape.length - small.length).fill(1), ...small];
  let place = Int32Array.of(0), stride = size(small);
  shape.forEach((n, axis) => {
    stride /= sides[axis];
    const step = sides[axis] === 1 ? 0 : stride;
    place = Int32Array.from({ length: place.length * n }, (_, i) =>
      place[Math.floor(i / n)] + (i % n) * step);
  });
  return place;
}

/** Mean, standard deviation or maximum over some axes. */
function reduce({ self, dim, correction = 0 }, shape, step) {
  const small = self.shape.map((n, axis) =>
    dim.some(d => (d + self.shape.length) % self.shape.length === axis) ? 1 : n);
  const place = step.place ??= places(self.shape, small);
  const out = new Float32Array(size(shape)), n = self.data.length / out.length;
  if (step.name === "amax") {
    out.fill(-Infinity);
    self.data.forEach((x, i) => { if (x > out[place[i]]) out[place[i]] = x; });
    return out;
  }
  const sum = new Float64Array(out.length), squares = new Float64Array(out.length);
  self.data.forEach((x, i) => { sum[place[i]] += x; });
  if (step.name === "mean") return out.map((_, i) => sum[i] / n);
  self.data.forEach((x, i) => { squares[place[i]] += (x - sum[place[i]] / n) ** 2; });
  return out.map((_, i) => Math.sqrt(squares[i] / (n - correction)));
}

/** Sum of products; four sums at once, since each addition would wait for the one before. */
function dot(a, start, b, from, n) {
  let s = 0, t = 0, u = 0, v = 0, i = 0;
  for (; i + 3 < n; i += 4) {
    s += a[start + i] * b[from + i];
    t += a[start + i + 1] * b[from + i + 1];
    u += a[start + i + 2] * b[from + i + 2];
    v += a[start + i + 3] * b[from + i + 3];
  }
  for (; i < n; i++) s += a[start + i] * b[from + i];
  return s + t + u + v;
}

function conv2d({ input, weight, bias, stride, padding, dilation, groups }, shape) {
  const [, n_in, height, width] = input.shape, [, n_each, tall, wide] = weight.shape;
  const [n, n_out, rows, columns] = shape, n_share = n_out / groups;
  const out = new Float32Array(size(shape)), patch = new Float32Array(n_each * tall * wide);
  for (let b = 0; b < n; b++) for (let g = 0; g < groups; g++) {
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) {
      const top = r * stride[0] - padding[0], left = c * stride[1] - padding[1];
      for (let i = 0, k = 0; i < n_each; i++) {
        const plane = (b * n_in + g * n_each + i) * height;
        for (let y = top, ky = 0; ky < tall; ky++, y += dilation[0]) {
          for (let x = left, kx = 0; kx < wide; kx++, x += dilation[1]) { // outside are zeros
            const inside = y >= 0 && y < height && x >= 0 && x < width;
            patch[k++] = inside ? input.data[(plane + y) * width + x] : 0;
          }
        }
      }
      for (let o = g * n_share; o < (g + 1) * n_share; o++) {
        out[((b * n_out + o) * rows + r) * columns + c] =
          dot(weight.data, o * patch.length, patch, 0, patch.length) + (bias ? bias.data[o] : 0);
      }
    }
  }
  return out;
}

function pool({ self, kernel_size, stride, padding }, shape, step) {
  const [, , height, width] = self.shape, [n, channels, rows, columns] = shape;
  const [tall, wide] = kernel_size, [sy, sx] = stride.length ? stride : kernel_size;
  const out = new Float32Array(size(shape)), largest = step.name === "max_pool2d";
  for (let plane = 0, at = 0; plane < n * channels; plane++) {
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++, at++) {
      let best = -Infinity, sum = 0;
      for (let y = r * sy - padding[0], i = 0; i < tall; i++, y++) {
        for (let x = c * sx - padding[1], j = 0; j < wide; j++, x++) {
          if (y < 0 || y >= height || x < 0 || x >= width) continue;
          const value = self.data[(plane * height + y) * width + x];
          sum += value;
          if (value > best) best = value;
        }
      }
      out[at] = largest ? best : sum / (tall * wide);
    }
  }
  return out;
}

function linear({ input, weight, bias }, shape) {
  const n_in = weight.shape[1], n_out = weight.shape[0];
  return new Float32Array(size(shape)).map((_, at) => {
    const o = at % n_out, row = (at - o) / n_out * n_in;
    return dot(weight.data, o * n_in, input.data, row, n_in) + (bias ? bias.data[o] : 0);
  });
}

const OPERATIONS = {
  conv2d, linear, max_pool2d: pool, avg_pool2d: pool, mean: reduce, std: reduce, amax: reduce,
  relu: each(x => x > 0 ? x : 0),
  sigmoid: each(x => 1 / (1 + Math.exp(-x))),
  tanh: each(Math.tanh),
  silu: each(x => x / (1 + Math.exp(-x))),
  add: both((a, b) => a + b), sub: both((a, b) => a - b),
  mul: both((a, b) => a * b), div: both((a, b) => a / b),
  // Batch normalisation of a trained network: per channel a factor and a summand.
  scale({ self, factor, summand }, shape) {
    const plane = size(shape.slice(2)), channels = shape[1];
    return self.data.map((x, i) => {
      const channel = Math.floor(i / plane) % channels;
      return x * factor.data[channel] + summand.data[channel];
    });
  },
  // Whatever only moves values: slices, mirror images, edges that are repeated, several made one.
  take({ tensors }, shape, { index }) {
    const all = tensors.length === 1 ? tensors[0].data : tensors.flatMap(t => Array.from(t.data));
    return index ? new Float32Array(index.length).map((_, i) => all[index[i]]) : new Float32Array(all);
  },
};

// -- What the answer rests on: the same picture with a grey patch here and there -------------------

/** As `sglib.predict.explain.occlusion_map`, over every `pace`-th place of the patch. */
async function occlusion(picture, pace, wanted) {
  const patch = 7, height = 30, width = 32;
  const mean = rint(picture.reduce((a, b) => a + b, 0) / picture.length);
  const odds = p => { p = Math.min(Math.max(p, 1e-7), 1 - 1e-7); return Math.log(p / (1 - p)); };
  const open = odds(probability(picture));
  const total = new Float64Array(height * width), count = new Float64Array(height * width);
  for (let top = 1 - patch; top < height; top += pace) {
    await new Promise(done => setTimeout(done)); // whether another picture has come
    if (!wanted()) return null;
    for (let left = 1 - patch; left < width; left += pace) {
      const covered = picture.slice(), under = [];
      for (let y = Math.max(0, top); y < Math.min(height, top + patch); y++) {
        for (let x = Math.max(0, left); x < Math.min(width, left + patch); x++) under.push(y * width + x);
      }
      for (const i of under) covered[i] = mean;
      const fall = open - odds(probability(covered));
      for (const i of under) { total[i] += fall; count[i]++; }
    }
  }
  return total.map((sum, i) => count[i] ? sum / count[i] : 0);
}

/** The nearest whole number; of two the even one, as Python does. */
function rint(x) {
  const low = Math.floor(x), rest = x - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}
