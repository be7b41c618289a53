# source: src/regraft/lessons/content/1_callbacks.py · sha256 3b24fc785eca · release 0.1
# %% [markdown]
# # 第 1 課：回呼
#
# 訓練就是迴圈：許多批次組成一個訓練週期（epoch），許多訓練週期組成一次訓練。**回呼**（callback）是物件，迴圈會把
# 發生的事告訴它，讓它可以觀察、記錄、存檔、改變學習率，或停止訓練。名稱、引數和呼叫時機都和 `tf.keras` 相同；
# 在這裡學到的，在那裡也適用。
#
# 您會**從頭**訓練一個辨識手寫數字的小網路，看著它**過度擬合**，再用回呼來處理。最後您會中止一次訓練，
# 再從中斷的地方接續，得到的結果連最後一個位元都相同。時間：約一分鐘，不需下載。

# %%
import csv
import hashlib
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

import regraft as rg
from regraft import callbacks
from regraft.lessons.stated import stated
from regraft.sample.digits import load_digits

out = Path(tempfile.mkdtemp())

# %% [markdown]
# ## 照片
#
# regraft 附有 1,797 張 8 × 8 像素的掃描圖。其中 200 張用來訓練網路，另外 400 張用來**驗證**：每個訓練週期之後，
# 迴圈會用沒有參與訓練的照片來評估網路。和許多真實的資料一樣，有些標籤是錯的：這裡的訓練照片，每四個標籤就有一個是錯的。
# 照片少、標籤又有錯，網路就會過度擬合。

# %%
images, labels = load_digits()
x = torch.from_numpy(images).float()[:, None] / 16
y = torch.from_numpy(labels).long()
order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
train, validation = order[:200], order[200:600]
y[train[::4]] = (y[train[::4]] + 1) % 10
print(x[train].shape, x[validation].shape)


# %%
def small_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 16, 10),
    )


def new_trainer(learning_rate=3e-3):
    return rg.Trainer(small_network(), "adam", "cross_entropy", ["accuracy"], learning_rate=learning_rate)


def fit(trainer, epochs, my_callbacks=()):
    return trainer.fit(
        x[train], y[train], batch_size=32, epochs=epochs, verbose=0,
        validation_data=(x[validation], y[validation]), callbacks=list(my_callbacks),
    )


# %% [markdown]
# ## 從曲線看出過度擬合
#
# `fit` 會回傳 `History`：它本身也是回呼，每次訓練都有。我們故意訓練得太久，再來看兩條損失曲線。

# %%
history = fit(new_trainer(), epochs=60).history
for epoch in (0, 4, 9, 19, 39, 59):
    print(f"epoch {epoch + 1:2}: loss {history['loss'][epoch]:.3f}   val_loss {history['val_loss'][epoch]:.3f}")
best = min(range(60), key=history["val_loss"].__getitem__)

figure, axes = plt.subplots(figsize=(7, 3))
axes.plot(range(1, 61), history["loss"], label="training")
axes.plot(range(1, 61), history["val_loss"], label="validation")
axes.axvline(best + 1, color="gray", linestyle="--", label="best epoch")
axes.set_xlabel("epoch")
axes.set_ylabel("loss")
axes.legend()
plt.show()

# %% [markdown]
# 訓練損失降到零：網路把 200 張照片連同錯誤的標籤都背了下來。驗證損失先下降，再上升：
# 面對新照片，網路對自己的錯誤越來越有把握。最佳的訓練週期遠在最後一個之前。
# 以下依序是最後的訓練損失、最佳的訓練週期，以及最後的驗證損失是最佳值的幾倍：

# %%
last_loss = stated(history["loss"][-1], 0, 0.05)
best_epoch = stated(best + 1, 3, 30)
rise = stated(history["val_loss"][-1] / history["val_loss"][best], 1.3, 4)

# %% [markdown]
# ## `EarlyStopping`：不再進步就停止
#
# 它觀察一個值，這裡是 `val_loss`；若這個值在 `patience` 個訓練週期內都沒有進步，就停止訓練。
# 加上 `restore_best_weights`，網路會恢復成最佳訓練週期的權重。

# %%
stopping = callbacks.EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True)
trainer = new_trainer()
fit(trainer, epochs=60, my_callbacks=[stopping])
print(f"stopped after epoch {stopping.stopped_epoch + 1}, with the weights of epoch {stopping.best_epoch + 1}")
measured = trainer.evaluate(x[validation], y[validation], verbose=0, return_dict=True)
assert stopping.stopped_epoch - stopping.best_epoch == 5

# %% [markdown]
# 它在驗證照片上的準確率（百分比）：

# %%
accuracy = stated(100 * measured["accuracy"], 72, 95)

# %% [markdown]
# 在 Keras 3 中寫法相同：回呼的名稱、引數和行為都一樣。
#
# ```python
# stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True)
# model.fit(x, y, batch_size=32, epochs=60, validation_data=(x_val, y_val), callbacks=[stopping])
# ```

# %% [markdown]
# ## `ModelCheckpoint`：把最好的網路存到磁碟
#
# `save_best_only` 只在觀察的值進步時寫入檔案。就算停電，到目前為止最好的網路也還在。
# 檔名中可以包含訓練週期的數值。

# %%
checkpoint = callbacks.ModelCheckpoint(
    out / "epoch {epoch:02d} loss {val_loss:.3f}.safetensors", monitor="val_loss", save_best_only=True
)
fit(new_trainer(), epochs=15, my_callbacks=[checkpoint])
files = sorted(path.name for path in out.glob("epoch*"))
print(len(files), "files; the last is", files[-1])

# %%
again = rg.Trainer(small_network(), "adam", "cross_entropy", ["accuracy"])
again.load(out / files[-1])
print(again.evaluate(x[validation], y[validation], verbose=0, return_dict=True))
assert f"{again.evaluate(x[validation], y[validation], verbose=0)[0]:.3f}" in files[-1]

# %% [markdown]
# ## 學習率：照計畫調整，或在停滯時調整
#
# 學習率就是每一步的大小。大步很快就能接近目標，但會在附近跳來跳去；小步才找得到目標。`LearningRateScheduler`
# 在每個訓練週期之前呼叫您的函式。`ReduceLROnPlateau` 等到某個值不再進步，才改用較小的步伐。


# %%
def halved_every_five_epochs(epoch, learning_rate):
    return learning_rate / 2 if epoch and epoch % 5 == 0 else learning_rate


planned = fit(new_trainer(), 15, [callbacks.LearningRateScheduler(halved_every_five_epochs)]).history
plateau = fit(new_trainer(), 40, [callbacks.ReduceLROnPlateau(factor=0.1, patience=3)]).history
print("by plan:      ", [f"{rate:.5f}" for rate in planned["learning_rate"][::5]])
print("on a plateau: ", sorted({f"{rate:.7f}" for rate in plateau["learning_rate"]}, reverse=True))

# %%
assert planned["learning_rate"][-1] == planned["learning_rate"][0] / 4
assert len(set(plateau["learning_rate"])) > 1

# %% [markdown]
# ## 記錄：`CSVLogger` 和 `TensorBoard`
#
# 兩者都會把畫面上一閃而過的內容記下來。CSV 可以用試算表開啟；TensorBoard 會畫出曲線（`tensorboard --logdir
# FOLDER`）。若想一邊等一邊看頁面更新，可以用 `RemoteMonitor` 把每個訓練週期的數值傳送到某個位址，
# 再由 `regraft monitor` 接收。

# %%
fit(new_trainer(), 3, [callbacks.CSVLogger(out / "log.csv"), callbacks.TensorBoard(out / "board")])
rows = list(csv.DictReader((out / "log.csv").open()))
print(rows[-1])
print(sorted({path.name.split(".")[0] for path in (out / "board").rglob("events*")}))
assert [row["epoch"] for row in rows] == ["0", "1", "2"]

# %% [markdown]
# ## 自己寫回呼
#
# 繼承 `Callback`，寫出您需要的時機所呼叫的方法。`logs` 裡有到目前為止的值；`self.model.stop_training =
# True` 會結束訓練。若只需要一個函式，`LambdaCallback` 就夠了。`TerminateOnNaN` 就是像下面這樣只有十行的回呼：
# 損失變成 NaN 時停止訓練。


# %%
class StopAtAccuracy(callbacks.Callback):
    """Stop as soon as the validation accuracy is high enough."""

    def __init__(self, goal):
        super().__init__()
        self.goal = goal

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_accuracy"] >= self.goal:
            print(f"{logs['val_accuracy']:.1%} after epoch {epoch + 1}: that is enough")
            self.model.stop_training = True


enough = fit(new_trainer(), 60, [StopAtAccuracy(0.8)]).history
assert len(enough["loss"]) < 60

exploded = fit(new_trainer(learning_rate=1e12), 20, [callbacks.TerminateOnNaN()]).history
print(f"a learning rate of 1e12 was stopped after {len(exploded['loss'])} epoch")
assert len(exploded["loss"]) < 20

# %% [markdown]
# ## 中止，再接續
#
# `BackupAndRestore` 在每個訓練週期之後存一份備份。下面的訓練在六個訓練週期後中斷，就像按了 Ctrl-C 或停電。
# 再執行同一個呼叫，就會從第七個訓練週期接續，最後得到的權重和沒有中斷的訓練完全相同：
# 照片的順序、最佳化器和亂數也都會接續。


# %%
class PowerCut(callbacks.Callback):
    """End the program in the middle of the training."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 6:
            raise KeyboardInterrupt


def fingerprint(trainer):
    weights = b"".join(p.detach().numpy().tobytes() for p in trainer.module.parameters())
    return hashlib.sha256(weights).hexdigest()[:12]


whole = new_trainer()
fit(whole, 10)

try:
    fit(new_trainer(), 10, [callbacks.BackupAndRestore(out / "backup"), PowerCut()])
except KeyboardInterrupt:
    print("killed")

resumed, begun = new_trainer(), []
noted = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: begun.append(epoch))
fit(resumed, 10, [callbacks.BackupAndRestore(out / "backup"), noted])
print(f"resumed with epoch {begun[0] + 1}: {fingerprint(resumed)}; without interruption: {fingerprint(whole)}")
assert begun[0] == 6
assert fingerprint(resumed) == fingerprint(whole)

# %% [markdown]
# ## 換您試試
#
# 1. 把 `EarlyStopping` 的 `patience` 設成 0。會發生什麼事？為什麼停得太早？
# 2. 把剩下的 1,397 張數字全部給網路。現在什麼時候會過度擬合？
# 3. 寫一個回呼，印出每個訓練週期所花的時間。
