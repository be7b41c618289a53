# %% [markdown]
# # Lesson 3: A new head on a frozen body
#
# Now the features pass through a head that gradient descent trains, as in `tf.keras` with `base_model.trainable =
# False`. You freeze the body by hand, meet the trap that almost everybody falls into, and let regraft do it right.
#
# Time: about half a minute, no download. With `PHOTOS` you take a folder of your own, such as ants and bees, with `NETWORK`
# the lecture's `resnet18` (it is downloaded).

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
# ## Freezing by hand, in plain torch
#
# `requires_grad_(False)` tells torch to compute no gradient for a parameter. The head is a new linear layer. Its first
# loss must be about ln(number of classes), because it knows nothing yet. If yours is far higher, something is wrong.


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
# ## The trap: BatchNorm is not frozen by `requires_grad_(False)`
#
# A BatchNorm layer subtracts a mean and divides by a deviation. In **training mode** it takes them from the current batch
# and updates its *running statistics* with them, which it uses in **inference mode**. These statistics are buffers, not parameters:
# `requires_grad_(False)` does not stop them. `model.train()`, the line in every tutorial's loop, does start them. So the
# "frozen" body drifts with every batch.

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
# ## The remedy: a frozen body stays in inference mode
#
# One line: `model.body.eval()` after every `model.train()`. Keras has the same rule since version 2: a layer with
# `trainable = False` runs in inference mode.

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
# No parameter of the body was trained, and still it is another network. On the same test photos the trap costs, in points
# of accuracy, with a 95 % interval:

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
# A new `Classifier` has a frozen body and a head of zeros. `Trainer` keeps frozen normalization in inference mode,
# whatever calls `train()`. The ledger proves that no byte of the body has changed.

# %%
classifier = rg.Classifier(backbone, photos.classes)
before_training = classifier.backbone.weights_hash()
trainer = rg.Trainer(classifier, "adam", "cross_entropy", ["accuracy"], learning_rate=3e-3)
trainer.fit(photos, epochs=5, batch_size=16, verbose=2)
measured = trainer.evaluate(test, verbose=0, return_dict=True)
print(f"accuracy {measured['accuracy']:.1%}; body unchanged: {classifier.backbone.weights_hash() == before_training}")

# %% [markdown]
# The same in Keras 3 (it needs a download of the weights):
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
# ## Your turn
#
# 1. Make the batches smaller (`batch_size=4`). Does the trap cost more or less?
# 2. Train the head of `careful` with `learning_rate=1.0`. Look at the first losses.
# 3. `classifier.unfreeze(1)` before the training: which bytes change now? (`classifier.trainable_blocks`)
