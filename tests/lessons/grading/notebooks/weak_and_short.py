# 第 6 課的練習：電腦很慢，所以只訓練一下下，結果不太好，但是誠實
import json, os
from pathlib import Path
import numpy as np, torch
from PIL import Image
import matplotlib; matplotlib.use("Agg")
import matplotlib.pyplot as plt
from regraft.models.untouched import untouched_network

結果 = {"photos": "flowers", "network": "tf_efficientnet_lite0"}
類別 = sorted(os.listdir("flowers"))
結果["classes"] = 類別
全部 = [f"{c}/{n}" for c in 類別 for n in sorted(os.listdir(f"flowers/{c}"))]

def 讀圖(檔案, 邊長=32):
    a = np.array(Image.open(檔案).convert("RGB").resize((邊長, 邊長)), dtype=np.float32)
    return torch.tensor((a - 127.5) / 127.5).permute(2, 0, 1)

# 任務 1、2
結果["first_photos"] = {c: next(n for n in 全部 if n.startswith(c + "/")) for c in 類別}
網路 = untouched_network(); 網路.eval()
x = torch.stack([讀圖("flowers/" + n, 224) for n in 結果["first_photos"].values()])
with torch.no_grad(): 前五 = torch.argsort(-網路(x))[:, :5]
結果["top5"] = {c: [int(i) for i in 列] for c, 列 in zip(類別, 前五)}
結果["input"] = {"mean": [float(v) for v in x[0].mean((1, 2))], "std": [float(v) for v in x[0].std((1, 2))]}

# 任務 4：每十張，一張驗證，一張測試
分割 = {"train": [], "validation": [], "test": []}
for c in 類別:
    for i, n in enumerate(n for n in 全部 if n.startswith(c + "/")):
        分割["validation" if i % 12 == 4 else "test" if i % 12 == 9 else "train"].append(n)
結果["split"] = 分割
圖 = {n: 讀圖("flowers/" + n) for n in 全部}
標籤 = {n: 類別.index(n.split("/")[0]) for n in 全部}

# 任務 3
torch.manual_seed(0)
網路.classifier = torch.nn.Linear(1280, 5)
torch.nn.init.normal_(網路.classifier.weight, std=0.001)

def 預測(names):
    網路.eval()
    with torch.no_grad():
        return {n: p for n, p in zip(names, 網路(torch.stack([圖[n] for n in names])).softmax(1).tolist())}

def 準確率(p, k):
    對 = 0
    for n, row in p.items():
        對 += 標籤[n] in sorted(range(5), key=lambda i: -row[i])[:k]
    return 對 / len(p)

p = 預測(分割["test"])
結果["before"] = {"accuracy": 準確率(p, 1), "rank2": 準確率(p, 2), "probabilities": p}

# 任務 5
def 訓練(參數, 學習率們):
    歷程 = {k: [] for k in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")}
    opt = torch.optim.SGD(參數, 1.0)
    for lr in 學習率們:
        for g in opt.param_groups: g["lr"] = lr
        xs = torch.stack([圖[n] for n in 分割["train"]]); ys = torch.tensor([標籤[n] for n in 分割["train"]])
        out = 網路(xs); loss = torch.nn.functional.cross_entropy(out, ys)
        opt.zero_grad(); loss.backward(); opt.step()
        v = 預測(分割["validation"])
        歷程["loss"].append(loss.item()); 歷程["accuracy"].append((out.argmax(1) == ys).float().mean().item())
        歷程["val_loss"].append(float(-np.mean([np.log(row[標籤[n]]) for n, row in v.items()])))
        歷程["val_accuracy"].append(準確率(v, 1)); 歷程["learning_rate"].append(lr)
        torch.save(網路.state_dict(), f"{len(歷程['loss'])}.pt")
    return 歷程

for q in 網路.parameters(): q.requires_grad = False
for q in 網路.classifier.parameters(): q.requires_grad = True
訓練(網路.classifier.parameters(), [0.01] * 2)
主體 = list(網路.conv_head.parameters())
之前 = torch.cat([q.detach().flatten().clone() for q in 主體])
for q in 主體: q.requires_grad = True
結果["history"] = 訓練([*主體, *網路.classifier.parameters()], [0.01, 0.005, 0.002])
結果["best_epoch"] = int(np.argmin(結果["history"]["val_loss"])) + 1
網路.load_state_dict(torch.load(f"{結果['best_epoch']}.pt"))
之後 = torch.cat([q.detach().flatten() for q in 主體])
結果["body_moved"] = float((之後 - 之前).norm() / 之前.norm())

# 任務 6
plt.plot(結果["history"]["loss"]); plt.plot(結果["history"]["val_loss"]); plt.savefig("curves.png")

# 任務 7、8
測試, 驗證 = 預測(分割["test"]), 預測(分割["validation"])
結果["after"] = {"accuracy": 準確率(測試, 1), "rank2": 準確率(測試, 2), "probabilities": {**測試, **驗證}}
新 = sorted(os.listdir("new flowers"))
圖.update({n: 讀圖("new flowers/" + n) for n in 新})
結果["new"] = {n: 類別[int(np.argmax(row))] for n, row in 預測(新).items()}
json.dump(結果, open("answers.json", "w"), ensure_ascii=False)
