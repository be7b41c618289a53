# %% [markdown]
# # Lesson 2: Feature extraction
#
# A network that was trained on a million photographs has learned to see. Without its last layer it turns a photo into a
# list of numbers, the **features**. A linear classifier on these numbers, a *linear probe*, is often all that you need.
#
# You compute the features of a few hundred digits once, look at what they mean, and solve a classifier on them in a
# second. Time: about a minute, no download.

# %%
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import regraft as rg
from regraft.sample.digits import write_digits

out = Path(tempfile.mkdtemp())
folder = Path(os.environ.get("PHOTOS", out / "digits"))
if "PHOTOS" not in os.environ:
    write_digits(folder, per_class=40)

# %% [markdown]
# ## A pretrained network, without its head
#
# `build_backbone` gives a network with the weights of its pretraining on ImageNet: photographs of a thousand kinds of
# things. No digit was among them. `ImageFolder` prepares the photos in the way this network expects, and splits them:
# **train** photos fit the classifier, **test** photos measure it.

# %%
backbone = rg.build_backbone(size=64)
photos = rg.ImageFolder(folder, network=backbone, split=(0.7, 0.0, 0.3))
print(backbone.spec.name, "·", f"{backbone.spec.parameters:,} parameters ·", backbone.spec.num_features, "features")
print(len(photos.entries), "train photos ·", len(photos.test.entries), "test photos ·", photos.classes)

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
x_test, y_test = features_of(photos.test)
print(f"{tuple(x.shape)} and {tuple(x_test.shape)} in {time.perf_counter() - begun:.0f} s")

# %% [markdown]
# ## What a feature is
#
# Photos whose features point in the same direction look alike to the network. For five test photos, here are the three
# nearest training photos. The network was never told what a digit is.

# %%
similarity = torch.nn.functional.normalize(x_test, dim=1) @ torch.nn.functional.normalize(x, dim=1).T
nearest = similarity.topk(3).indices
for i in range(0, len(y_test), len(y_test) // 5):
    neighbors = [photos.classes[y[j]] for j in nearest[i]]
    print(f"a {photos.classes[y_test[i]]} has the neighbors {', '.join(neighbors)}")
same_class = (y[nearest[:, 0]] == y_test).float().mean().item()
print(f"the nearest photo has the same class for {same_class:.0%} of the test photos; by chance it would be 10 %")

# %%
try:
    import matplotlib.pyplot as plt
    from PIL import Image

    figure, axes = plt.subplots(3, 4, figsize=(5, 4))
    for row, i in zip(axes, range(0, len(y_test), len(y_test) // 3 + 1), strict=True):
        shown = [photos.test.entries[i], *(photos.entries[j] for j in nearest[i])]
        for axis, entry in zip(row, shown, strict=True):
            axis.imshow(Image.open(entry.path).convert("RGB"))
            axis.set_title(entry.label, fontsize=8)
            axis.axis("off")
    plt.show()
except ImportError:
    print("for pictures: pip install matplotlib")

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

# %% [markdown]
# What does the pretrained network add? Solve the same classifier on the raw pixels. On these digits the pixels do
# better: the scans are small and centered, and unlike photographs. On photos of things, raw pixels are hopeless: try it
# with `PHOTOS`. So look at your own folder before you believe that a pretrained network must help.

# %%
raw, raw_test = (torch.stack([photo for photo, _ in part]).flatten(1) for part in (photos, photos.test))
weight_raw, bias_raw = logistic_regression(raw, y)
of_pixels = ((raw_test @ weight_raw.T + bias_raw).argmax(1) == y_test).float().mean().item()
print(f"features {accuracy:.1%}, pixels {of_pixels:.1%}")

# %% [markdown]
# ## How sure is that number?
#
# With few test photos, chance counts. The interval holds the true accuracy in 95 of 100 such experiments (Wilson 1927).


# %%
def wilson(p, n, z=1.96):
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


low, high = wilson(accuracy, len(y_test))
print(f"{accuracy:.1%}, and between {low:.1%} and {high:.1%} for all digits of this kind")

# %% [markdown]
# ## The same in one call
#
# `regraft train FOLDER --recipe linear-probe` does these steps, chooses the penalty by cross-validation, keeps
# near-copies of a photo on one side of the split, and writes a classifier that needs nothing else.

# %%
run = rg.train(folder, recipe="linear-probe", size=64, out=out / "run")
headline = run.metrics["measured"][run.metrics["headline"]]["figures"]["accuracy"]
print(headline)

# %%
if "PHOTOS" not in os.environ:
    assert same_class > 0.6
    assert accuracy > 0.8
    assert of_pixels > 0.9
    assert 0.8 < headline["value"] <= 1.0

# %% [markdown]
# ## Your turn
#
# 1. Solve with `penalty=0` and with `penalty=1`. What happens to the accuracy on train and on test photos?
# 2. Take five training photos of each digit only. How much accuracy is left, and how much of the pixels'?
# 3. Set `PHOTOS` to a folder of your own.
