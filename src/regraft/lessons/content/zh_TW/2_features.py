# source: src/regraft/lessons/content/2_features.py · sha256 2b5b1e7ae5af · release 0.1
# %% [markdown]
# # 第 2 課：特徵擷取
#
# 用一百萬張照片訓練過的網路，已經學會了「看」。拿掉最後一層，它就會把照片變成一串數字，也就是**特徵**。
# 用這些數字做線性分類，稱為*線性探測*（linear probe），往往就夠用了。
#
# 您會計算 200 張花的圖片的特徵（只要算一次），看看它們代表什麼，並在一秒內解出分類器。時間：約半分鐘，不需下載。
# 用 `PHOTOS` 可以換成您自己的資料夾，用 `NETWORK` 可以換成課堂上的網路，例如 `vgg16`（需要下載）。

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
# ## 預訓練網路，不含分類頭
#
# `build_backbone` 會建立網路，並載入在 ImageNet（一千種物體的照片）上預訓練的權重。我們的五種花裡，
# 只有雛菊在其中。`ImageFolder` 會按照這個網路的需要準備照片，並分割成兩份：
# **訓練**照片用來擬合分類器，**測試**照片用來測量它有多準。

# %%
backbone = rg.build_backbone(os.environ.get("NETWORK", "tf_efficientnet_lite0"), size=64)
photos = rg.ImageFolder(folder, network=backbone, split=(0.7, 0.0, 0.3))
test = photos.test or photos.validation
print(backbone.spec.name, "·", f"{backbone.spec.parameters:,} parameters ·", backbone.spec.num_features, "features")
print(len(photos.entries), "train photos ·", len(test.entries), "test photos ·", photos.classes)

# %% [markdown]
# ## 特徵，只計算一次
#
# 網路是**凍結**的：裡面什麼都不會改變。因此同一張照片的特徵每次都相同，所有照片只要算一遍就夠了。


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
# 同樣的做法，用 Keras 3（需要下載權重）和用一般的 torch 加 timm 是這樣寫的：
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
# ## 特徵是什麼
#
# 特徵的方向相同，在網路看來就是相像的照片。最左邊是測試照片，旁邊是特徵最相近的訓練照片。
# 從來沒有人告訴網路這些花的名稱。

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
# 最相近的照片大多屬於同一個類別；若是隨機挑選，只有 20 %。只看最相近的那一張，同類別的百分比是：

# %%
same_class = stated(100 * (y[nearest[:, 0]] == y_test).float().mean().item(), 55, 95)

# %% [markdown]
# ## 特徵上的線性分類器
#
# 邏輯迴歸：每個特徵對每個類別各有一個權重，目標是讓正確的類別得到最高分。對過大的權重稍加懲罰，
# 可以避免它把訓練照片背下來。這個問題只有一個最佳解，L-BFGS 一秒內就能找到。


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
# 預訓練網路帶來了什麼？改用原始像素解同樣的分類器看看。照片少的時候，它只比用猜的好一點：
# 單一像素沒有意義，要先學會看出邊緣、花瓣和花盤才行。

# %%
raw, raw_test = (torch.stack([photo for photo, _ in part]).flatten(1) for part in (photos, test))
weight_raw, bias_raw = logistic_regression(raw, y)
of_pixels = stated(100 * ((raw_test @ weight_raw.T + bias_raw).argmax(1) == y_test).float().mean().item(), 15, 60)

# %% [markdown]
# ## 為什麼照片少也夠用
#
# 線性探測只需要為每個特徵、每個類別各學一個權重。因此每個類別只要幾張照片，就能得到大部分的準確率。
# 每個類別分別用 2、5、10 張和全部的訓練照片來解：

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
# ## 這個數字有多可靠？
#
# 測試照片少的時候，運氣會影響結果。做 100 次這樣的實驗，約有 95 次的區間會包含真正的準確率（Wilson 1927）。


# %%
def wilson(p, n, z=1.96):
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


low, high = wilson(accuracy, len(y_test))
print(f"{accuracy:.1%}, and between {low:.1%} and {high:.1%} for all flowers of this kind")

# %% [markdown]
# ## 一個呼叫就能完成
#
# `regraft train FOLDER --recipe linear-probe` 會完成這些步驟，以交叉驗證選擇懲罰的大小，把近似複本
# 留在同一邊，並寫出可以單獨使用的分類器。

# %%
run = rg.train(folder, recipe="linear-probe", backbone=backbone.spec.name, size=64, out=out / "run")
headline = run.metrics["measured"][run.metrics["headline"]]["figures"]["accuracy"]
print(headline)

# %%
in_one_call = stated(100 * headline["value"], 75, 99)

# %% [markdown]
# ## 換您試試
#
# 1. 分別以 `penalty=0` 和 `penalty=1` 求解。訓練照片和測試照片上的準確率會怎麼變？
# 2. 顯示線性探測答錯的測試照片。換成是您，會答對嗎？
# 3. 把 `PHOTOS` 設成您自己的資料夾。
