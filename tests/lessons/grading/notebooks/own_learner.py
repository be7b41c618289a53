# %% [markdown]
# # 第六課 五種花
# 用自己寫的 Learner，名稱仿照 fastai

# %%
import json
import random
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn as nn
from PIL import Image

from regraft.models.untouched import untouched_network

path = Path("flowers")


def get_image_files(p):
    return sorted(p.rglob("*.jpg"))


def parent_label(f):
    return f.parent.name


class DataLoaders:
    """訓練、驗證和測試"""

    def __init__(self, files, seed=7):
        self.vocab = sorted({parent_label(f) for f in files})
        rng = random.Random(seed)
        self.train, self.valid, self.test = [], [], []
        for c in self.vocab:
            own = [f for f in files if parent_label(f) == c]
            rng.shuffle(own)
            k = max(1, round(0.1 * len(own)))
            self.valid += own[:k]
            self.test += own[k : 2 * k]
            self.train += own[2 * k :]

    def one_batch(self, items, size=64):
        xs = torch.stack([item_tfm(f, size) for f in items])
        return xs, torch.tensor([self.vocab.index(parent_label(f)) for f in items])


def item_tfm(f, size):
    img = Image.open(f).convert("RGB").resize((size, size))
    x = torch.tensor(list(img.getdata()), dtype=torch.float).view(size, size, 3).permute(2, 0, 1)
    return x / 127.5 - 1


dls = DataLoaders(get_image_files(path))
answers = {"photos": str(path), "network": "tf_efficientnet_lite0", "classes": dls.vocab}

# %% [markdown]
# ## 任務 1 和 2

# %%
first = {}
for f in get_image_files(path):
    first.setdefault(parent_label(f), f)
answers["first_photos"] = {k: "%s/%s"
                           % (v.parent.name, v.name) for k, v in first.items()}
model = untouched_network().eval()
xb, _ = dls.one_batch(list(first.values()), 224)
answers["top5"] = {k: row for k, row in zip(first, model(xb).argsort(descending=True)[:, :5].tolist())}
answers["input"] = {"mean": xb[0].mean((1, 2)).tolist(), "std": xb[0].std((1, 2)).tolist()}

# %% [markdown]
# ## Learner


# %%
class Learner:
    def __init__(self, dls, model, loss_func):
        self.dls, self.model, self.loss_func = dls, model, loss_func
        self.recorder = []
        self.best = (None, 1e9)

    def freeze_to(self, n):
        for p in self.model.parameters():
            p.requires_grad_(False)
        parts = [self.model.classifier, self.model.conv_head, *reversed(self.model.blocks)]
        for part in parts[:n]:
            for p in part.parameters():
                p.requires_grad_(True)

    def get_preds(self, items):
        self.model.eval()
        with torch.no_grad():
            x, y = self.dls.one_batch(items)
            return self.model(x).softmax(1), y

    def validate(self):
        preds, targs = self.get_preds(self.dls.valid)
        return nn.NLLLoss()(preds.log(), targs).item(), accuracy(preds, targs)

    def fit_one_cycle(self, n_epoch, lr_max, bs=12):
        params = [p for p in self.model.parameters() if p.requires_grad]
        opt = torch.optim.AdamW(params, lr_max)
        n = (len(self.dls.train) + bs - 1) // bs
        sched = torch.optim.lr_scheduler.OneCycleLR(opt, lr_max, total_steps=n * n_epoch)
        x, y = self.dls.one_batch(self.dls.train)
        self.recorder = []
        for epoch in range(n_epoch):
            self.model.eval()
            losses, hits = 0.0, 0
            for ids in torch.randperm(len(y)).split(bs):
                out = self.model(x[ids])
                loss = self.loss_func(out, y[ids])
                loss.backward()
                opt.step()
                opt.zero_grad()
                sched.step()
                losses += loss.item() * len(ids)
                hits += (out.argmax(1) == y[ids]).sum().item()
            row = [losses / len(y), 100 * hits / len(y), *self.validate(), sched.get_last_lr()[0]]
            self.recorder.append(row)
            if row[2] < self.best[1]:
                self.best = (epoch, row[2])
                torch.save(self.model.state_dict(), "model.pth")


def accuracy(preds, targs):
    """百分比"""
    return 100 * (preds.argmax(1) == targs).float().mean().item()


def top_2_accuracy(preds, targs):
    return 100 * (preds.topk(2).indices == targs.unsqueeze(1)).any(1).float().mean().item()


def named(items, preds):
    return {f.as_posix(): p.tolist() for f, p in zip(items, preds)}


# %% [markdown]
# ## 任務 3 和 4

# %%
torch.manual_seed(42)
model.classifier = nn.Linear(model.classifier.in_features, len(dls.vocab))
learn = Learner(dls, model, nn.CrossEntropyLoss())
preds, targs = learn.get_preds(dls.test)
answers["before"] = dict(
    accuracy=accuracy(preds, targs), rank2=top_2_accuracy(preds, targs), probabilities=named(dls.test, preds)
)
answers["split"] = {
    side: [f.as_posix() for f in items]
    for side, items in (("train", dls.train), ("validation", dls.valid), ("test", dls.test))
}

# %% [markdown]
# ## 任務 5：先分類頭，再微調

# %%
learn.freeze_to(1)
learn.fit_one_cycle(4, 3e-3)
before = {k: v.clone() for k, v in model.state_dict().items() if "classifier" not in k}
learn.best = (None, 1e9)
learn.freeze_to(4)
learn.fit_one_cycle(3, 3e-4)
model.load_state_dict(torch.load("model.pth"))
after = model.state_dict()
num = sum((after[k].float() - v.float()).pow(2).sum() for k, v in before.items())
den = sum(v.float().pow(2).sum() for v in before.values())
answers["body_moved"] = (num / den).sqrt().item()
answers["history"] = dict(
    zip(["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"], map(list, zip(*learn.recorder)))
)
answers["best_epoch"] = learn.best[0] + 1

# %% [markdown]
# ## 任務 6

# %%
fig, ax = plt.subplots()
ax.plot([row[0] for row in learn.recorder], label="train")
ax.plot([row[2] for row in learn.recorder], label="valid")
ax.legend()
fig.savefig("curves.png")

# %% [markdown]
# ## 任務 7 和 8

# %%
preds, targs = learn.get_preds(dls.test)
answers["after"] = {"accuracy": accuracy(preds, targs), "rank2": top_2_accuracy(preds, targs)}
answers["after"]["probabilities"] = {**named(dls.test, preds), **named(dls.valid, learn.get_preds(dls.valid)[0])}
new_files = get_image_files(Path("new flowers"))
with torch.no_grad():
    picked = model(torch.stack([item_tfm(f, 64) for f in new_files])).argmax(1)
answers["new"] = {f.name: dls.vocab[i] for f, i in zip(new_files, picked)}
with open("answers.json", "w") as f:
    json.dump(answers, f, ensure_ascii=False, indent=1)
