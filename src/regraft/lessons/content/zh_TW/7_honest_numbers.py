# source: src/regraft/lessons/content/7_honest_numbers.py · sha256 ad49ece29a4c · release 0.1
# %% [markdown]
# # 第 7 課：誠實的數字
#
# 「網路在測試照片上答對 97 %。」這句話能不能信，要看三個問題。測試的是**哪些**照片：網路是不是看過和它們相近的照片？
# **用來做什麼**：有沒有拿它們來做選擇？還有，**有多少張**？您會用實驗回答每個問題，
# 並看到不嚴謹的數字和真相差了幾個百分點。
#
# 時間：約半分鐘，不需下載。

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
# ## 1. 哪些照片：隨機分割和分組分割
#
# 照片往往是成組拍攝的：同一株植物拍五張，每張只隔一分鐘。所謂真相，是分類器面對**新**植物時的表現。
# 這裡每種花有八株，每株五張照片，另有來自另一座花園的新植物。


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
# 同樣的照片，同樣的分類器，只有分割不同。隨機分割得到的準確率，比新植物上的高出許多：
# 以下先是隨機分割高估了幾個百分點，再來是分組分割。

# %%
too_high = stated(by_photo.mean() - truth, 5, 30)
grouped_error = stated(by_plant.mean() - truth, -8, 5)

# %% [markdown]
# 為什麼？看看和測試照片最相近的訓練照片。隨機分割之後，那就是同一株植物：分類器只要記得那株植物，
# 完全不必懂花。

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
# regraft 會讓相關的照片留在同一邊：近似重複的照片會自動處理，成組的照片用 `--group-by time`、`number`，
# 或 `--group-by "(plant\d+)"` 之類的表示式。在 scikit-learn 中，要用 `GroupShuffleSplit`，不用 `train_test_split`。
#
# ## 2. 用來做什麼：用測試照片來選擇
#
# 現在有一百個分類器，各用隨機抽出的 20 個特徵：就像換一百個亂數種子、學習率或訓練週期那樣，好壞都差不多。
# 用 40 張測試照片評估全部，只發表最好的那一個。另外 160 張新照片會告訴我們真相。

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
# 選出來的那一個遠在直線下方：它在那 40 張照片上運氣好。再重新抽 200 次，每次 40 張：
# 發表的數字平均高估幾個百分點？

# %%
lost = []
for _ in range(200):
    few = draw.permutation(len(y_new)) < 40
    best = right[:, few].mean(1).argmax()
    lost.append(100 * (right[best, few].mean() - right[best, ~few].mean()))
promised_too_much = stated(np.mean(lost), 4, 20)

# %% [markdown]
# 挑出 `val_accuracy` 最佳的訓練週期，也是這樣的選擇。因此照片有三種用途：**訓練**用來擬合，**驗證**用來選擇，
# **測試**只測量一次。在 regraft 的 `metrics.json` 中，每個數字都註明了 `used_for_choosing`。
#
# ## 3. 有多少張：153 張照片
#
# 每份教學都會用到的螞蟻和蜜蜂，有 153 張驗證照片。假設有個分類器，對全世界的螞蟻和蜜蜂有 95 % 會答對；
# 現在每次隨機抽 153 隻來評估它，重複一萬次。

# %%
measured = 100 * np.random.default_rng(0).binomial(153, 0.95, 10_000) / 153
low, high = np.quantile(measured, [0.025, 0.975])

figure, axes = plt.subplots(figsize=(7, 3))
axes.hist(measured, np.arange(85.3, 101, 100 / 153))
axes.axvspan(low, high, alpha=0.2)
axes.set_xlabel("accuracy on 153 photos, if the truth is 95 %")
plt.show()

# %% [markdown]
# 每 100 次測量有 95 次落在這兩個數字之間。在 153 張照片上，「94.8 %」和「96.1 %」只差兩張照片：
# 算不上差異。

# %%
lower = stated(low, 90.5, 92)
upper = stated(high, 98, 99)

# %% [markdown]
# 您只有一次測量，不是一萬次。Wilson（1927）的區間把問題反過來：100 次中有 95 次，區間會包含真相。
# 答對 95 % 時，區間寬度的一半是幾個百分點？照片數分別是……


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
# 照片增為四倍，寬度減半。要比較兩個分類器，請用**相同**的照片測試，只計算兩者答案不同的照片：
# 這樣的區間窄得多（`regraft runs compare A B`）。
#
# ## 誠實報告的三句話
#
# 1. 「測試用了 153 張照片，拍的植物都不在訓練照片中；
# 2. 這些照片沒有用來做任何選擇；
# 3. 答對 95 %，區間是 90 到 97 %。」
#
# `regraft train` 會印出這三項。
#
# ## 換您試試
#
# 1. 改畫 40 株植物、每株一張照片（原本是 8 株、每株五張）。現在隨機分割高估多少？
# 2. 改成從 5 個分類器中選擇（原本是 100 個），或從 1,000 個中選擇。高估的幅度怎麼變？
# 3. 您最近讀的論文，沒有回答這三個問題中的哪一個？
