/**
 * A reader of PNG files. Browsers reduce 16 bits in their own ways, apply a gamma, and lose colors under transparency.
 */

const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

/** Returns at least `most` bytes of a compressed stream, or all of it; with `whole`, throws if there are fewer. */
async function inflated(parts, most, whole) {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const [reader, all] = [stream.getReader(), new Uint8Array(most)];
  let at = 0;
  try {
    while (at < most) {
      const { done, value } = await reader.read();
      if (done) break;
      all.set(value.subarray(0, most - at), at);
      at += value.length;
    }
  } catch (error) {
    if (at < most && whole) throw new Error("the PNG is damaged", { cause: error });
  }
  reader.cancel().catch(() => undefined);
  if (at < most && whole) throw new Error("the PNG is truncated");
  return all.subarray(0, Math.min(at, most));
}

const MAX_TEXT = 1 << 20;

/** Adds a chunk of text or Exif to `info`, as Pillow does: later ones replace earlier ones. */
async function addText(info, type, body) {
  if (type === "eXIf") [info.exif, info.prefixes] = [body, 1];
  const cut = body.indexOf(0);
  if (type === "eXIf" || cut < 1) return;
  const [key, rest] = [textAt(body, 0, cut), body.subarray(cut + 1)];
  if (!["exif", "Raw profile type exif", "XML:com.adobe.xmp"].includes(key)) return;
  let value = rest;
  if (type === "zTXt") value = await inflated([rest.subarray(1)], MAX_TEXT, false);
  if (type === "iTXt") {
    const second = rest.indexOf(0, rest.indexOf(0, 2) + 1) + 1;
    value = rest[0] ? await inflated([rest.subarray(second)], MAX_TEXT, false) : rest.subarray(second);
  }
  if (key !== "exif") info[key] = latin1.decode(value);
  else if (type === "tEXt") [info.exif, info.prefixes] = [value, 2];
}

/** Returns the parts of a PNG: its head, palette, transparency, profile, compressed pixels, and texts by key. */
async function pngParts(bytes) {
  const [view, parts] = [viewOf(bytes), { data: [], info: {} }];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const [size, type] = [view.getUint32(at), textAt(bytes, at + 4, 4)];
    const body = bytes.subarray(at + 8, at + 8 + size);
    if (type === "IHDR") parts.head = viewOf(body);
    else if (type === "PLTE") parts.palette = body;
    else if (type === "tRNS") parts.clear = body;
    else if (type === "iCCP") parts.profile = bytes.subarray(at, at + 12 + size);
    else if (type === "IDAT") parts.data.push(body);
    else if (["eXIf", "tEXt", "zTXt", "iTXt"].includes(type)) await addText(parts.info, type, body);
    else if (type === "IEND") break;
    at += 12 + size;
  }
  if (!parts.head || parts.head.byteLength < 13 || !parts.data.length) throw new Error("the PNG is truncated");
  return parts;
}

/** Undoes the filter of one row in place; `above` is the row above it, `step` the bytes of a pixel. */
function unfiltered(filter, row, above, step) {
  for (let k = 0; k < row.length; k++) {
    const left = k < step ? 0 : row[k - step];
    const [up, corner] = above ? [above[k], k < step ? 0 : above[k - step]] : [0, 0];
    if (filter === 1) row[k] += left;
    else if (filter === 2) row[k] += up;
    else if (filter === 3) row[k] += (left + up) >> 1;
    else if (filter === 4) {
      const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
      row[k] += a <= b && a <= c ? left : b <= c ? up : corner;
    }
  }
}

/** Returns the samples of all pixels, in 8 bits or, of 16-bit gray, in 16. */
function samplesOf(raw, { width, height, depth, channels, deep, passes }) {
  const samples = new (deep ? Uint16Array : Uint8Array)(width * height * channels);
  const step = Math.max((channels * depth) >> 3, 1);
  let at = 0;
  for (const [left, top, across, down] of passes) {
    const columns = Math.ceil((width - left) / across);
    const bytesOfRow = Math.ceil((columns * channels * depth) / 8);
    if (columns < 1) continue;
    let above = null;
    for (let y = top; y < height; y += down) {
      const row = raw.subarray(at + 1, at + 1 + bytesOfRow);
      unfiltered(raw[at], row, above, step);
      at += 1 + bytesOfRow;
      above = row;
      for (let x = left, k = 0; x < width; x += across)
        for (let channel = 0; channel < channels; channel++, k++) {
          const to = (y * width + x) * channels + channel;
          if (depth === 8) samples[to] = row[k];
          else if (depth === 16) samples[to] = deep ? (row[2 * k] << 8) | row[2 * k + 1] : row[2 * k];
          else samples[to] = (row[(k * depth) >> 3] >> (8 - depth - ((k * depth) & 7))) & ((1 << depth) - 1);
        }
    }
  }
  return samples;
}

/** Returns the number of bytes before compression. */
const rawSize = ({ width, height, depth, channels, passes }) =>
  passes.reduce((sum, [left, top, across, down]) => {
    const [columns, rows] = [Math.ceil((width - left) / across), Math.ceil((height - top) / down)];
    return columns < 1 || rows < 1 ? sum : sum + rows * (1 + Math.ceil((columns * channels * depth) / 8));
  }, 0);

/** Returns a function from the number of a pixel to its red, green, blue and opacity. */
function colorsOf(samples, { color, depth, deep }, { palette, clear }, white) {
  const clearOf = (k) => (clear && clear.length > 2 * k + 1 ? (clear[2 * k] << 8) | clear[2 * k + 1] : -1);
  if (color === 3) return (k) => [...[0, 1, 2].map((c) => palette?.[3 * samples[k] + c] ?? 0), clear?.[samples[k]] ?? 255];
  if (color === 6) return (k) => samples.subarray(4 * k, 4 * k + 4);
  if (color === 4) return (k) => [samples[2 * k], samples[2 * k], samples[2 * k], samples[2 * k + 1]];
  const level = deep
    ? (value) => Math.floor((Math.min(value, white) * 255 + (white >> 1)) / white)
    : (value) => (depth < 8 ? (value * 255) / ((1 << depth) - 1) : value);
  if (color === 0) {
    const hidden = deep ? -1 : depth === 1 && clearOf(0) > 0 ? 255 : clearOf(0);
    return (k) => {
      const gray = level(samples[k]);
      return [gray, gray, gray, gray === hidden ? 0 : 255];
    };
  }
  const hidden = [0, 1, 2].map(clearOf);
  return (k) => {
    const [red, green, blue] = samples.subarray(3 * k, 3 * k + 3);
    return [red, green, blue, red === hidden[0] && green === hidden[1] && blue === hidden[2] ? 0 : 255];
  };
}

const crcTable = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let k = 0; k < 8; k++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** Returns a chunk of a PNG with its length and its checksum. */
function chunkOf(type, body) {
  const [chunk, checked] = [new Uint8Array(body.length + 12), new TextEncoder().encode(type)];
  chunk.set(checked, 4);
  chunk.set(body, 8);
  viewOf(chunk).setUint32(0, body.length);
  let crc = 0xffffffff;
  for (let at = 4; at < body.length + 8; at++) crc = crcTable[(crc ^ chunk[at]) & 255] ^ (crc >>> 8);
  viewOf(chunk).setUint32(body.length + 8, ~crc >>> 0);
  return chunk;
}

/** Returns an opaque PNG with the colors of a picture of `readPng` and its color profile, to be converted elsewhere. */
async function withProfile({ width, height, rows, profile, gray }) {
  const channels = gray ? 1 : 3;
  const [raw, data] = [new Uint8Array(height * (1 + channels * width)), rows(0, height)];
  for (let y = 0, to = 0; y < height; y++) {
    to += 1; // the filter: none
    for (let x = 0; x < width; x++)
      for (let channel = 0; channel < channels; channel++) raw[to++] = data[4 * (y * width + x) + channel];
  }
  const compressed = new Blob([raw]).stream().pipeThrough(new CompressionStream("deflate"));
  const head = new Uint8Array(13);
  viewOf(head).setUint32(0, width);
  viewOf(head).setUint32(4, height);
  head.set([8, gray ? 0 : 2], 8);
  const pixels = new Uint8Array(await new Response(compressed).arrayBuffer());
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  return joined([signature, chunkOf("IHDR", head), profile, chunkOf("IDAT", pixels), chunkOf("IEND", head.subarray(13))]);
}

/** Returns a picture of `readPng` in sRGB: `decode` applies its profile to the colors without their transparency. */
export async function inSrgb(picture, decode) {
  if (!picture.profile) return picture;
  const converted = await decode(await withProfile(picture));
  const rows = (top, count) => {
    const [color, opacity] = [converted.rows(top, count).slice(), picture.rows(top, count)];
    for (let at = 3; at < color.length; at += 4) color[at] = opacity[at];
    return color;
  };
  return { ...picture, rows, close: () => converted.close?.() };
}

/**
 * Returns a PNG as red, green, blue and opacity of each pixel.
 *
 * `white` is the value of 16-bit gray that becomes 255. `profile` is the chunk of a color profile that has not been
 * applied, and `gray` is true if that is one for gray.
 */
export async function readPng(bytes, white) {
  const parts = await pngParts(bytes);
  const [width, height] = [parts.head.getUint32(0), parts.head.getUint32(4)];
  const [depth, color, interlaced] = [parts.head.getUint8(8), parts.head.getUint8(9), parts.head.getUint8(12)];
  if (!(color in CHANNELS) || ![1, 2, 4, 8, 16].includes(depth)) throw new Error("the PNG is damaged");
  if (width * height > MAX_PIXELS) throw new Error("the photo is too large");
  const passes = interlaced ? PASSES : [[0, 0, 1, 1]];
  const layout = { width, height, depth, color, channels: CHANNELS[color], deep: depth === 16 && color === 0, passes };
  const samples = samplesOf(await inflated(parts.data, rawSize(layout), true), layout);
  const gray = color === 0 && (layout.deep || !parts.clear);
  const found = { orientation: pngOrientation(parts.info), profile: parts.profile, gray };
  if (color === 6) return { ...whole(samples, width, height), ...found };
  const [colorAt, data] = [colorsOf(samples, layout, parts, white), new Uint8Array(4 * width * height)];
  for (let k = 0; k < width * height; k++) data.set(colorAt(k), 4 * k);
  return { ...whole(data, width, height), ...found };
}
