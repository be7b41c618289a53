# %% [markdown]
# # Lesson 2: Feature extraction
#
# A network that was trained on a million photographs has learned to see. Without its last layer it turns a photo into a
# list of numbers, the **features**. A linear classifier on these numbers, a *linear probe*, is often all that you need.
#
# You compute the features of 200 pictures of flowers once, look at what they mean, and solve a classifier on them in a
# second. Time: about half a minute, no download. With `PHOTOS` you take a folder of your own, with `NETWORK` the lecture's
# networks, such as `vgg16` (they are downloaded).

# %%
import os
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image

import regraft as rg
from regraft.lessons.stated import stated
from regraft.sample.flowers import draw_flowers

out = Path(tempfile.mkdtemp())
folder = Path(os.environ.get("PHOTOS", out / "flowers"))
if "PHOTOS" not in os.environ:
    draw_flowers(folder, plants=40)

# %% [markdown]
# ## A pretrained network, without its head
#
# `build_backbone` gives a network with the weights of its pretraining on ImageNet: photographs of a thousand kinds of
# things. Of our five flowers only the daisy was among them. `ImageFolder` prepares the photos in the way this network expects, and splits them:
# **train** photos fit the classifier, **test** photos measure it.

# %%
backbone = rg.build_backbone(os.environ.get("NETWORK", "tf_efficientnet_lite0"), size=64)
photos = rg.ImageFolder(folder, network=backbone, split=(0.7, 0.0, 0.3))
test = photos.test or photos.validation
print(backbone.spec.name, "·", f"{backbone.spec.parameters:,} parameters ·", backbone.spec.num_features, "features")
print(len(photos.entries), "train photos ·", len(test.entries), "test photos ·", photos.classes)

# %% [markdown]
# ## Features, computed once
#
# The network is **frozen**: nothing in it changes. So the features of a photo are the same every time, and one pass over
# the photos is enough.


# %%
def features_of(part):
    loader = torch.utils.data.DataLoader(part, batch_size=32)
    with torch.inference_mode():
        found = [(backbone(batch), labels) for batch, labels in loader]
    return torch.cat([features for features, _ in found]).clone(), torch.cat([labels for _, labels in found])


begun = time.perf_counter()
x, y = features_of(photos)
x_test, y_test = features_of(test)
print(f"{tuple(x.shape)} and {tuple(x_test.shape)} in {time.perf_counter() - begun:.0f} s")
assert not any(parameter.requires_grad for parameter in backbone.parameters())

# %% [markdown]
# The same in Keras 3 (it needs a download of the weights), and in plain torch with timm:
#
# ```python
# base = keras.applications.VGG16(weights="imagenet", include_top=False, pooling="avg")
# x = base.predict(keras.applications.vgg16.preprocess_input(images))
#
# body = timm.create_model("vgg16", pretrained=True, num_classes=0).eval()
# with torch.inference_mode():
#     x = body(images)
# ```
#
# ## What a feature is
#
# Photos whose features point in the same direction look alike to the network. Left is a test photo; next to it are the
# training photos with the most similar features. The network was never told the names of our flowers.

# %%
similarity = torch.nn.functional.normalize(x_test, dim=1) @ torch.nn.functional.normalize(x, dim=1).T
nearest = similarity.topk(5).indices
figure, axes = plt.subplots(5, 6, figsize=(8, 7))
for row, i in zip(axes, torch.linspace(0, len(y_test) - 1, 5).long().tolist(), strict=True):
    shown = [test.entries[i], *(photos.entries[j] for j in nearest[i])]
    for axis, entry in zip(row, shown, strict=True):
        axis.imshow(Image.open(entry.path).convert("RGB"))
        axis.set_title(entry.label, color="black" if entry.label == shown[0].label else "red", size=9)
        axis.axis("off")
plt.show()

# %% [markdown]
# Most neighbors are of the same class; by chance it would be 20 %. In per cent, for the nearest one:

# %%
same_class = stated(100 * (y[nearest[:, 0]] == y_test).float().mean().item(), 55, 95)

# %% [markdown]
# ## A linear classifier on the features
#
# Logistic regression: one weight for each feature and class, so that the right class gets the highest score. A small
# penalty on large weights keeps it from learning the training photos by heart. The problem has one best solution, and
# L-BFGS finds it in a second.


# %%
def logistic_regression(x, y, penalty=1e-3):
    weight = torch.zeros(len(photos.classes), x.shape[1], requires_grad=True)
    bias = torch.zeros(len(photos.classes), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(x @ weight.T + bias, y) + penalty * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return weight.detach(), bias.detach()


begun = time.perf_counter()
weight, bias = logistic_regression(x, y)
accuracy = ((x_test @ weight.T + bias).argmax(1) == y_test).float().mean().item()
print(f"solved in {time.perf_counter() - begun:.1f} s: {accuracy:.1%} of {len(y_test)} test photos")

# %%
of_features = stated(100 * accuracy, 75, 98)

# %% [markdown]
# What does the pretrained network add? Solve the same classifier on the raw pixels. With few photos it hardly beats guessing:
# one pixel means nothing, until something has learned to see edges, petals and disks.

# %%
raw, raw_test = (torch.stack([photo for photo, _ in part]).flatten(1) for part in (photos, test))
weight_raw, bias_raw = logistic_regression(raw, y)
of_pixels = stated(100 * ((raw_test @ weight_raw.T + bias_raw).argmax(1) == y_test).float().mean().item(), 15, 60)

# %% [markdown]
# ## Why it is enough for few photos
#
# The probe learns only a weight for each feature and class. So even a handful of photos of each class gives most of the
# accuracy. Solve it with 2, 5, 10 and all training photos of each class:

# %%
counts, curve = [2, 5, 10, 20, 30], []
for count in counts:
    few = torch.cat([(y == label).nonzero()[:count, 0] for label in range(len(photos.classes))])
    w, b = logistic_regression(x[few], y[few])
    curve.append(100 * ((x_test @ w.T + b).argmax(1) == y_test).float().mean().item())

figure, axes = plt.subplots(figsize=(6, 3))
axes.plot(counts, curve, marker="o", label="features")
axes.axhline(of_pixels, color="gray", linestyle="--", label="pixels, all photos")
axes.set_xlabel("photos of each class")
axes.set_ylabel("accuracy in %")
axes.legend()
plt.show()

# %%
with_five = stated(curve[1], 45, 90)

# %% [markdown]
# ## How sure is that number?
#
# With few test photos, chance counts. The interval holds the true accuracy in 95 of 100 such experiments (Wilson 1927).


# %%
def wilson(p, n, z=1.96):
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


low, high = wilson(accuracy, len(y_test))
print(f"{accuracy:.1%}, and between {low:.1%} and {high:.1%} for all flowers of this kind")

# %% [markdown]
# ## The same in one call
#
# `regraft train FOLDER --recipe linear-probe` does these steps, chooses the penalty by cross-validation, keeps
# near-copies of a photo on one side of the split, and writes a classifier that needs nothing else.

# %%
run = rg.train(folder, recipe="linear-probe", backbone=backbone.spec.name, size=64, out=out / "run")
headline = run.metrics["measured"][run.metrics["headline"]]["figures"]["accuracy"]
print(headline)

# %%
in_one_call = stated(100 * headline["value"], 75, 99)

# %% [markdown]
# ## Your turn
#
# 1. Solve with `penalty=0` and with `penalty=1`. What happens to the accuracy on train and on test photos?
# 2. Show the test photos on which the probe is wrong. Would you have known?
# 3. Set `PHOTOS` to a folder of your own.
