/** The pixels of a photo, as regraft decodes it: upright, in sRGB, on an opaque ground. */

const MAX_PIXELS = 250_000_000;
const LARGE_PIXELS = 40_000_000;
const DIFFERENCE = 32;

/** Returns a picture whose pixels are all in memory: `rows(top, count)` gives red, green, blue and opacity. */
const whole = (data, width, height) => ({
  width,
  height,
  rows: (top, count) => data.subarray(4 * width * top, 4 * width * (top + count)),
});

/** Returns the factor of reduction that leaves twice the needed size; at least 1. */
const spareFactor = (width, height, [wide, high]) =>
  Math.max(Math.min(Math.floor(width / (2 * wide)), Math.floor(height / (2 * high))), 1);

/** Returns the factor by which regraft reduces a JPEG while decoding it: 1, 2, 4 or 8. */
function jpegFactor(width, height, need) {
  const spare = spareFactor(width, height, need);
  const per = (size) => Math.floor(size / Math.max(Math.floor(size / spare), 1));
  const least = Math.min(per(width), per(height));
  return [8, 4, 2].find((factor) => factor <= least) ?? 1;
}

/** Returns the gray level of the ground: 0 under a picture that is white where it is visible, otherwise 255. */
function groundLevel(picture, rule) {
  if (rule !== "visible") return 255;
  const [width, height] = [Math.min(picture.width, 1024), Math.min(picture.height, 1024)];
  let [visible, different] = [0, 0];
  for (let y = 0; y < height; y++) {
    const row = picture.rows(Math.floor(((y + 0.5) * picture.height) / height), 1);
    for (let x = 0; x < width; x++) {
      const at = 4 * Math.floor(((x + 0.5) * picture.width) / width);
      const opacity = row[at + 3];
      if (opacity > DIFFERENCE) visible += 1;
      if ((255 - Math.min(row[at], row[at + 1], row[at + 2])) * opacity > 255 * DIFFERENCE) different += 1;
    }
  }
  return visible && different < 0.005 * visible ? 0 : 255;
}

/** Returns red, green and blue of all pixels of an opaque picture. */
export const opaquePixels = (picture) => reduced(picture, 1, 255);

/** Returns red, green and blue of all pixels on a ground, reduced by averaging squares of `factor` pixels. */
function reduced(picture, factor, ground) {
  const [width, height] = [Math.ceil(picture.width / factor), Math.ceil(picture.height / factor)];
  const [data, sums] = [new Uint8Array(3 * width * height), new Uint32Array(3 * width)];
  for (let top = 0; top < picture.height; top += factor) {
    const count = Math.min(factor, picture.height - top);
    const rows = picture.rows(top, count);
    sums.fill(0);
    for (let k = 0; k < picture.width * count; k++) {
      const [opacity, to] = [rows[4 * k + 3], 3 * Math.floor((k % picture.width) / factor)];
      for (let channel = 0; channel < 3; channel++) {
        const mixed = ground * (255 - opacity) + rows[4 * k + channel] * opacity + 128;
        sums[to + channel] += (mixed + (mixed >> 8)) >> 8;
      }
    }
    for (let x = 0; x < width; x++) {
      const area = Math.min(factor, picture.width - x * factor) * count;
      for (let channel = 0; channel < 3; channel++)
        data[3 * ((top / factor) * width + x) + channel] = (sums[3 * x + channel] + (area >> 1)) / area;
    }
  }
  return { pixels: data, width, height };
}

/** Returns a picture of red, green and blue turned upright, given its Exif orientation (1 to 8). */
export function turned({ pixels, width, height }, orientation) {
  if (orientation === 1) return { pixels, width, height };
  const swapped = orientation >= 5;
  const [wide, high] = swapped ? [height, width] : [width, height];
  const [flipX, flipY] = [[2, 3, 7, 8].includes(orientation), [3, 4, 6, 7].includes(orientation)];
  const upright = new Uint8Array(pixels.length);
  for (let y = 0, to = 0; y < high; y++)
    for (let x = 0; x < wide; x++) {
      const [u, v] = swapped ? [y, x] : [x, y];
      const from = 3 * ((flipY ? height - 1 - v : v) * width + (flipX ? width - 1 - u : u));
      upright[to++] = pixels[from];
      upright[to++] = pixels[from + 1];
      upright[to++] = pixels[from + 2];
    }
  return { pixels: upright, width: wide, height: high };
}

/**
 * Returns `{ pixels, width, height }` of a photo: (height, width, 3), upright, in sRGB.
 *
 * `facts` has `at_least` (width, height), `white_level` and `ground`. `decode(bytes)` decodes a file as it is stored and
 * returns `{ width, height, rows(top, count) }`, straight red, green, blue and opacity in sRGB.
 */
export async function photoPixels(bytes, facts, decode) {
  const kind = kindOf(bytes);
  const { orientation: stated, plain } = separated(bytes, kind);
  const own = kind === "png" && typeof DecompressionStream !== "undefined";
  const picture = own ? await inSrgb(await readPng(bytes, facts.white_level), decode) : await decode(plain);
  const { width, height } = picture;
  const orientation = picture.orientation ?? stated;
  const [wide, high] = facts.at_least;
  const need = orientation >= 5 ? [high, wide] : [wide, high];
  let factor = kind === "jpeg" ? jpegFactor(width, height, need) : 1;
  if (width * height > factor * factor * LARGE_PIXELS) factor = spareFactor(width, height, need);
  if (width * height > MAX_PIXELS && factor === 1) throw new Error("the photo is too large");
  const ground = kind === "jpeg" ? 255 : groundLevel(picture, facts.ground);
  const photo = turned(reduced(picture, factor, ground), orientation);
  picture.close?.();
  return photo;
}
