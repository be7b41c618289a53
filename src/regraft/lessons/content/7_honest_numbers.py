# %% [markdown]
# # Lesson 7: Honest numbers
#
# "The network is right on 97 % of the test photos." Three questions decide what that is worth. **Which** photos were
# tested: did the network see their neighbors? **What for**: was anything chosen on them? And **how many** were there? You
# answer each question with an experiment, and see in points how far a careless number is from the truth.
#
# Time: about half a minute, no download.

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image

import regraft as rg
from regraft.lessons.stated import stated
from regraft.sample.flowers import draw_flowers

out = Path(tempfile.mkdtemp())
draw_flowers(out / "series", plants=8, shots=5)
draw_flowers(out / "new", plants=40, garden=1)
backbone = rg.build_backbone(os.environ.get("NETWORK", "tf_efficientnet_lite0"), size=64)

# %% [markdown]
# ## 1. Which photos: the random split against the grouped one
#
# Photos are taken in series: five of the same plant, a minute apart. The truth is what the classifier does with **new**
# plants. Here are eight plants of each flower, five photos of each, and new plants from another garden.


# %%
def features_of(folder):
    photos = rg.ImageFolder(folder, network=backbone, split=(1.0, 0.0, 0.0))
    with torch.inference_mode():
        found = [(backbone(batch), y) for batch, y in torch.utils.data.DataLoader(photos, batch_size=32)]
    x = torch.nn.functional.normalize(torch.cat([features for features, _ in found]), dim=1).numpy()
    return x, torch.cat([y for _, y in found]).numpy(), [entry.path for entry in photos.entries]


x, y, paths = features_of(out / "series")
x_new, y_new, _ = features_of(out / "new")
plants = np.array([f"{path.parent.name} {path.name.split('-')[0]}" for path in paths])
print(x.shape, x_new.shape, len(set(plants)))


# %%
def fitted(x, y):
    """Return a linear classifier: ridge regression on the labels as zeros and ones."""
    kernel = x @ x.T + 0.1 * np.eye(len(x))
    weights = x.T @ np.linalg.solve(kernel, np.eye(5)[y])
    return lambda x: (x @ weights).argmax(1)


def random_test(draw):
    return draw.permutation(len(y)) < len(y) // 4


def grouped_test(draw):
    return np.isin(plants, draw.permutation(sorted(set(plants)))[: len(set(plants)) // 4])


def accuracies(split, repeats=100):
    draw, found = np.random.default_rng(0), []
    for _ in range(repeats):
        test = split(draw)
        found.append((fitted(x[~test], y[~test])(x[test]) == y[test]).mean())
    return 100 * np.array(found)


by_photo, by_plant = accuracies(random_test), accuracies(grouped_test)
truth = 100 * (fitted(x, y)(x_new) == y_new).mean()

figure, axes = plt.subplots(figsize=(7, 3))
bins = np.arange(40, 103, 2.5)
axes.hist(by_photo, bins, alpha=0.7, label="random split")
axes.hist(by_plant, bins, alpha=0.7, label="plants kept together")
axes.axvline(truth, color="black", linewidth=2, label="new plants")
axes.set_xlabel("accuracy, of 100 splits")
axes.legend()
plt.show()

# %% [markdown]
# The same photos, the same classifier; only the split differs. The random one promises many points that new plants do
# not give: the points that it is too high, then those of the grouped split.

# %%
too_high = stated(by_photo.mean() - truth, 5, 30)
grouped_error = stated(by_plant.mean() - truth, -8, 5)

# %% [markdown]
# Why? Look at the nearest training photo of a test photo. After a random split it is the same plant: the classifier
# remembers it, and needs to know nothing about flowers.

# %%
draw = np.random.default_rng(1)
shown = draw.permutation(len(y))[:5]
figure, axes = plt.subplots(3, 5, figsize=(8, 5))
for column, i in enumerate(shown):
    near = x @ x[i]
    others, other_plants = np.arange(len(y)) != i, plants != plants[i]
    for row, j in enumerate([i, np.where(others, near, -1).argmax(), np.where(other_plants, near, -1).argmax()]):
        axes[row, column].imshow(Image.open(paths[j]))
        axes[row, column].axis("off")
for row, title in enumerate(["test photo", "nearest photo", "nearest other plant"]):
    axes[row, 2].set_title(title)
plt.show()

# %%
nearest = x @ x.T - 2 * np.eye(len(y))
same_plant = stated(100 * (plants[nearest.argmax(1)] == plants).mean(), 75, 100)

# %% [markdown]
# regraft keeps together what belongs together: near-duplicates by themselves, series with `--group-by time`, `number`,
# or an expression such as `--group-by "(plant\d+)"`. In scikit-learn it is `GroupShuffleSplit` in place of `train_test_split`.
#
# ## 2. What for: choosing on the test photos
#
# Now a hundred classifiers, each with 20 features drawn at random: as a hundred seeds, rates or epochs would be, they
# are about equally good. Measure all of them on 40 test photos, publish the best. The other 160 new photos know the truth.

# %%
draw = np.random.default_rng(0)
right = np.empty((100, len(y_new)))
for one in right:
    some = draw.permutation(x.shape[1])[:20]
    one[:] = fitted(x[:, some], y)(x_new[:, some]) == y_new

few = draw.permutation(len(y_new)) < 40
published, honest = 100 * right[:, few].mean(1), 100 * right[:, ~few].mean(1)
best = published.argmax()

figure, axes = plt.subplots(figsize=(5, 4))
axes.scatter(published, honest, s=20)
axes.scatter(published[best], honest[best], s=120, facecolor="none", edgecolor="red", linewidth=2, label="chosen")
axes.axline((50, 50), slope=1, color="gray", linewidth=1)
axes.set_xlabel("accuracy on the 40 test photos that chose")
axes.set_ylabel("accuracy on 160 other photos")
axes.legend()
plt.show()

# %% [markdown]
# The chosen one is far below the line: its 40 photos were lucky. Repeat it with 200 draws of the 40 photos: how many points
# does the published number promise too much, on average?

# %%
lost = []
for _ in range(200):
    few = draw.permutation(len(y_new)) < 40
    best = right[:, few].mean(1).argmax()
    lost.append(100 * (right[best, few].mean() - right[best, ~few].mean()))
promised_too_much = stated(np.mean(lost), 4, 20)

# %% [markdown]
# The best epoch of `val_accuracy` is such a choice, too. So photos have three tasks: **train** fits, **validation** chooses,
# **test** is measured once. `metrics.json` of regraft has `used_for_choosing` at every figure.
#
# ## 3. How many: 153 photos
#
# The ants and bees of every tutorial have 153 validation photos. Let a classifier be right on 95 % of all ants and bees of
# the world, and measure it on 153 of them, ten thousand times.

# %%
measured = 100 * np.random.default_rng(0).binomial(153, 0.95, 10_000) / 153
low, high = np.quantile(measured, [0.025, 0.975])

figure, axes = plt.subplots(figsize=(7, 3))
axes.hist(measured, np.arange(85.3, 101, 100 / 153))
axes.axvspan(low, high, alpha=0.2)
axes.set_xlabel("accuracy on 153 photos, if the truth is 95 %")
plt.show()

# %% [markdown]
# Between these two numbers lie 95 of 100 measurements. "94.8 %" and "96.1 %" on 153 photos differ by two photos: not a
# difference.

# %%
lower = stated(low, 90.5, 92)
upper = stated(high, 98, 99)

# %% [markdown]
# You have one measurement, not ten thousand. The interval of Wilson (1927) turns it round: it holds the truth in 95 of 100
# cases. Half its width, in points, for 95 % right of ...


# %%
def wilson(right, n, z=1.96):
    p = right / n
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


half_widths = {n: 50 * np.subtract(*wilson(0.95 * n, n)[::-1]) for n in (20, 153, 1000, 10_000)}
print({n: f"± {half:.1f}" for n, half in half_widths.items()})

# %%
of_153 = stated(half_widths[153], 3, 4)
of_1000 = stated(half_widths[1000], 1, 1.7)

# %% [markdown]
# Four times as many photos halve the width. To compare two classifiers, test both on the **same** photos and count only those on
# which they differ: that interval is much narrower (`regraft runs compare A B`).
#
# ## The three sentences of an honest report
#
# 1. "153 photos, of plants that are not in the training photos,
# 2. which were used for no choice:
# 3. 95 % right, with an interval of 90 to 97 %."
#
# `regraft train` prints all three.
#
# ## Your turn
#
# 1. Draw 40 plants with one photo each in place of 8 with five. How much too high is the random split now?
# 2. Choose among 5 classifiers in place of 100; among 1,000. How does the promise grow?
# 3. Which of the three questions does the last paper that you read leave open?
