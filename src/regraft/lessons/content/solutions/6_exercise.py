# %% [markdown]
# # Lesson 6: The exercise, solved
#
# One solution of many. `regraft lesson check 6_exercise_solution.ipynb` grades it like yours.

# %%
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from PIL import Image

import regraft as rg
from regraft import callbacks
from regraft.models.untouched import imagenet_names, untouched_network
from regraft.sample.exercise_photos import draw_exercise

folder = Path(os.environ["PHOTOS"]) if "PHOTOS" in os.environ else draw_exercise()
network = os.environ.get("NETWORK", "tf_efficientnet_lite0")
answers = {"photos": str(folder), "network": network}

# %% [markdown]
# ## Task 1: the first photo of each class

# %%
classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
first = {name: min(path for path in (folder / name).iterdir() if path.is_file()) for name in classes}
figure, axes = plt.subplots(1, len(classes), figsize=(9, 2))
for axis, (name, file) in zip(axes, first.items(), strict=True):
    axis.imshow(Image.open(file))
    axis.set_title(name)
    axis.axis("off")
plt.show()

answers["first_photos"] = {name: file.relative_to(folder).as_posix() for name, file in first.items()}
answers["classes"] = classes

# %% [markdown]
# ## Task 2: what the untouched network sees

# %%
import timm

untouched = untouched_network(network)
prepare = timm.data.create_transform(**timm.data.resolve_data_config({}, model=untouched))
x = torch.stack([prepare(Image.open(file).convert("RGB")) for file in first.values()])
with torch.inference_mode():
    top5 = untouched(x).topk(5).indices.tolist()
for name, row in zip(classes, top5, strict=True):
    print(f"{name}: {', '.join(imagenet_names(row))}")

answers["top5"] = dict(zip(classes, top5, strict=True))
answers["input"] = {"mean": x[0].mean(dim=(1, 2)).tolist(), "std": x[0].std(dim=(1, 2)).tolist()}

# %% [markdown]
# ## Task 3: a new head

# %%
backbone = rg.build_backbone(network, size=64)
photos = rg.ImageFolder(folder, network=backbone, augmentation=rg.Augmentation(scale=(0.7, 1.0)))
classifier = rg.Classifier(backbone, classes)
torch.manual_seed(0)
torch.nn.init.normal_(classifier.head.weight, std=0.01)
trainer = rg.Trainer(classifier, "adam", "cross_entropy", ["accuracy"], learning_rate=3e-3)


def name_of(entry):
    return f"{entry.label}/{entry.path.name}"


def predicted(*parts):
    found = {}
    for part in parts:
        probabilities = torch.as_tensor(trainer.predict(part, verbose=0)).softmax(1).tolist()
        found |= dict(zip(map(name_of, part.entries), probabilities, strict=True))
    return found


def scored(probabilities, part):
    p = torch.tensor([probabilities[name_of(entry)] for entry in part.entries])
    hits = p.argsort(1, descending=True) == torch.as_tensor(part.labels)[:, None]
    return {"accuracy": hits[:, :1].any(1).float().mean().item(), "rank2": hits[:, :2].any(1).float().mean().item()}


before = predicted(photos.test)
answers["before"] = {**scored(before, photos.test), "probabilities": before}
print(scored(before, photos.test))

# %% [markdown]
# ## Task 4: 80/10/10

# %%
parts = {"train": photos, "validation": photos.validation, "test": photos.test}
answers["split"] = {side: [name_of(entry) for entry in part.entries] for side, part in parts.items()}
print({side: len(part) for side, part in parts.items()})

# %% [markdown]
# ## Task 5: the head, then the upper blocks

# %%
trainer.fit(photos, epochs=5, verbose=2)
frozen = {name: value.clone() for name, value in classifier.backbone.state_dict().items()}

classifier.unfreeze(4)
groups = classifier.parameter_groups(1e-3, layer_decay=0.7, weight_decay=0.05)
trainer = rg.Trainer(classifier, "adamw", "cross_entropy", ["accuracy"], parameters=groups)
schedule = callbacks.WarmupCosine(warmup=0.1)
checkpoint = callbacks.ModelCheckpoint("best.safetensors", monitor="val_loss", save_best_only=True)
history = trainer.fit(photos, epochs=8, callbacks=[schedule, checkpoint], verbose=2).history
best = min(range(8), key=history["val_loss"].__getitem__)
trainer.load("best.safetensors")

change = sum((value.float() - frozen[name].float()).square().sum() for name, value in classifier.backbone.state_dict().items())
answers["body_moved"] = (change / sum(value.float().square().sum() for value in frozen.values())).sqrt().item()
answers["history"] = {name: history[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")}
answers["best_epoch"] = best + 1
print(f"epoch {best + 1}; the body has changed by {answers['body_moved']:.2%}")

# %% [markdown]
# ## Task 6: curves

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 3))
for axis, value in zip(axes, ("loss", "accuracy"), strict=True):
    axis.plot(range(1, 9), history[value], label="train")
    axis.plot(range(1, 9), history[f"val_{value}"], label="validation")
    axis.axvline(best + 1, color="gray", linewidth=1)
    axis.set_title(value)
axes[0].legend()
figure.savefig("curves.png")
plt.show()

# %% [markdown]
# ## Task 7: accuracy and rank-2

# %%
after = predicted(photos.validation, photos.test)
answers["after"] = {**scored(after, photos.test), "probabilities": after}
print("before:", scored(before, photos.test))
print("after: ", scored(after, photos.test))

# %% [markdown]
# ## Task 8: new photos

# %%
classifier.save("flowers.safetensors")
new = sorted(Path("new flowers").glob("*.jpg"))
predictions = rg.Predictor.load("flowers.safetensors").predict(new) if "PHOTOS" not in os.environ else []
answers["new"] = {file.name: prediction.label for file, prediction in zip(new, predictions, strict=False)}
figure, axes = plt.subplots(2, 6, figsize=(9, 3.6))
for axis, file, prediction in zip(axes.flat, new, predictions, strict=False):
    axis.imshow(Image.open(file))
    axis.set_title(f"{prediction.label} {prediction.probability:.0%}", size=9)
    axis.axis("off")
plt.show()

# %%
Path("answers.json").write_text(json.dumps(answers))
assert answers["after"]["accuracy"] > answers["before"]["accuracy"] + 0.3
assert answers["after"]["rank2"] >= answers["after"]["accuracy"]
assert 0 < answers["body_moved"] < 0.5
assert len(set(answers["history"]["learning_rate"])) > 1
