# %% [markdown]
# # Lesson 3: A new head on a frozen body
#
# Now the features pass through a head that gradient descent trains, as in `tf.keras` with `base_model.trainable =
# False`. You freeze the body by hand, meet the trap that almost everybody falls into, and let regraft do it right.
#
# Time: about a minute, no download.

# %%
import copy
import os
import tempfile
from pathlib import Path

import torch
from torch import nn

import regraft as rg
from regraft.sample.digits import write_digits

out = Path(tempfile.mkdtemp())
folder = Path(os.environ.get("PHOTOS", out / "digits"))
if "PHOTOS" not in os.environ:
    write_digits(folder, per_class=30)

backbone = rg.build_backbone(size=64)
photos = rg.ImageFolder(folder, network=backbone, split=(0.6, 0.0, 0.4))
classes = len(photos.classes)
print(len(photos.entries), "train photos,", len(photos.test.entries), "test photos")

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


def train_by_hand(model, epochs=6, learning_rate=3e-3):
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


def accuracy(model):
    model.eval()
    with torch.inference_mode():
        right = [(model(x).argmax(1) == y).float().sum() for x, y in torch.utils.data.DataLoader(photos.test, 32)]
    return (sum(right) / len(photos.test)).item()


def statistics(model):
    return torch.cat([m.running_mean for m in model.modules() if isinstance(m, nn.BatchNorm2d)]).clone()


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
drift = (statistics(trapped.body) - before).abs().mean() / before.abs().mean()
trapped_accuracy = accuracy(trapped)
print(f"first loss {first_loss:.2f}; ln({classes}) is {torch.log(torch.tensor(float(classes))):.2f}")
print(f"the statistics moved by {drift:.0%}; accuracy {trapped_accuracy:.1%}")

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
careful_drift = (statistics(careful.body) - before).abs().max().item()
careful_accuracy = accuracy(careful)
print(f"the statistics moved by {careful_drift:.0%}; accuracy {careful_accuracy:.1%}")
print(f"the trap cost {100 * (careful_accuracy - trapped_accuracy):.1f} points")

# %% [markdown]
# ## regraft
#
# A new `Classifier` has a frozen body and a head of zeros. `Trainer` keeps frozen normalization in inference mode,
# whatever calls `train()`. The ledger proves that no byte of the body has changed.

# %%
classifier = rg.Classifier(backbone, photos.classes)
before_training = classifier.backbone.weights_hash()
trainer = rg.Trainer(classifier, "adam", "cross_entropy", ["accuracy"], learning_rate=3e-3)
trainer.fit(photos, epochs=6, batch_size=16, verbose=2)
measured = trainer.evaluate(photos.test, verbose=0, return_dict=True)
print(f"accuracy {measured['accuracy']:.1%}; body unchanged: {classifier.backbone.weights_hash() == before_training}")

# %% [markdown]
# The same in Keras 3 (it needs a download of the weights):
#
# ```python
# base = keras.applications.Xception(weights="imagenet", include_top=False, pooling="avg")
# base.trainable = False                      # parameters frozen, BatchNorm in inference mode
# inputs = keras.Input((299, 299, 3))
# outputs = keras.layers.Dense(10)(base(inputs, training=False))
# model = keras.Model(inputs, outputs)
# ```

# %%
assert classifier.backbone.weights_hash() == before_training
assert careful_drift == 0
assert drift > 0.05
if "PHOTOS" not in os.environ:
    assert abs(first_loss - 2.303) < 0.01
    assert careful_accuracy - trapped_accuracy > 0.02
    assert measured["accuracy"] > 0.7

# %% [markdown]
# ## Your turn
#
# 1. Make the batches smaller (`batch_size=4`). Does the trap cost more or less?
# 2. Train the head of `careful` with `learning_rate=1.0`. Look at the first losses.
# 3. `classifier.unfreeze(1)` before the training: which bytes change now? (`classifier.trainable_blocks`)
