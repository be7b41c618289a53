# %% [markdown]
# # Lesson 1: Callbacks
#
# A training is a loop: batches make an epoch, epochs make a training. A **callback** is an object that the loop tells
# what happens, so that it can watch, write, save, change the learning rate, or stop. The names, arguments and moments
# are those of `tf.keras`; what you learn here holds there too.
#
# You train a small network **from scratch** on handwritten digits, see it **overfit**, and let callbacks deal with it. At
# the end you kill a training and go on where it was, to the last bit. Time: about a minute, no download.
#
#

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
# ## The photos
#
# 1,797 scans of 8 × 8 pixels come with regraft. 200 of them train the network, 400 others **validate** it: after each
# epoch, the loop measures the network on photos that it did not train on. As in many real collections, some labels are
# wrong: here every fourth label of the training photos. Few photos and wrong labels make a network overfit.

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
# ## Overfitting, seen in the curves
#
# `fit` returns a `History`: itself a callback, which every training has. Train much too long, and look at both losses.

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
# The training loss goes to zero: the network knows its 200 photos by heart, wrong labels included. The validation loss falls, then rises again:
# on new photos the network becomes more and more sure of its mistakes. The best epoch is long before the last one. The last
# training loss, the best epoch, and how many times as high the last validation loss is as the best:

# %%
last_loss = stated(history["loss"][-1], 0, 0.05)
best_epoch = stated(best + 1, 3, 30)
rise = stated(history["val_loss"][-1] / history["val_loss"][best], 1.3, 4)

# %% [markdown]
# ## `EarlyStopping`: end when nothing improves
#
# It watches one value, here `val_loss`, and ends the training when the value has not improved for `patience` epochs. With
# `restore_best_weights`, the network gets back the weights of its best epoch.

# %%
stopping = callbacks.EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True)
trainer = new_trainer()
fit(trainer, epochs=60, my_callbacks=[stopping])
print(f"stopped after epoch {stopping.stopped_epoch + 1}, with the weights of epoch {stopping.best_epoch + 1}")
measured = trainer.evaluate(x[validation], y[validation], verbose=0, return_dict=True)
assert stopping.stopped_epoch - stopping.best_epoch == 5

# %% [markdown]
# Its accuracy on the validation photos, in per cent:

# %%
accuracy = stated(100 * measured["accuracy"], 72, 95)

# %% [markdown]
# The same in Keras 3: the callback has the same name, arguments and behavior.
#
# ```python
# stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True)
# model.fit(x, y, batch_size=32, epochs=60, validation_data=(x_val, y_val), callbacks=[stopping])
# ```

# %% [markdown]
# ## `ModelCheckpoint`: keep the best network on disk
#
# `save_best_only` writes a file only when the watched value improves. If the power fails, the best network so far is
# there. The name may contain values of the epoch.

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
# ## Learning rates: by plan, or on a plateau
#
# The learning rate is the length of a step. Large steps come near the goal quickly and then jump around it; small steps
# find it. `LearningRateScheduler` calls your function before each epoch. `ReduceLROnPlateau` waits until a value no
# longer improves, and then takes smaller steps.


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
# ## Logs: `CSVLogger` and `TensorBoard`
#
# Both write down what the screen forgets. A CSV opens in a spreadsheet; TensorBoard draws curves (`tensorboard --logdir
# FOLDER`). For a page that moves while you wait there is `RemoteMonitor`, which posts each epoch to an address, and
# `regraft monitor`, which receives it.

# %%
fit(new_trainer(), 3, [callbacks.CSVLogger(out / "log.csv"), callbacks.TensorBoard(out / "board")])
rows = list(csv.DictReader((out / "log.csv").open()))
print(rows[-1])
print(sorted({path.name.split(".")[0] for path in (out / "board").rglob("events*")}))
assert [row["epoch"] for row in rows] == ["0", "1", "2"]

# %% [markdown]
# ## A callback of your own
#
# Derive from `Callback` and write the moments that you need. `logs` has the values so far; `self.model.stop_training =
# True` ends the training. For one function, `LambdaCallback` is enough. `TerminateOnNaN` is a callback of ten lines like
# this one: it stops when the loss is no longer a number.


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
# ## Kill it, and go on
#
# `BackupAndRestore` keeps a backup after each epoch. The training below is interrupted after six epochs, as by Ctrl-C or
# a power cut. The same call goes on at epoch seven, and ends with the very same weights as a training without an
# interruption: order of the photos, optimizer and random numbers go on too.


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
# ## Your turn
#
# 1. Set `patience=0` in `EarlyStopping`. What happens, and why is it too early?
# 2. Give the network all 1,397 remaining digits. When does it overfit now?
# 3. Write a callback that prints the time each epoch takes.
