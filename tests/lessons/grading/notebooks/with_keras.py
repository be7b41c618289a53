# %%
import os

os.environ["KERAS_BACKEND"] = "torch"
import json
from pathlib import Path

import keras
import numpy as np
import torch
from PIL import Image

from regraft.models.untouched import untouched_network

DIR = Path("flowers")
CLASSES = ["tulip", "sunflower", "rose", "dandelion", "daisy"]  # any order will do
np.random.seed(1)
keras.utils.set_random_seed(1)


def image(path, side=64):
    pixels = np.asarray(Image.open(path).resize((side, side), Image.BILINEAR), dtype="float32")
    return (pixels / 127.5 - 1).transpose(2, 0, 1)


paths = np.array(sorted(DIR.glob("*/*.jpg")))
labels = np.array([CLASSES.index(p.parent.name) for p in paths])
order = np.concatenate([np.random.permutation(np.flatnonzero(labels == c)) for c in range(5)])
place = np.concatenate([np.arange((labels == c).sum()) for c in range(5)])
tenth = max(1, len(paths) // 50)
ids = {
    "test": order[place < tenth],
    "validation": order[(place >= tenth) & (place < 2 * tenth)],
    "train": order[place >= 2 * tenth],
}
x = np.stack([image(p) for p in paths])

out = {"photos": str(DIR), "network": "tf_efficientnet_lite0", "classes": CLASSES}
out["first_photos"] = {c: min(str(p) for p in paths if p.parent.name == c) for c in CLASSES}
out["split"] = {side: [p.as_posix() for p in paths[rows]] for side, rows in ids.items()}

# %%
network = untouched_network()
first = np.stack([image(out["first_photos"][c], 224) for c in CLASSES])
with torch.no_grad():
    scores = network(torch.tensor(first)).numpy()
out["top5"] = {c: np.argsort(-row)[:5].tolist() for c, row in zip(CLASSES, scores)}
daisy = first[CLASSES.index("daisy")]
out["input"] = {"mean": daisy.mean((1, 2)).tolist(), "std": daisy.std((1, 2)).tolist()}

# %%
network.reset_classifier(0)


class Frozen(torch.nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return self.body(x)

    def train(self, mode=True):
        return super().train(False)


base = keras.layers.TorchModuleWrapper(Frozen(network), output_shape=(None, 1280))
base.trainable = False
model = keras.Sequential([keras.Input((3, 64, 64)), base, keras.layers.Dense(5, activation="softmax")])
model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])


def quality(side):
    p = model.predict(x[ids[side]], verbose=0)
    rank = (p > np.take_along_axis(p, labels[ids[side]][:, None], 1)).sum(1)
    return float((rank < 1).mean()), float((rank < 2).mean()), dict(zip(out["split"][side], p.astype(float).tolist()))


acc, rank2, probs = quality("test")
out["before"] = {"accuracy": acc, "rank2": rank2, "probabilities": probs}

# %%
model.fit(x[ids["train"]], labels[ids["train"]], batch_size=12, epochs=5, verbose=0)
base.trainable = True
for name, weight in network.named_parameters():
    weight.requires_grad = name.startswith(("blocks.6", "conv_head", "bn2"))
was = [w.detach().clone() for w in network.parameters()]
model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"])
callbacks = [
    keras.callbacks.ModelCheckpoint("w.weights.h5", monitor="val_loss", save_best_only=True, save_weights_only=True),
    keras.callbacks.LearningRateScheduler(lambda e, lr: 1e-4 * 0.5**e),
]
fitted = model.fit(
    x[ids["train"]],
    labels[ids["train"]],
    batch_size=12,
    epochs=3,
    verbose=0,
    callbacks=callbacks,
    validation_data=(x[ids["validation"]], labels[ids["validation"]]),
)
best = {"epoch": int(np.argmin(fitted.history["val_loss"])) + 1}
model.load_weights("w.weights.h5")
out["history"] = {k: [float(v) for v in values] for k, values in fitted.history.items()}
out["best_epoch"] = best["epoch"]
delta = [(a.detach() - b).norm() ** 2 for a, b in zip(network.parameters(), was)]
out["body_moved"] = float((sum(delta) / sum(b.norm() ** 2 for b in was)) ** 0.5)

# %%
import matplotlib.pyplot as plt

plt.plot(fitted.history["loss"], label="train")
plt.plot(fitted.history["val_loss"], label="val")
plt.savefig("curves.png")

# %%
acc, rank2, probs = quality("test")
out["after"] = {"accuracy": acc, "rank2": rank2, "probabilities": probs | quality("validation")[2]}
later = sorted(Path("new flowers").glob("*.jpg"))
guessed = model.predict(np.stack([image(p) for p in later]), verbose=0).argmax(1)
out["new"] = {p.name: CLASSES[g] for p, g in zip(later, guessed)}
with open("answers.json", "w") as f:
    json.dump(out, f)
