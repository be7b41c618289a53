# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import regraft as rg
from regraft.callbacks import LearningRateScheduler, ModelCheckpoint
from regraft.models.untouched import untouched_network

flowers = Path("flowers")
body = rg.build_backbone(size=64)
# my own table of the split
table = [["path", "label", "split"]]
for folder in sorted(flowers.iterdir()):
    for number, file in enumerate(sorted(folder.iterdir())):
        side = {3: "validation", 7: "test"}.get(number, "train")
        table.append([f"{folder.name}/{file.name}", folder.name, side])
Path("labels.csv").write_text("\n".join(",".join(row) for row in table))
data = rg.ImageFolder(flowers, "labels.csv", network=body)
result = {"photos": "flowers", "network": body.spec.name, "classes": list(data.classes)}

# %%
result["first_photos"] = {c: f"{c}/{min(f.name for f in (flowers / c).iterdir())}" for c in data.classes}
big = rg.ImageFolder(flowers, network=rg.build_backbone(), split=(1.0, 0.0, 0.0))
firsts = [next(i for i, e in enumerate(big.entries) if e.label == c) for c in data.classes]
x = torch.stack([big[i][0] for i in firsts])
result["top5"] = dict(zip(data.classes, untouched_network()(x).topk(5).indices.tolist()))
result["input"] = {"mean": x[0].mean((1, 2)).tolist(), "std": x[0].std((1, 2)).tolist()}

# %%
model = rg.Classifier(body, data.classes)
t = rg.Trainer(model, "adam", "cross_entropy", ["accuracy"], learning_rate=1e-2)


def softmax_of(part):
    z = np.asarray(t.predict(part, verbose=0), dtype=float)
    z = np.exp(z - z.max(1, keepdims=True))
    return z / z.sum(1, keepdims=True)


def measure(part):
    prob = softmax_of(part)
    order = np.argsort(-prob, axis=1)
    top1 = np.mean(order[:, 0] == part.labels)
    top2 = np.mean((order[:, :2] == part.labels[:, None]).any(1))
    named = {f"{e.label}/{e.path.name}": list(row) for e, row in zip(part.entries, prob)}
    return float(top1), float(top2), named


a, r, named = measure(data.test)
result["before"] = {"accuracy": a, "rank2": r, "probabilities": named}
parts = {"train": data, "validation": data.validation, "test": data.test}
result["split"] = {k: [f"{e.label}/{e.path.name}" for e in part.entries] for k, part in parts.items()}

# %%
t.fit(data, epochs=3, batch_size=12, verbose=0)
start = torch.cat([w.flatten().clone() for w in model.backbone.parameters()])
model.unfreeze(2)
t = rg.Trainer(model, "adamw", "cross_entropy", ["accuracy"], learning_rate=5e-4)
halve = LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch else lr)
keep = ModelCheckpoint("keep.safetensors", monitor="val_accuracy", mode="max", save_best_only=True)
h = t.fit(data, epochs=3, batch_size=12, callbacks=[halve, keep], verbose=0).history
t.load("keep.safetensors")
end = torch.cat([w.flatten() for w in model.backbone.parameters()])
result["body_moved"] = float((end - start).norm() / start.norm())
result["history"] = {
    k: [float(v) for v in h[k]] for k in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
}
result["best_epoch"] = int(np.argmax(h["val_accuracy"])) + 1

# %%
for key in ("loss", "val_loss"):
    plt.plot(h[key], label=key)
plt.legend()
plt.savefig("curves.png")

# %%
a, r, named = measure(data.test)
named.update(measure(data.validation)[2])
result["after"] = {"accuracy": a, "rank2": r, "probabilities": named}

# %%
model.save("mine.safetensors")
fresh = sorted(Path("new flowers").iterdir())
result["new"] = {f.name: p.label for f, p in zip(fresh, rg.Predictor.load("mine.safetensors").predict(fresh))}
Path("answers.json").write_text(json.dumps(result))
