"use strict";
// Any picture as the networks' 30×32 grey pixels: what `sglib/predict/pictures.py` does.

const HEIGHT = 30, WIDTH = 32;

/** Grey values of red, green, blue, opacity: ITU-R 601 in whole numbers as Pillow has it, on white. */
function toGray(rgba) {
  const gray = new Uint8Array(rgba.length / 4);
  for (let i = 0, j = 0; i < gray.length; i++, j += 4) {
    const luma = (rgba[j] * 19595 + rgba[j + 1] * 38470 + rgba[j + 2] * 7471 + 0x8000) >> 16;
    const opacity = rgba[j + 3];
    gray[i] = opacity === 255 ? luma : Math.round((luma * opacity + 255 * (255 - opacity)) / 255);
  }
  return gray;
}

/**
 * A part of a picture at the networks' size: proportions kept, the rest filled with its edge.
 * The part {left, top, width, height} is in whole pixels and may reach over the picture's border,
 * which is repeated then.
 */
function fit(picture, part) {
  const scale = Math.min(HEIGHT / part.height, WIDTH / part.width);
  const h = Math.max(1, rint(part.height * scale)), w = Math.max(1, rint(part.width * scale));
  const small = scale > 1 ? interpolated(picture, part, h, w) : averaged(picture, part, h, w);
  const top = Math.floor((HEIGHT - h) / 2), left = Math.floor((WIDTH - w) / 2);
  const out = new Uint8Array(HEIGHT * WIDTH);
  for (let y = 0; y < HEIGHT; y++) for (let x = 0; x < WIDTH; x++) {
    out[y * WIDTH + x] = small[clamp(y - top, h) * w + clamp(x - left, w)];
  }
  return out;
}

const clamp = (i, n) => Math.min(Math.max(i, 0), n - 1);

/** Which old pixels enter each new one, and with which weight: by the area they share. */
function shares(n_old, n_new) {
  return Array.from({ length: n_new }, (_, i) => {
    const from = i * n_old / n_new, to = (i + 1) * n_old / n_new, entries = [];
    for (let p = Math.floor(from); p < Math.min(Math.ceil(to), n_old); p++) {
      const share = (Math.min(to, p + 1) - Math.max(from, p)) * n_new / n_old;
      if (share > 0) entries.push([p, share]);
    }
    return entries;
  });
}

function averaged({ gray, width, height }, part, h, w) {
  const across = shares(part.width, w), out = new Uint8Array(h * w);
  const columns = Int32Array.from({ length: part.width }, (_, i) => clamp(part.left + i, width));
  shares(part.height, h).forEach((rows, y) => {
    const line = new Float64Array(part.width);
    for (const [row, share] of rows) {
      const start = clamp(part.top + row, height) * width;
      for (let i = 0; i < line.length; i++) line[i] += share * gray[start + columns[i]];
    }
    across.forEach((entries, x) => {
      let sum = 0;
      for (const [i, share] of entries) sum += share * line[i];
      out[y * w + x] = rint(sum);
    });
  });
  return out;
}

/** Pillow's bilinear enlargement, in its 22-bit whole numbers: across first, then down. */
function interpolated({ gray, width, height }, part, h, w) {
  const cut = new Uint8Array(part.width * part.height).map((_, i) => {
    const y = Math.floor(i / part.width), x = i % part.width;
    return gray[clamp(part.top + y, height) * width + clamp(part.left + x, width)];
  });
  const wide = enlarged(cut, part.height, part.width, w);
  return transposed(enlarged(transposed(wide, part.height, w), w, part.height, h), w, h);
}

function enlarged(pixels, rows, n_old, n_new) {
  const out = new Uint8Array(rows * n_new), scale = n_old / n_new;
  for (let x = 0; x < n_new; x++) {
    const centre = (x + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - 0.5)), to = Math.min(n_old, Math.trunc(centre + 1.5));
    const weights = [];
    for (let i = from; i < to; i++) weights.push(Math.max(0, 1 - Math.abs(i - centre + 0.5)));
    const sum = weights.reduce((a, b) => a + b, 0);
    const whole = weights.map(weight => Math.trunc(weight / sum * 2 ** 22 + 0.5));
    for (let y = 0; y < rows; y++) {
      let value = 2 ** 21;
      whole.forEach((weight, i) => { value += weight * pixels[y * n_old + from + i]; });
      out[y * n_new + x] = value >> 22;
    }
  }
  return out;
}

function transposed(pixels, rows, columns) {
  return pixels.map((_, i) => pixels[(i % rows) * columns + Math.floor(i / rows)]);
}

/** How much a 30×32 picture is framed like the training pictures; as in `sglib/predict/crop.py`. */
function likeness(picture) {
  const rows = HEIGHT / 2, columns = WIDTH / 2, x = halved(picture, HEIGHT, WIDTH);
  const seen = (r, c) => x[clamp(r, rows) * columns + clamp(c, columns)];
  const edges = Array.from(x, (_, i) => {
    const r = Math.floor(i / columns), c = i % columns;
    const across = seen(r, c + 1) - seen(r, c - 1), down = seen(r + 1, c) - seen(r - 1, c);
    return [across, down, across * across + down * down + 1e-6];
  });
  const mean = edges.reduce((sum, edge) => sum + Math.sqrt(edge[2]), 0) / edges.length;
  const maps = [0, 1, 2].map(() => new Float64Array(columns * columns)); // the last row stays empty
  edges.forEach(([across, down, total], i) => {
    const unit = 1 / (total + Math.sqrt(total) * mean / 2);
    maps[0][i] = (across * across - down * down) * unit;
    maps[1][i] = 2 * across * down * unit;
    maps[2][i] = total * unit;
  });
  const [limit, ...weights] = FRAMING;
  const values = maps.flatMap(map => Array.from(halved(map, columns, columns)));
  return values.reduce((sum, value, i) => sum + value * weights[i], -limit);
}

/** Return the means of squares of 2×2. */
function halved(x, rows, columns) {
  return Float64Array.from({ length: rows * columns / 4 }, (_, i) => {
    const at = Math.floor(i / (columns / 2)) * 2 * columns + (i % (columns / 2)) * 2;
    return (x[at] + x[at + 1] + x[at + columns] + x[at + columns + 1]) / 4;
  });
}
