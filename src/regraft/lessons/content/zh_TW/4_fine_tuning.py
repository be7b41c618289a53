# source: src/regraft/lessons/content/4_fine_tuning.py · sha256 ec2f509f3256 · release 0.1
# %% [markdown]
# # 第 4 課：微調
#
# 預訓練網路的主體也可以繼續學習。它已經懂得很多，所以訓練要**溫和**：先只訓練分類頭，
# 再用很小的步伐訓練上層區塊，訓練週期不要太多。您會看到準確率增加多少，也會故意毀掉一個網路。
#
# 時間：約一分鐘，不需下載。用 `PHOTOS` 可以換成您自己的資料夾，用 `NETWORK` 可以換成 timm 的其他網路，
# 例如課堂上的 `xception41`（需要下載）。

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import regraft as rg
from regraft.callbacks import EarlyStopping
from regraft.lessons.stated import stated
from regraft.sample.digits import write_digits

out = Path(tempfile.mkdtemp())
folder = Path(os.environ.get("PHOTOS", out / "digits"))
if "PHOTOS" not in os.environ:
    write_digits(folder, per_class=40)

backbone = rg.build_backbone(os.environ.get("NETWORK", "tf_efficientnet_lite0"), size=64)
gentle_views = rg.Augmentation(scale=(0.8, 1.0), flip="PHOTOS" in os.environ)  # a mirrored 3 is not a 3
photos = rg.ImageFolder(folder, network=backbone, augmentation=gentle_views, split=(0.5, 0.15, 0.35))
test = photos.test or photos.validation
print(len(photos.entries), "train,", len(photos.validation.entries), "validation,", len(test.entries), "test")


def right_photos(trainer):
    return (torch.as_tensor(trainer.predict(test, verbose=0)).argmax(1) == torch.as_tensor(test.labels)).float()


def difference(first, second):
    """Return the points of accuracy that the first has more, and half its 95 % interval, on the same photos."""
    points = 100 * (first - second)
    return points.mean().item(), 1.96 * (points.std() / len(points) ** 0.5).item()


# %% [markdown]
# ## 先訓練分類頭
#
# 新的分類頭一開始錯得離譜，若同時訓練主體，梯度會流進主體並造成破壞（Kumar et al. 2022,
# https://arxiv.org/abs/2202.10054）。所以先訓練分類頭。這時只有分類頭會改變，步伐可以大一點。

# %%
classifier = rg.Classifier(backbone, photos.classes)
trainer = rg.Trainer(classifier, "adam", "cross_entropy", ["accuracy"], learning_rate=3e-3)
trainer.fit(photos, epochs=8, verbose=2)
head_alone = right_photos(trainer)
print(f"head alone: {head_alone.mean():.1%}")
classifier.save(out / "head.safetensors")

# %% [markdown]
# ## 再溫和地訓練上層區塊
#
# 較低的區塊看的是邊緣和紋理，所有照片都有這些。上層的區塊看的是預訓練時各種物體的局部。
# 您的照片和預訓練的照片差異越大，就應該讓越多區塊學習。`unfreeze(4)` 讓最上面的四個區塊學習；
# `parameter_groups` 給每個區塊各自的學習率，由上往下逐層變小。

# %%
classifier.unfreeze(4)
groups = classifier.parameter_groups(5e-4, layer_decay=0.7, weight_decay=0.05, head_lr=1e-3)
for group in groups:
    print(f"{group['name']:12} {sum(p.numel() for p in group['params']):9,} parameters, learning rate {group['lr']:.6f}")

# %%
trainer = rg.Trainer(classifier, "adamw", "cross_entropy", ["accuracy"], parameters=groups)
stop = EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True)
history = trainer.fit(photos, epochs=8, callbacks=[stop], verbose=2).history
fine_tuned = right_photos(trainer)
gained, half = difference(fine_tuned, head_alone)
print(f"head alone {head_alone.mean():.1%}, with the upper blocks {fine_tuned.mean():.1%}: {gained:.1f} points more, ± {half:.1f}")

# %%
points_gained = stated(gained, 2, 30)
lower_bound = stated(gained - half, 0, 25)
assert groups[0]["lr"] < groups[-1]["lr"]

# %% [markdown]
# Keras 3 的寫法如下。沒有逐層設定學習率時，所有層共用一個很小的學習率：
#
# ```python
# base.trainable = True
# for layer in base.layers[:-20]:
#     layer.trainable = False
# model.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy", ["accuracy"])
# ```
#
# ## 學習率太大會毀掉什麼
#
# 同樣的網路、同樣的分類頭，這次訓練所有區塊，步伐大上一百倍，就像從頭訓練時那樣。看看第一個損失：
# 走第一步之前，網路和只訓練分類頭時一樣好；才走幾步，它就忘了從一百萬張照片學到的東西。

# %%
destroyed = rg.Classifier.load(out / "head.safetensors")
destroyed.unfreeze("all")
trainer = rg.Trainer(destroyed, "adamw", "cross_entropy", ["accuracy"], learning_rate=5e-2)
trainer.fit(photos, epochs=2, verbose=2)
after_large_steps = right_photos(trainer)
destroyed_points, half_destroyed = difference(head_alone, after_large_steps)
print(f"{destroyed_points:.0f} points lost, ± {half_destroyed:.0f}")

figure, axes = plt.subplots(figsize=(7, 2.5))
for name, right in {"large steps": after_large_steps, "gentle steps": fine_tuned, "head alone": head_alone}.items():
    axes.barh(name, 100 * right.mean(), xerr=196 * right.std() / len(right) ** 0.5)
axes.set_xlabel("accuracy in %, with 95 % interval")
plt.show()

# %%
points_lost = stated(destroyed_points, 25, 90)

# %% [markdown]
# ## 什麼時候微調反而比較差
#
# 微調有數百萬個參數，足以把照片死背下來。照片少、又和預訓練的照片相像時，線性探測的結果一樣好，甚至更好，
# 花的時間卻只有百分之一。`regraft train FOLDER --recipe auto` 會先做線性探測，
# 預期會進步時才繼續微調；第 5 課會看到是哪些情況。在您自己的資料夾上比較看看：
#
# ```text
# regraft train PHOTOS --recipe linear-probe
# regraft train PHOTOS --recipe fine-tune
# ```

# %% [markdown]
# ## 換您試試
#
# 1. 略過第一階段：建立新的 `Classifier`，`unfreeze(4)`，然後訓練。用同樣的訓練週期數，準確率能到多少？
# 2. `regraft lr PHOTOS` 會尋找學習率。把它的答案和 5e-4 比較。
# 3. 設定 `layer_decay=1.0`，讓所有區塊的步伐一樣大。
