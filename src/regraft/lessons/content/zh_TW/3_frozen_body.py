# source: src/regraft/lessons/content/3_frozen_body.py · sha256 6af9dfad285b · release 0.1
# %% [markdown]
# # 第 3 課：凍結的主體，新的分類頭
#
# 這次讓特徵通過以梯度下降訓練的分類頭，就像在 `tf.keras` 中設定 `base_model.trainable =
# False`。您會親手凍結主體，踩進幾乎人人都會踩的陷阱，再看 regraft 怎麼做才正確。
#
# 時間：約半分鐘，不需下載。用 `PHOTOS` 可以換成您自己的資料夾，例如螞蟻和蜜蜂；用 `NETWORK` 可以換成
# 課堂上的 `resnet18`（需要下載）。

# %%
import copy
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

import regraft as rg
from regraft.lessons.stated import stated
from regraft.sample.flowers import draw_flowers

out = Path(tempfile.mkdtemp())
folder = Path(os.environ.get("PHOTOS", out / "flowers"))
if "PHOTOS" not in os.environ:
    draw_flowers(folder, plants=50)

backbone = rg.build_backbone(os.environ.get("NETWORK", "tf_efficientnet_lite0"), size=64)
photos = rg.ImageFolder(folder, network=backbone, split=(0.5, 0.0, 0.5))
test = photos.test or photos.validation
classes = len(photos.classes)
print(len(photos.entries), "train photos,", len(test.entries), "test photos")

# %% [markdown]
# ## 親手凍結：一般的 torch
#
# `requires_grad_(False)` 告訴 torch 不要計算這個參數的梯度。分類頭是新的線性層，一開始的損失
# 應該約為 ln(類別數)，因為它還什麼都不知道。若您的損失高出許多，就表示有地方出錯了。


# %%
class HandMade(nn.Module):
    """A frozen body with a new head."""

    def __init__(self):
        super().__init__()
        self.body = copy.deepcopy(backbone.network).requires_grad_(False)
        self.head = nn.Linear(backbone.spec.num_features, classes)
        nn.init.zeros_(self.head.weight)

    def forward(self, x):
        return self.head(self.body(x))


def train_by_hand(model, epochs=5, learning_rate=3e-3):
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(model.head.parameters(), learning_rate)
    loader = torch.utils.data.DataLoader(photos, batch_size=16, shuffle=True)
    first = None
    for _ in range(epochs):
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x), y)
            first = loss.item() if first is None else first
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return first


def right_photos(model):
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(x).argmax(1) == y for x, y in torch.utils.data.DataLoader(test, 32)]).float()


def statistics(model):
    return [m.running_mean.clone() for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


def drift(model, before):
    return [((now - old).norm() / old.norm()).item() for now, old in zip(statistics(model), before, strict=True)]


# %% [markdown]
# ## 陷阱：`requires_grad_(False)` 不會凍結 BatchNorm
#
# BatchNorm 層會減去平均值，再除以標準差。在**訓練模式**下，它用目前的批次計算這兩個值，
# 並更新自己的*移動統計量*；在**推論模式**下，則使用這些移動統計量。統計量是緩衝區（buffer），不是參數：
# `requires_grad_(False)` 擋不住更新；而每份教學的迴圈裡都有的 `model.train()`，正好會啟動更新。
# 於是「凍結」的主體，每過一個批次就漂移一點。

# %%
torch.manual_seed(0)
trapped = HandMade()
before = statistics(trapped.body)
trapped.train()
first_loss = train_by_hand(trapped)
print(f"first loss {first_loss:.2f}; ln({classes}) is {torch.log(torch.tensor(float(classes))):.2f}")
drifted = drift(trapped.body, before)
trapped_right = right_photos(trapped)

# %% [markdown]
# ## 解法：凍結的主體要留在推論模式
#
# 只要一行：每次呼叫 `model.train()` 之後，都呼叫 `model.body.eval()`。Keras 從第 2 版起就有相同的規則：
# `trainable = False` 的層會以推論模式執行。

# %%
torch.manual_seed(0)
careful = HandMade()
careful.train()
careful.body.eval()
train_by_hand(careful)
careful_right = right_photos(careful)

figure, axes = plt.subplots(figsize=(7, 3))
axes.plot(drifted, label="model.train()")
axes.plot(drift(careful.body, before), label="model.train(); model.body.eval()")
axes.set_xlabel("BatchNorm layer, from the bottom")
axes.set_ylabel("drift of its running mean")
axes.legend()
plt.show()

# %% [markdown]
# 主體的參數一個都沒有訓練，它卻變成了另一個網路。在相同的測試照片上，這個陷阱讓準確率少了幾個百分點？
# 附 95 % 區間：

# %%
lost = 100 * (careful_right - trapped_right)
half = 1.96 * (lost.std() / len(lost) ** 0.5).item()
print(f"accuracy {trapped_right.mean():.1%} with the trap, {careful_right.mean():.1%} without")
print(f"{lost.mean():.1f} points lost, ± {half:.1f}")
points_lost = stated(lost.mean().item(), 3, 40)
lower_bound = stated(lost.mean().item() - half, 0, 35)
mean_drift = stated(100 * sum(drifted) / len(drifted), 5, 100)

# %% [markdown]
# ## regraft
#
# 新的 `Classifier` 有凍結的主體，以及權重全為零的分類頭。無論在哪裡呼叫 `train()`，`Trainer` 都會讓凍結的正規化層
# 留在推論模式。比對雜湊值，就能證明主體連一個位元組都沒有改變。

# %%
classifier = rg.Classifier(backbone, photos.classes)
before_training = classifier.backbone.weights_hash()
trainer = rg.Trainer(classifier, "adam", "cross_entropy", ["accuracy"], learning_rate=3e-3)
trainer.fit(photos, epochs=5, batch_size=16, verbose=2)
measured = trainer.evaluate(test, verbose=0, return_dict=True)
print(f"accuracy {measured['accuracy']:.1%}; body unchanged: {classifier.backbone.weights_hash() == before_training}")

# %% [markdown]
# 同樣的做法，用 Keras 3 是這樣寫的（需要下載權重）：
#
# ```python
# base = keras.applications.Xception(weights="imagenet", include_top=False, pooling="avg")
# base.trainable = False                      # parameters frozen, BatchNorm in inference mode
# inputs = keras.Input((299, 299, 3))
# outputs = keras.layers.Dense(5)(base(inputs, training=False))
# model = keras.Model(inputs, outputs)
# ```

# %%
assert classifier.backbone.weights_hash() == before_training
assert max(drift(careful.body, before)) == 0
loss_of_a_new_head = stated(first_loss, 1.59, 1.63)
with_regraft = stated(100 * measured["accuracy"], 70, 99)

# %% [markdown]
# ## 換您試試
#
# 1. 把批次變小（`batch_size=4`）。陷阱造成的損害變大還是變小？
# 2. 以 `learning_rate=1.0` 訓練 `careful` 的分類頭，看看一開始的損失。
# 3. 訓練之前先呼叫 `classifier.unfreeze(1)`：現在哪些位元組會改變？（`classifier.trainable_blocks`）
