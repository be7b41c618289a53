# %% [markdown]
# # Lesson 4: Fine-tuning
#
# The body of a pretrained network may learn, too. It knows much already, so it must learn **gently**: first the head alone,
# then the upper blocks with very small steps, few epochs. You see what it gains, and you destroy a network on purpose.
#
# Time: about a minute, no download. With `PHOTOS` you take a folder of your own, with `NETWORK` another network of timm, such
# as the lecture's `xception41` (it is downloaded).

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
# ## First the head
#
# A new head makes large errors, and their gradients would flow into the body and damage it (Kumar et al. 2022,
# https://arxiv.org/abs/2202.10054). So train the head first. Only the head changes, so its steps can be large.

# %%
classifier = rg.Classifier(backbone, photos.classes)
trainer = rg.Trainer(classifier, "adam", "cross_entropy", ["accuracy"], learning_rate=3e-3)
trainer.fit(photos, epochs=8, verbose=2)
head_alone = right_photos(trainer)
print(f"head alone: {head_alone.mean():.1%}")
classifier.save(out / "head.safetensors")

# %% [markdown]
# ## Then the upper blocks, gently
#
# Lower blocks see edges and textures, which all photos share. Upper blocks see parts of the things of the pretraining.
# The more your photos differ from those, the more blocks should learn. `unfreeze(4)` lets the upper four of them learn;
# `parameter_groups` gives each block a rate, smaller from block to block downwards.

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
# The same in Keras 3. Without a rate for each layer, one tiny rate serves all:
#
# ```python
# base.trainable = True
# for layer in base.layers[:-20]:
#     layer.trainable = False
# model.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy", ["accuracy"])
# ```
#
# ## What a large learning rate destroys
#
# The same network, the same head, all blocks, but steps a hundred times as large, as in a training from scratch. Look at
# the first loss: before the first step the network was as good as the head alone; a few steps later it has forgotten what
# a million photographs taught it.

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
# ## When fine-tuning loses
#
# Fine-tuning has millions of parameters to learn by heart with. With few photos that look like those of the pretraining,
# a linear probe is as good or better, and costs a hundredth. `regraft train FOLDER --recipe auto` tries the probe first and
# goes on only where it expects a gain; lesson 5 shows where that was. On a folder of your own, compare:
#
# ```text
# regraft train PHOTOS --recipe linear-probe
# regraft train PHOTOS --recipe fine-tune
# ```

# %% [markdown]
# ## Your turn
#
# 1. Skip the first stage: a new `Classifier`, `unfreeze(4)`, train. How far do you get in the same number of epochs?
# 2. `regraft lr PHOTOS` looks for a learning rate. Compare its answer with 5e-4.
# 3. Set `layer_decay=1.0`, so that all blocks take the same steps.
