"""`python _keras_head.py DATA PEERS`: Keras 3 on the torch backend, the frozen network as a layer, Dense on top.

As its guide to transfer learning does it, with the photos cropped and normalised as the network's weights want it.
"""

import json
import os
import resource
import sys
import time

BEGUN = time.time()
os.environ["KERAS_BACKEND"] = "torch"
EPOCHS, SIZE = 5, 224


def main() -> None:
    """Train the head, and print one line of JSON."""
    sys.path.insert(0, sys.argv[2])
    import keras
    import numpy as np
    from _lite0 import listing, lite0
    from PIL import Image

    keras.utils.set_random_seed(0)
    classes, files = listing(sys.argv[1])
    data = {}
    for split, rows in files.items():
        pixels = np.empty((len(rows), 3, SIZE, SIZE), np.float32)
        for i, (file, _) in enumerate(rows):
            with Image.open(file) as image:
                rgb = image.convert("RGB")
            scale = 256 / min(rgb.size)
            rgb = rgb.resize((round(rgb.width * scale), round(rgb.height * scale)), Image.Resampling.BICUBIC)
            left, top = (rgb.width - SIZE) // 2, (rgb.height - SIZE) // 2
            crop = np.asarray(rgb.crop((left, top, left + SIZE, top + SIZE)), np.float32)
            pixels[i] = (crop / 127.5 - 1).transpose(2, 0, 1)
        data[split] = pixels, np.array([label for _, label in rows])
    network = keras.layers.TorchModuleWrapper(lite0().eval(), output_shape=(None, 1280))
    network.trainable = False
    model = keras.Sequential(
        [keras.Input((3, SIZE, SIZE)), network, keras.layers.Dropout(0.2), keras.layers.Dense(len(classes))]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    model.fit(*data["train"], epochs=EPOCHS, batch_size=32, verbose=0)
    right = float(model.evaluate(*data["val"], verbose=0)[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"method": "keras", "accuracy": right, "seconds": time.time() - BEGUN, "peak_mb": peak}))


if __name__ == "__main__":
    main()
