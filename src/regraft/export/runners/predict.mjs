// Classify photos with the model.onnx in the same folder: node predict.mjs PHOTO ...
// Needs: npm install onnxruntime-web sharp. Written by regraft export; it does not need regraft.
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";
import sharp from "sharp";

const near = (name) => readFile(new URL(name, import.meta.url));
const classes = (await near("labels.txt")).toString().split("\n");
const session = await ort.InferenceSession.create(await near("model.onnx"));

for (const path of process.argv.slice(2)) {
  try {
    const upright = sharp(path, { failOn: "error" }).rotate().flatten({ background: "white" }).toColourspace("srgb");
    const { data, info } = await upright.removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const answer = await session.run({ photo: new ort.Tensor("uint8", data, [info.height, info.width, 3]) });
    const label = Number(answer.label.data[0]);
    const unsure = answer.unsure.data[0] ? "unsure" : "";
    console.log([path, classes[label], answer.probabilities.data[label].toFixed(6), unsure].join("\t"));
  } catch (error) {
    console.log([path, "", "", `unreadable: ${error.message}`].join("\t"));
  }
}
