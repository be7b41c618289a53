# source: src/regraft/lessons/content/6_exercise.py · sha256 41519e0f4ec6 · release 0.1
# %% [markdown]
# # 第 6 課：練習，五種花
#
# 輪到您了。八項任務會帶您從照片資料夾開始，做出認得五種花的網路。可以使用**任何函式庫**：regraft、
# 一般的 torch 搭配 timm 或 torchvision，或 Keras。評分只看您得到的結果：把結果寫進字典 `answers`，
# 最後一個儲存格會將它存成 `answers.json`。然後逐項評分，要評幾次都可以：
#
# ```text
# regraft lesson check 6_exercise.ipynb
# ```
#
# 檢查程式會把筆記本從第一個儲存格執行到最後一個，比較的是結果，不是程式碼。還不正確的地方會給提示。
# 解答：`regraft lesson copy 6 --solution`。
#
# 第一個儲存格會畫出照片：`flowers` 中每個類別一個資料夾，另有 `new flowers`，裡面的花是什麼類別，只有檢查程式知道。
# 用環境變數 `PHOTOS` 可以換成您自己的資料夾（這時任務 8 不評分）。

# %%
import json
import os
from pathlib import Path

from regraft.sample.exercise_photos import draw_exercise

folder = Path(os.environ["PHOTOS"]) if "PHOTOS" in os.environ else draw_exercise()
answers = {"photos": str(folder)}

# %% [markdown]
# 答案中的照片名稱請寫成 `"rose/plant007-0.jpg"` 的形式。`answers["network"]` 是您使用的網路：
# timm 的名稱，例如 `"resnet18"` 或 `"vgg16"`，或 Keras 的，例如 `"keras/Xception"`。沒有網路連線時，
# 請用 `"tf_efficientnet_lite0"`：它的權重隨 regraft 一起安裝。

# %%
answers["network"] = "tf_efficientnet_lite0"

# %% [markdown]
# ## 任務 1：每個類別的第一張照片
#
# 依名稱的順序顯示每個類別的第一張照片，並記下是哪一張。
#
# `answers["first_photos"] = {"daisy": "daisy/…", …}`

# %%
answers["first_photos"] = {}

# %% [markdown]
# ## 任務 2：未經改動的網路看到什麼
#
# 載入網路，保留**它原有的** 1,000 個類別的分類頭，按照它的需要準備這五張照片，並顯示每張照片機率最高的
# 五個 ImageNet 類別。記下這些類別的編號（0 到 999），以及第一張照片進入網路時三個通道的平均值和標準差。
#
# `answers["top5"] = {"daisy": [985, …], …}` 和 `answers["input"] = {"mean": [r, g, b], "std": [r, g, b]}`
#
# `regraft.models.untouched` 有 `untouched_network()` 和 `imagenet_names([985])`；timm 對某個網路的前處理是
# `timm.data.create_transform(**timm.data.resolve_data_config({}, model=network))`（請先匯入 regraft 再匯入 timm）。

# %%
answers["top5"] = {}
answers["input"] = {}

# %% [markdown]
# ## 任務 3：新的分類頭
#
# 換掉分類頭：在凍結的主體上加一層，每個類別一個輸出。它還什麼都沒學。請選一些照片來預測，例如任務 4 的測試照片，
# 並測量**準確率**（機率最高的類別就是正確的類別）和 **rank-2**（正確的類別是機率最高的兩個之一）。用猜的會得到多少？
#
# `answers["classes"]`：依輸出順序排列的類別。
# `answers["before"] = {"accuracy": …, "rank2": …, "probabilities": {"daisy/…": [five numbers], …}}`

# %%
answers["classes"] = []
answers["before"] = {}

# %% [markdown]
# ## 任務 4：80/10/10
#
# 分割照片：80 % 用來訓練，10 % 用來驗證，10 % 用來測試，每一份都要有每個類別的照片。
#
# `answers["split"] = {"train": ["daisy/…", …], "validation": […], "test": […]}`：必須是您實際使用的分割。

# %%
answers["split"] = {}

# %% [markdown]
# ## 任務 5：微調，搭配排程和檢查點
#
# 先訓練分類頭。然後解凍主體的上層，溫和地訓練幾個訓練週期：用**排程**逐漸降低學習率，
# 並用**檢查點**存下在驗證照片上最佳的訓練週期，最後再載入它。
#
# 請記下第二次訓練每個訓練週期的數值：`answers["history"] = {"loss": […], "accuracy": […], "val_loss": […],
# "val_accuracy": […], "learning_rate": […]}`；保留的是第幾個訓練週期（從 1 算起）：`answers["best_epoch"]`；
# 以及主體的權重在這次訓練中變動了多少，‖之後 − 之前‖ / ‖之前‖：`answers["body_moved"]`。

# %%
answers["history"] = {}
answers["best_epoch"] = None
answers["body_moved"] = None

# %% [markdown]
# ## 任務 6：曲線
#
# 畫出訓練和驗證的損失與準確率隨訓練週期的變化，並將圖存成 `curves.png`。從哪裡開始過度擬合？

# %%
curves = Path("curves.png")

# %% [markdown]
# ## 任務 7：準確率和 rank-2
#
# 用**測試**照片測量兩者，只測一次。驗證照片也要預測，才看得出您保留的是最佳的訓練週期。
#
# `answers["after"] = {"accuracy": …, "rank2": …, "probabilities": {…}}`，包含所有驗證和測試照片的機率。

# %%
answers["after"] = {}

# %% [markdown]
# ## 任務 8：新照片
#
# 預測 `new flowers` 中的所有照片，並顯示其中幾張和預測的花名。網路的表現是否和測試照片上一樣好？
#
# `answers["new"] = {"new-00.jpg": "rose", …}`

# %%
answers["new"] = {}

# %%
Path("answers.json").write_text(json.dumps(answers))

# %% [markdown]
# ## 評分之外，換您試試
#
# 1. 您的準確率，區間有多寬（第 7 課）？要分辨 90 % 和 95 %，需要多少張測試照片？
# 2. 網路會混淆哪些花？把那些照片顯示出來。
# 3. 試試看線性探測（第 2 課）能不能勝過您的結果。
