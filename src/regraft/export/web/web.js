"use strict";
(() => {
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

  const ready = load().then(
    (loaded) => ((status.textContent = "Ready. Photos stay on this device."), loaded),
    (error) => {
      status.textContent = `This browser cannot run the classifier: ${error.message}`;
      throw error;
    },
  );
  ready.catch(() => undefined);

  /** Pixels of a picture on white, RGB, upright. */
  function read(picture, width, height) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const brush = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
    brush.fillStyle = "white";
    brush.fillRect(0, 0, width, height);
    brush.drawImage(picture, 0, 0);
    const { data } = brush.getImageData(0, 0, width, height);
    const pixels = new Uint8Array(3 * width * height);
    for (let from = 0, to = 0; from < data.length; from += 4) {
      pixels[to++] = data[from];
      pixels[to++] = data[from + 1];
      pixels[to++] = data[from + 2];
    }
    return { canvas, pixels };
  }

  async function classify(picture, width, height) {
    const { ort, session } = await ready;
    const { canvas, pixels } = read(picture, width, height);
    const answer = await session.run({ photo: new ort.Tensor("uint8", pixels, [height, width, 3]) });
    return {
      canvas,
      probabilities: Array.from(answer.probabilities.data),
      label: Number(answer.label.data[0]),
      top: Array.from(answer.top.data, Number),
      unsure: Boolean(answer.unsure.data[0]),
    };
  }

  async function classifyFile(file) {
    const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
    return classify(picture, picture.width, picture.height);
  }

  const element = (tag, text) => Object.assign(document.createElement(tag), text === undefined ? {} : { textContent: text });

  function show(name, found) {
    const article = element("article");
    article.className = "answer";
    const small = element("canvas");
    const scale = Math.min(1, 256 / Math.max(found.canvas.width, found.canvas.height));
    small.width = Math.max(1, Math.round(found.canvas.width * scale));
    small.height = Math.max(1, Math.round(found.canvas.height * scale));
    small.getContext("2d").drawImage(found.canvas, 0, 0, small.width, small.height);
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
        status.textContent = "Ready. Photos stay on this device.";
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
  shoot.addEventListener("click", async () => show("camera", await classify(video, video.videoWidth, video.videoHeight)));

  window.regraft = { ready, classifyFile };
})();
