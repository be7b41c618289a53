"use strict";

/**
 * The orientation that a file states in Exif or XMP, read as Pillow reads it, and the file without these parts.
 *
 * Browsers differ in what they apply: one ignores the orientation of a WebP file, another that of XMP. A file without
 * an orientation is decoded as it is stored by all of them.
 */

const latin1 = new TextDecoder("latin1"); // browsers take it for windows-1252: only its ASCII can be compared
const textAt = (bytes, from, length) => latin1.decode(bytes.subarray(from, from + length));
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Returns "jpeg", "png" or "webp", or "other". */
export function kindOf(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "jpeg";
  if (bytes[0] === 0x89 && textAt(bytes, 1, 7) === "PNG\r\n\x1a\n") return "png";
  return textAt(bytes, 0, 4) === "RIFF" && textAt(bytes, 8, 4) === "WEBP" ? "webp" : "other";
}

const TIFF_HEADS = ["MM\0*", "II*\0", "MM*\0", "II\0*", "MM\0+", "II+\0"];
const SIZE_OF_TYPE = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8 };
const INTEGERS = new Map([
  [3, (view, at, little) => view.getUint16(at, little)],
  [4, (view, at, little) => view.getUint32(at, little)],
  [6, (view, at) => view.getInt8(at)],
  [8, (view, at, little) => view.getInt16(at, little)],
  [9, (view, at, little) => view.getInt32(at, little)],
  [13, (view, at, little) => view.getUint32(at, little)],
  [16, (view, at, little) => Number(view.getBigUint64(at, little))],
]);
const ORIENTATION = 0x0112;

/** Returns the orientation in Exif data, 0 if it is not a valid number, or null if there is none. */
export function exifOrientation(exif, prefixes = 2) {
  let data = exif;
  for (let k = 0; k < prefixes && textAt(data, 0, 6) === "Exif\0\0"; k++) data = data.subarray(6);
  if (!data.length) return null;
  const head = textAt(data, 0, 4);
  if (!TIFF_HEADS.includes(head) || data.length < 8 || head === "II+\0") return 0;
  const [view, little] = [viewOf(data), head[0] === "I"];
  const start = view.getUint32(4, little);
  if (start + 2 > data.length) return null;
  const count = view.getUint16(start, little);
  let outside = 0;
  for (let at = start + 2, k = 0; k < count && at + 12 <= data.length; k++, at += 12) {
    const [tag, type] = [view.getUint16(at, little), view.getUint16(at + 2, little)];
    const size = view.getUint32(at + 4, little) * (SIZE_OF_TYPE[type] ?? 0);
    if (!size) continue;
    const place = size > 4 ? view.getUint32(at + 8, little) : at + 8;
    if (size > 4 && (outside += size) > data.length) continue;
    if (place + size > data.length) return null;
    if (tag === ORIENTATION) return INTEGERS.get(type)?.(view, place, little) ?? 0;
  }
  return null;
}

/** Returns the orientation in XMP, or null. */
const xmpOrientation = (xmp) => {
  const match = /tiff:Orientation(?:="|>)([0-9])/.exec(xmp);
  return match && Number(match[1]);
};

const valid = (orientation) => (orientation >= 2 && orientation <= 8 ? orientation : 1);
const joined = (parts) => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};

/** Returns the orientation of a JPEG and the file without Exif and XMP. */
function fromJpeg(bytes) {
  const [view, kept, exif] = [viewOf(bytes), [], []];
  let [at, last, xmp] = [2, 0, null];
  while (at + 4 <= bytes.length) {
    const marker = bytes[at + 1];
    if (bytes[at] !== 0xff || marker === 0xff) at += 1;
    else if (marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd9)) at += 2;
    else if (marker === 0xda) break;
    else {
      const end = at + 2 + view.getUint16(at + 2);
      const body = bytes.subarray(at + 4, end);
      const isExif = marker === 0xe1 && textAt(body, 0, 6) === "Exif\0\0";
      const isXmp = marker === 0xe1 && textAt(body, 0, 29) === "http://ns.adobe.com/xap/1.0/\0";
      if (isExif) exif.push(exif.length ? body.subarray(6) : body);
      if (isXmp) xmp = latin1.decode(body.subarray(29));
      if (isExif || isXmp) {
        kept.push(bytes.subarray(last, at));
        last = end;
      }
      at = end;
    }
  }
  kept.push(bytes.subarray(last));
  const stated = exif.length ? exifOrientation(joined(exif)) : null;
  return { orientation: valid(stated ?? (xmp === null ? 1 : xmpOrientation(xmp))), plain: joined(kept) };
}

/** Yields the chunks of a RIFF file after its head: name, start, and end with the padding. */
function* riffChunks(bytes) {
  const view = viewOf(bytes);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    const end = Math.min(at + 8 + size + (size & 1), bytes.length);
    yield { name: textAt(bytes, at, 4), at, size, end };
    at = end;
  }
}

/** Returns the orientation of a WebP file and the file without Exif and XMP. */
function fromWebp(bytes) {
  const [kept, first] = [[bytes.subarray(0, 12)], {}];
  let flags = 0;
  for (const { name, at, size, end } of riffChunks(bytes)) {
    if (name === "VP8X" && at === 12) flags = bytes[at + 8];
    if (name === "EXIF" || name === "XMP ") first[name] ??= bytes.subarray(at + 8, at + 8 + size);
    else kept.push(bytes.subarray(at, end));
  }
  const plain = joined(kept);
  viewOf(plain).setUint32(4, plain.length - 8, true);
  if (flags) plain[20] = flags & ~0x0c;
  const exif = flags & 0x08 && first.EXIF?.length ? exifOrientation(first.EXIF) : null; // as libwebp: only if announced
  const xmp = flags & 0x04 && first["XMP "] ? xmpOrientation(latin1.decode(first["XMP "])) : 1;
  return { orientation: valid(exif ?? xmp), plain };
}

/** Returns the orientation that the texts and the chunk eXIf of a PNG state: `info` has them by their keys. */
export function pngOrientation(info) {
  const raw = info["Raw profile type exif"];
  const hexadecimal = raw?.split("\n").slice(3).join("").replace(/\s/g, "");
  let exif = info.exif ?? null;
  if (!exif && raw !== undefined) {
    if (!/^([0-9a-f]{2})*$/i.test(hexadecimal)) return 1;
    exif = Uint8Array.from(hexadecimal.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  }
  const stated = exif?.length ? exifOrientation(exif, info.prefixes ?? 2) : null;
  return valid(stated ?? xmpOrientation(info["XML:com.adobe.xmp"] ?? ""));
}

/** Returns the orientation of a file, 1 to 8, and the file without the metadata that states it; of a PNG, the file. */
export function separated(bytes, kind) {
  if (kind === "jpeg") return fromJpeg(bytes);
  return kind === "webp" ? fromWebp(bytes) : { orientation: 1, plain: bytes };
}
