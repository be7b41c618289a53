# %% [markdown]
# # Lesson 5: When to use which
#
# Linear probe, a new head, or fine-tuning? Two questions decide: **how many photos** of each class you have, and **how
# much they are like** those of the pretraining. You look at measurements on a dozen collections, measure similarity on two
# of your own, and judge an advice by what it costs to follow it.
#
# Time: about a minute, no download.

# %%
import csv
import json
import os
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from regraft.lessons.stated import stated
from regraft.sample.digits import write_digits
from regraft.sample.flowers import draw_flowers

out = Path(tempfile.mkdtemp())
network = os.environ.get("NETWORK", "tf_efficientnet_lite0")

# %% [markdown]
# ## Measured: the gain of fine-tuning
#
# regraft comes with a table of accuracies: ants and bees, flowers, clothing, textiles, and rendered pictures, each with few
# and with many photos. One point of the picture is one collection. It shows how many points of accuracy fine-tuning the upper
# blocks has over the linear probe, on the same test photos.

# %%
table = resources.files("regraft.advice").joinpath("ways.csv").read_text(encoding="utf-8")
rows = list(csv.DictReader(table.splitlines()))


def key(row):
    return row["folder"], int(row["photos_a_class"]), row["source"]


probe = {key(row): row for row in rows if row["way"] == "probe"}
tuned = {key(row): row for row in rows if row["way"] == "upper blocks" and key(row) in probe}
photos = np.array([k[1] for k in tuned])
gain = np.array([100 * (float(tuned[k]["accuracy"]) - float(probe[k]["accuracy"])) for k in tuned])
rendered = np.array([probe[k]["kind"] == "rendered" for k in tuned])

figure, axes = plt.subplots(figsize=(7, 4))
axes.axhline(0, color="gray", linewidth=1)
axes.scatter(photos[~rendered], gain[~rendered], s=60, label="photographs")
axes.scatter(photos[rendered], gain[rendered], s=60, marker="^", label="rendered pictures")
axes.set_xscale("log")
axes.set_xlabel("photos of each class")
axes.set_ylabel("points over the linear probe")
axes.legend()
plt.show()

# %% [markdown]
# Read it from the left. With up to 20 **photographs** of a class, fine-tuning *loses* against the probe: the network knows
# photographs already, and so few of them only teach it to learn by heart. **Rendered pictures** (cells, drawings,
# spectrograms) are unlike everything that it knows, so that it gains even from few. With hundreds of photos, fine-tuning
# gains everywhere. The three means, in points:

# %%
few_alike = stated(gain[~rendered & (photos <= 20)].mean(), -5, -2)
few_unlike = stated(gain[rendered & (photos <= 20)].mean(), 2, 8)
many = stated(gain[photos >= 250].mean(), 4, 12)

# %% [markdown]
# ## Similarity, measured
#
# "How much alike" need not be guessed. `regraft advise` asks each block of the network how well its activations explain
# your labels. Where the **top** explains them best, your photos are like those of the pretraining. Where a **lower** block
# does, the top has lost what you need, and should learn. Here are two collections with ten pictures of each class: drawn
# flowers, and scans of digits. No network is trained.

# %%
draw_flowers(out / "flowers", plants=10)
write_digits(out / "digits", per_class=10)


def advice(folder):
    command = ["advise", str(out / folder), "--backbone", network, "--size", "64", "--json"]
    done = subprocess.run([sys.executable, "-m", "regraft", *command], capture_output=True, check=True, text=True)
    return json.loads(done.stdout)


advices = {folder: advice(folder) for folder in ("flowers", "digits")}
figure, axes = plt.subplots(figsize=(7, 3))
for folder, found in advices.items():
    explained = found["depth_profile"]["explained"]
    axes.plot(explained, marker="o", label=folder)
    axes.plot(np.argmax(explained), max(explained), marker="o", markersize=14, fillstyle="none", color="black")
axes.set_xlabel("block, from the bottom")
axes.set_ylabel("share that it explains")
axes.legend()
plt.show()

# %% [markdown]
# On flowers the curve rises almost to the top. On digits it falls from block 5 on: the upper blocks, which look for parts of
# animals and things, throw strokes away. *Lead* is what the top explains more than the best lower block, here for flowers
# and for digits:

# %%
lead_flowers = stated(advices["flowers"]["figures"]["lead"], -0.08, 0.08)
lead_digits = stated(advices["digits"]["figures"]["lead"], -0.25, -0.08)

# %% [markdown]
# With the number of photos and the mistakes of the probe, this gives the accuracy that each way is expected to have, with its
# 90 % interval:

# %%
for folder, found in advices.items():
    print(f"{folder}: {found['advised']}")
    for way in sorted(found["ways"], key=lambda way: -way["accuracy"]):
        low, high = way["interval"]
        print(f"   {way['title']:30} {way['accuracy']:.0%}   ({low:.0%} … {high:.0%})")

# %% [markdown]
# ## What it costs to follow an advice
#
# The **regret** of a rule is the accuracy of the best way minus that of the way which the rule takes. To be fair, the
# advice for a collection may use the other collections only. Here are three rules on 25 cuts, each with all ways
# measured.

# %%
from regraft.advice.evidence import evidence_of
from regraft.advice.ranking import expected_refit, rank, way_gains
from regraft.advice.ways import WAYS

evidence = evidence_of(rows)
cuts = {}
for row in rows:
    if row["source"].startswith("benchmarks/") and row["way"] in WAYS:
        cuts.setdefault((row["photos_from"], row["folder"], row["photos_a_class"]), {})[row["way"]] = row
cuts = {cut: ways for cut, ways in cuts.items() if "upper blocks" in ways}


def advised(collection, ways):
    others = [one for one in evidence if one.folder != collection]
    figures = evidence_of(list(ways.values()))[0].figures
    return rank(figures, way_gains(figures, list(ways), others), {}, None, expected_refit(figures, others)).advised


def regret(ways, chosen):
    return 100 * (max(float(row["accuracy"]) for row in ways.values()) - float(ways[chosen]["accuracy"]))


rules = {
    "always the probe": [regret(ways, "probe") for ways in cuts.values()],
    "always fine-tune": [regret(ways, "upper blocks") for ways in cuts.values()],
    "regraft advise": [regret(ways, advised(cut[0], ways)) for cut, ways in cuts.items()],
}
figure, axes = plt.subplots(figsize=(7, 2.5))
errors = [1.96 * np.std(values) / len(values) ** 0.5 for values in rules.values()]
axes.barh(list(rules), [np.mean(values) for values in rules.values()], xerr=errors)
axes.set_xlabel("regret in points, with 95 % interval")
plt.show()

# %%
assert len(cuts) == 25
assert len({row["photos_from"] for row in rows}) >= 9
always_probe = stated(np.mean(rules["always the probe"]), 3, 7)
always_fine_tune = stated(np.mean(rules["always fine-tune"]), 2, 8)
with_advice = stated(np.mean(rules["regraft advise"]), 0.5, 4)

# %% [markdown]
# No rule is free of regret: even the advice is often a toss-up, and it says so. So **measure the probe first**, always. It
# costs seconds, it is the number to beat, and where it is good enough you are done.
#
# | | like photographs | unlike |
# |---|---|---|
# | **few** (under 20 of a class) | linear probe | probe, then compare with fine-tuning |
# | **some** | probe, then fine-tune the upper blocks | fine-tune the upper blocks |
# | **many** (hundreds of a class) | fine-tune | fine-tune all blocks |
#
# In Keras the three ways are `base.trainable = False`, a new head on it, and `base.trainable = True` with a rate of 1e-5;
# the table is the same.
#
# ## Your turn
#
# 1. Draw 40 plants of each class in place of 10. What is advised now, and how does the interval change?
# 2. `regraft advise PHOTOS` on a folder of your own. Then train both ways: `regraft train PHOTOS --recipe linear-probe`, and
#    `--recipe fine-tune`. What would your regret have been?
# 3. In the first picture, find the collection with the largest gain: `max(zip(gain, tuned))`. Why this one?
