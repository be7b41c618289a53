const content = (id) => document.getElementById(id).textContent;
const bytes = (id) => Uint8Array.from(atob(content(id)), (c) => c.charCodeAt(0));
const facts = JSON.parse(content("facts"));
const status = document.getElementById("status");
const answers = document.getElementById("answers");
const video = document.getElementById("video");
const shoot = document.getElementById("shoot");
let stream = null;

async function load() {
  const code = new Blob([bytes("runtime")], { type: "text/javascript" });
  const ort = await import(URL.createObjectURL(code));
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = bytes("wasm").buffer;
  const session = await ort.InferenceSession.create(bytes("model"), { executionProviders: ["wasm"] });
  return { ort, session };
}

const atRest = () =>
  pixelsAreChanged()
    ? "Ready, but this browser changes the pixels that a page reads, so that answers differ. Allow canvas data."
    : "Ready. Photos stay on this device.";
const ready = load().then(
  (loaded) => ((status.textContent = atRest()), loaded),
  (error) => {
    status.textContent = `This browser cannot run the classifier: ${error.message}`;
    throw error;
  },
);
ready.catch(() => undefined);

const STRIP = 256;
const WIDE = 4096; // phones refuse a larger canvas

/** Returns a picture for `photoPixels`, which reads its pixels through a small canvas, strip by strip. */
function pictureOf(bitmap) {
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  let [first, strip, lines] = [0, null, 0];
  const read = (top, count) => {
    [canvas.width, canvas.height] = [Math.min(width, WIDE), count];
    const brush = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
    const all = new Uint8ClampedArray(4 * width * count);
    for (let left = 0; left < width; left += WIDE) {
      const wide = Math.min(WIDE, width - left);
      brush.clearRect(0, 0, wide, count);
      brush.drawImage(bitmap, left, top, wide, count, 0, 0, wide, count);
      const { data } = brush.getImageData(0, 0, wide, count);
      for (let y = 0; y < count; y++) all.set(data.subarray(4 * wide * y, 4 * wide * (y + 1)), 4 * (y * width + left));
    }
    return all;
  };
  const rows = (top, count) => {
    if (!strip || top < first || top + count > first + lines) {
      [first, lines] = [top, Math.min(Math.max(STRIP, count), height - top)];
      strip = read(first, lines);
    }
    return strip.subarray(4 * width * (top - first), 4 * width * (top - first + count));
  };
  return { width, height, rows, close: () => bitmap.close() };
}

const decode = async (bytes) => pictureOf(await createImageBitmap(new Blob([bytes])));

/** Returns whether the browser changes pixels that a page reads, as some do against fingerprinting. */
function pixelsAreChanged() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [16, 16];
  const brush = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  const colors = Uint8ClampedArray.from({ length: 1024 }, (_, k) => (k % 4 === 3 ? 255 : (k * 37) % 256));
  brush.putImageData(new ImageData(colors, 16, 16), 0, 0);
  return brush.getImageData(0, 0, 16, 16).data.some((value, k) => value !== colors[k]);
}

async function classify(photo) {
  const { ort, session } = await ready;
  const { pixels, width, height } = photo;
  const answer = await session.run({ photo: new ort.Tensor("uint8", pixels, [height, width, 3]) });
  return {
    photo,
    probabilities: Array.from(answer.probabilities.data),
    label: Number(answer.label.data[0]),
    top: Array.from(answer.top.data, Number),
    unsure: Boolean(answer.unsure.data[0]),
  };
}

const readFile = async (file) => photoPixels(new Uint8Array(await file.arrayBuffer()), facts, decode);
const classifyFile = async (file) => classify(await readFile(file));

/** Returns a small canvas with a photo. */
function thumbnail({ pixels, width, height }) {
  const scale = Math.min(1, 256 / Math.max(width, height));
  const [wide, high] = [width, height].map((size) => Math.max(1, Math.round(size * scale)));
  const small = new ImageData(wide, high);
  for (let y = 0, to = 0; y < high; y++)
    for (let x = 0; x < wide; x++, to += 4) {
      const from = 3 * (Math.floor(((y + 0.5) * height) / high) * width + Math.floor(((x + 0.5) * width) / wide));
      small.data.set([pixels[from], pixels[from + 1], pixels[from + 2], 255], to);
    }
  const canvas = element("canvas");
  [canvas.width, canvas.height] = [wide, high];
  canvas.getContext("2d").putImageData(small, 0, 0);
  return canvas;
}

const element = (tag, text) => Object.assign(document.createElement(tag), text === undefined ? {} : { textContent: text });

function show(name, found) {
  const article = element("article");
  article.className = "answer";
  const small = thumbnail(found.photo);
  small.setAttribute("role", "img");
  small.setAttribute("aria-label", name);
  const right = element("div");
  const line = element("p");
  line.append(element("strong", facts.classes[found.label]), ` ${found.unsure ? "(unsure)" : ""} · ${name}`);
  const bars = element("dl");
  bars.className = "bars";
  for (const one of found.top) {
    const bar = Object.assign(element("progress"), { max: 1, value: found.probabilities[one] });
    bar.setAttribute("aria-label", facts.classes[one]);
    const middle = element("dd");
    middle.append(bar);
    bars.append(element("dt", facts.classes[one]), middle, element("dd", `${(100 * found.probabilities[one]).toFixed(1)} %`));
  }
  right.append(line, bars);
  article.append(small, right);
  answers.prepend(article);
}

async function classifyAll(files) {
  for (const file of files) {
    status.textContent = `Looking at ${file.name} …`;
    try {
      show(file.name, await classifyFile(file));
      status.textContent = atRest();
    } catch (error) {
      status.textContent = `${file.name} cannot be read: ${error.message}`;
    }
  }
}

const drop = document.getElementById("drop");
const chooser = document.getElementById("files");
chooser.addEventListener("change", () => classifyAll([...chooser.files]));
for (const kind of ["dragover", "dragenter"])
  drop.addEventListener(kind, (event) => (event.preventDefault(), drop.classList.add("over")));
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  classifyAll([...event.dataTransfer.files]);
});
document.addEventListener("paste", (event) => classifyAll([...event.clipboardData.files]));

const camera = document.getElementById("camera");
camera.addEventListener("click", async () => {
  if (stream) {
    for (const track of stream.getTracks()) track.stop();
    stream = null;
  } else {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      status.textContent = `The camera is not available: ${error.message}`;
    }
  }
  video.srcObject = stream;
  video.hidden = shoot.hidden = !stream;
  camera.textContent = stream ? "Stop the camera" : "Use the camera";
});
const takePicture = async () => opaquePixels(pictureOf(await createImageBitmap(video)));
shoot.addEventListener("click", async () => show("camera", await classify(await takePicture())));

window.regraft = { ready, classifyFile, readFile };
