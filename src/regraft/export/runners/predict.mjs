// Classify photos with the model.onnx in the same folder: node predict.mjs PHOTO ...
// Needs: npm install onnxruntime-web sharp. Written by regraft export; it does not need regraft.
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";
import sharp from "sharp";
import { photoPixels } from "./pixels.mjs";

const near = (name) => readFile(new URL(name, import.meta.url));
const facts = JSON.parse(await near("facts.json"));
const session = await ort.InferenceSession.create(await near("model.onnx"));

/** Returns a picture as it is stored, in sRGB; ink without a color profile becomes light as in Pillow. */
async function decode(bytes) {
  const image = sharp(bytes, { failOn: "error", limitInputPixels: false });
  const { space, icc } = await image.metadata();
  const ink = space === "cmyk" && !icc;
  const wanted = ink ? image.pipelineColourspace("cmyk").toColourspace("cmyk") : image.toColourspace("srgb").ensureAlpha();
  const { data, info } = await wanted.raw().toBuffer({ resolveWithObject: true });
  const [{ width, height }, line] = [info, 4 * info.width];
  const rows = (top, count) => data.subarray(line * top, line * (top + count));
  if (!ink) return { width, height, rows };
  for (let at = 0; at < data.length; at += 4) {
    const light = 255 - data[at + 3];
    for (let k = at; k < at + 3; k++) data[k] = light - Math.round((data[k] * light) / 255);
    data[at + 3] = 255;
  }
  return { width, height, rows };
}

for (const path of process.argv.slice(2)) {
  try {
    const { pixels, width, height } = await photoPixels(await readFile(path), facts, decode);
    const answer = await session.run({ photo: new ort.Tensor("uint8", pixels, [height, width, 3]) });
    const label = Number(answer.label.data[0]);
    const unsure = answer.unsure.data[0] ? "unsure" : "";
    const name = facts.classes[label].replace(/[\t\n\r]/g, " "); // one line, four columns
    console.log([path, name, answer.probabilities.data[label].toFixed(6), unsure].join("\t"));
  } catch (error) {
    console.log([path, "", "", `unreadable: ${error.message}`].join("\t"));
  }
}
