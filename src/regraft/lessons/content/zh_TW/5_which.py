# source: src/regraft/lessons/content/5_which.py · sha256 ac54bca5558a · release 0.1
# %% [markdown]
# # 第 5 課：何時用哪一種
#
# 要用線性探測、新的分類頭，還是微調？看兩件事：每個類別**有多少照片**，以及這些照片和預訓練的照片**有多相像**。
# 您會看到十多個資料集的實測結果，自己測量兩個資料集的相似程度，
# 再用「照著做要付出多少代價」來評斷建議的好壞。
#
# 時間：約一分鐘，不需下載。

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
# ## 實測：微調增加了多少
#
# regraft 附有一張準確率的表：螞蟻和蜜蜂、花、衣物、織品，以及繪製的圖片，各有照片少和照片多的版本。
# 圖中每個點是一個資料集，表示在相同的測試照片上，微調上層區塊的準確率比線性探測高幾個百分點。

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
# 從左邊看起。每個類別不超過 20 張**照片**時，微調*輸給*線性探測：網路早已熟悉照片，這麼少的照片只會讓它死背。
# **繪製的圖片**（細胞、手繪、聲譜圖）和它熟悉的一切都不像，所以就算只有幾張，微調也有幫助。
# 有數百張照片時，微調在每個資料集上都有幫助。三種情況的平均值，單位是百分點：

# %%
few_alike = stated(gain[~rendered & (photos <= 20)].mean(), -5, -2)
few_unlike = stated(gain[rendered & (photos <= 20)].mean(), 2, 8)
many = stated(gain[photos >= 250].mean(), 4, 12)

# %% [markdown]
# ## 測量相似程度
#
# 「有多相像」不必用猜的。`regraft advise` 會檢查網路的每個區塊：它的活化值能把您的標籤解釋得多好？
# 若**頂層**解釋得最好，表示您的照片和預訓練的照片相像。若是**較低**的區塊解釋得最好，
# 表示頂層已經丟掉您需要的資訊，應該讓它學習。這裡有兩個資料集，每個類別十張圖片：畫出來的花，
# 以及數字的掃描圖。這裡不訓練任何網路。

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
# 花的曲線幾乎一路升到頂層。數字的曲線從第 5 個區塊開始下降：上層區塊尋找的是動物和物體的局部，
# 會把筆畫丟掉。*領先幅度*是頂層比最好的較低區塊多解釋的部分，以下分別是花和數字的值：

# %%
lead_flowers = stated(advices["flowers"]["figures"]["lead"], -0.08, 0.08)
lead_digits = stated(advices["digits"]["figures"]["lead"], -0.25, -0.08)

# %% [markdown]
# 再加上照片數和線性探測的錯誤率，就能算出每種做法的預期準確率，附 90 % 區間：

# %%
for folder, found in advices.items():
    print(f"{folder}: {found['advised']}")
    for way in sorted(found["ways"], key=lambda way: -way["accuracy"]):
        low, high = way["interval"]
        print(f"   {way['title']:30} {way['accuracy']:.0%}   ({low:.0%} … {high:.0%})")

# %% [markdown]
# ## 照著建議做的代價
#
# 規則的**遺憾值**（regret），是最佳做法的準確率減去這條規則所選做法的準確率。為了公平，
# 對某個資料集提出建議時，只能使用其他資料集的結果。以下是三條規則在 25 個子集上的表現，每個子集都實測過所有做法。

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
# 沒有哪條規則的遺憾值是零：建議也常常是難分高下，這時它會如實說明。所以，**一定要先測量線性探測**。
# 它只要幾秒，是其他做法要超越的基準；若它已經夠好，就不必再做了。
#
# | | 像預訓練的照片 | 不像 |
# |---|---|---|
# | 照片**少**（每個類別不到 20 張） | 線性探測 | 先做線性探測，再和微調比較 |
# | 照片**中等** | 先做線性探測，再微調上層區塊 | 微調上層區塊 |
# | 照片**多**（每個類別數百張） | 微調 | 微調所有區塊 |
#
# 在 Keras 中，這三種做法是 `base.trainable = False`、在它上面加新的分類頭，以及
# `base.trainable = True` 搭配 1e-5 的學習率；這張表同樣適用。
#
# ## 換您試試
#
# 1. 每個類別改畫 40 株植物（原本是 10 株）。現在的建議是什麼？區間如何改變？
# 2. 在您自己的資料夾上執行 `regraft advise PHOTOS`。然後用兩種做法各訓練一次：`regraft train PHOTOS --recipe linear-probe`
#    和 `--recipe fine-tune`。您的遺憾值會是多少？
# 3. 在第一張圖中找出增益最大的資料集：`max(zip(gain, tuned))`。為什麼是它？
