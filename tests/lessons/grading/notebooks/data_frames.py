# %% [markdown]
# # My flowers: everything in data frames

# %%
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.model_selection import train_test_split

from regraft.models.untouched import untouched_network

photos = pd.DataFrame({"file": sorted(Path("flowers").glob("*/*.jpg"))})
photos["label"] = pd.Categorical([f.parent.name for f in photos.file])
photos["name"] = photos.label.astype(str) + "/" + photos.file.map(lambda f: f.name)
rest, test = train_test_split(photos.index, test_size=0.1, stratify=photos.label, random_state=1)
train, val = train_test_split(rest, test_size=0.11, stratify=photos.label[rest], random_state=1)
photos["side"] = "train"
photos.loc[val, "side"] = "validation"
photos.loc[test, "side"] = "test"
photos.groupby("side").size()

# %% [markdown]
# ## Pixels
# The network wants -1 to 1.


# %%
def pixels(files, side):
    stack = np.stack([np.asarray(Image.open(f).convert("RGB").resize((side, side)), "float32") for f in files])
    return torch.from_numpy(stack / 255 * 2 - 1).permute(0, 3, 1, 2)


net = untouched_network()
first = photos.groupby("label", observed=True).file.min()
with torch.no_grad():
    x = pixels(first, 224)
    top5 = pd.DataFrame(net(x).topk(5).indices.numpy(), index=first.index.astype(str))
channels = pd.DataFrame(x[0].flatten(1).T.numpy()).agg(["mean", "std"])

# %% [markdown]
# ## Features of the lower part, computed once: it stays frozen

# %%
torch.manual_seed(5)
net.reset_classifier(photos.label.nunique())
y = torch.tensor(photos.label.cat.codes.to_numpy().copy()).long()


def lower(x):
    x = net.bn1(net.conv_stem(x))
    return net.blocks[:4](x)


def upper(h):
    return net.forward_head(net.bn2(net.conv_head(net.blocks[4:](h))))


net.eval()
with torch.no_grad():
    H = torch.cat([lower(pixels(part, 64)) for part in np.array_split(photos.file.to_numpy(), 4)])


def table(rows):
    with torch.no_grad():
        p = upper(H[list(rows)]).softmax(1).numpy()
    return pd.DataFrame(p, index=photos.name[rows], columns=photos.label.cat.categories)


def scores(t):
    truth = t.index.str.split("/").str[0]
    rank = t.rank(axis=1, ascending=False, method="first")
    own = pd.Series([rank.at[name, label] for name, label in zip(t.index, truth)])
    return {"accuracy": float((own == 1).mean()), "rank2": float((own <= 2).mean())}


untrained = table(test)

# %% [markdown]
# ## Training


# %%
def epochs(parameters, schedule):
    opt = torch.optim.Adam(parameters, schedule[0])
    rows = []
    for rate in schedule:
        opt.param_groups[0]["lr"] = rate
        order, seen = np.random.default_rng(len(rows)).permutation(train), []
        for i in range(0, len(order), 10):
            batch = list(order[i : i + 10])
            z = upper(H[batch])
            loss = torch.nn.functional.cross_entropy(z, y[batch])
            opt.zero_grad()
            loss.backward()
            opt.step()
            seen += [(loss.item(), hit) for hit in (z.argmax(1) == y[batch]).tolist()]
        t = table(val)
        own = [t.at[name, label] for name, label in zip(t.index, photos.label[val])]
        rows.append([*np.mean(seen, axis=0), -np.log(np.clip(own, 1e-7, 1)).mean(), scores(t)["accuracy"], rate])
        torch.save(net.state_dict(), f"epoch{len(rows)}.pt")
    return pd.DataFrame(rows, columns=["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"])


for p in net.parameters():
    p.requires_grad = False
head = list(net.get_classifier().parameters())
for p in head:
    p.requires_grad = True
epochs(head, [1e-3] * 6)
body = [*net.blocks[5:].parameters(), *net.conv_head.parameters()]
start = torch.cat([p.detach().flatten().clone() for p in body])
for p in body:
    p.requires_grad = True
history = epochs([*head, *body], [1e-4, 7e-5, 4e-5])
best = int(history.val_loss.idxmin()) + 1
net.load_state_dict(torch.load(f"epoch{best}.pt"))
end = torch.cat([p.detach().flatten() for p in body])
history

# %%
history[["loss", "val_loss"]].plot().figure.savefig("curves.png")

# %% [markdown]
# ## Results

# %%
final = table([*test, *val])
new = pd.Series(sorted(Path("new flowers").glob("*.jpg")))
with torch.no_grad():
    guessed = photos.label.cat.categories[upper(lower(pixels(new, 64))).argmax(1).numpy()]
answers = {
    "photos": "flowers",
    "network": "tf_efficientnet_lite0",
    "classes": photos.label.cat.categories.tolist(),
    "first_photos": {label: f.as_posix() for label, f in first.items()},
    "top5": top5.T.to_dict("list"),
    "input": {row: channels.loc[row].tolist() for row in channels.index},
    "before": {**scores(untrained), "probabilities": untrained.T.to_dict("list")},
    "split": photos.groupby("side").name.apply(list).to_dict(),
    "history": history.to_dict("list"),
    "best_epoch": best,
    "body_moved": ((end - start).norm() / start.norm()).item(),
    "after": {**scores(table(test)), "probabilities": final.T.to_dict("list")},
    "new": dict(zip(new.map(lambda f: f.name), guessed)),
}
Path("answers.json").write_text(json.dumps(answers))
