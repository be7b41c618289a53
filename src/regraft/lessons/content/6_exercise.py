# %% [markdown]
# # Lesson 6: The exercise, five flowers
#
# Now you. Eight tasks lead from a folder of photos to a network that names flowers. Use **any library**: regraft, plain
# torch with timm or torchvision, or Keras. What counts is what you find: write it into the dictionary `answers`, whose last
# cell saves it as `answers.json`. Then let it be graded, task by task, as often as you like:
#
# ```text
# regraft lesson check 6_exercise.ipynb
# ```
#
# The checker runs your notebook from the first cell to the last and compares the results, not the code. For what is not
# right yet it gives a hint. A solution: `regraft lesson copy 6 --solution`.
#
# The first cell draws the photos: `flowers` with a folder for each class, and `new flowers`, whose classes only the checker
# knows. With the variable `PHOTOS` you use a folder of your own (task 8 is then not graded).

# %%
import json
import os
from pathlib import Path

from regraft.sample.exercise_photos import draw_exercise

folder = Path(os.environ["PHOTOS"]) if "PHOTOS" in os.environ else draw_exercise()
answers = {"photos": str(folder)}

# %% [markdown]
# Names of photos in your answers have the form `"rose/plant007-0.jpg"`. `answers["network"]` is the network that you build
# on: timm's name, such as `"resnet18"` or `"vgg16"`, or Keras's, such as `"keras/Xception"`. Without a network connection,
# take `"tf_efficientnet_lite0"`: its weights came with regraft.

# %%
answers["network"] = "tf_efficientnet_lite0"

# %% [markdown]
# ## Task 1: the first photo of each class
#
# Show the first photo of each class, in the order of names, and write down which it is.
#
# `answers["first_photos"] = {"daisy": "daisy/…", …}`

# %%
answers["first_photos"] = {}

# %% [markdown]
# ## Task 2: what the untouched network sees
#
# Load the network **with its own head** of 1,000 classes, prepare these five photos as it expects them, and show for each the
# five classes of ImageNet that it finds most probable. Write down their numbers (0 to 999), and mean and standard deviation
# of the three channels of the first photo as it enters the network.
#
# `answers["top5"] = {"daisy": [985, …], …}` and `answers["input"] = {"mean": [r, g, b], "std": [r, g, b]}`
#
# `regraft.models.untouched` has `untouched_network()` and `imagenet_names([985])`; timm's preprocessing of a network is
# `timm.data.create_transform(**timm.data.resolve_data_config({}, model=network))` (import regraft before timm).

# %%
answers["top5"] = {}
answers["input"] = {}

# %% [markdown]
# ## Task 3: a new head
#
# Replace the head: a layer with one output for each class, on the frozen body. It has learned nothing yet. Predict photos
# of your choice, such as the test photos of task 4, and measure **accuracy** (the most probable class is right) and
# **rank-2** (the class is one of the two most probable). What would guessing give?
#
# `answers["classes"]`: the classes in the order of the outputs.
# `answers["before"] = {"accuracy": …, "rank2": …, "probabilities": {"daisy/…": [five numbers], …}}`

# %%
answers["classes"] = []
answers["before"] = {}

# %% [markdown]
# ## Task 4: 80/10/10
#
# Divide the photos: 80 % to train, 10 % to validate, 10 % to test, each with photos of all classes.
#
# `answers["split"] = {"train": ["daisy/…", …], "validation": […], "test": […]}`: the photos that you really use so.

# %%
answers["split"] = {}

# %% [markdown]
# ## Task 5: fine-tune, with a schedule and a checkpoint
#
# Train the head first. Then unfreeze the upper part of the body and train it gently for some epochs: with a learning rate
# that a **schedule** lowers, and a **checkpoint** of the epoch that is best on the validation photos. Load it at the end.
#
# Of this second training write down, for each epoch: `answers["history"] = {"loss": […], "accuracy": […], "val_loss": […],
# "val_accuracy": […], "learning_rate": […]}`; the epoch that you kept, counted from 1: `answers["best_epoch"]`; and how far the
# weights of the body moved in it, ‖after − before‖ / ‖before‖: `answers["body_moved"]`.

# %%
answers["history"] = {}
answers["best_epoch"] = None
answers["body_moved"] = None

# %% [markdown]
# ## Task 6: curves
#
# Draw loss and accuracy of both sides over the epochs, and save the figure as `curves.png`. Where does it overfit?

# %%
curves = Path("curves.png")

# %% [markdown]
# ## Task 7: accuracy and rank-2
#
# Measure both on the **test** photos, once. Predict the validation photos too: they show that you kept the best epoch.
#
# `answers["after"] = {"accuracy": …, "rank2": …, "probabilities": {…}}`, with the probabilities of all validation and test
# photos.

# %%
answers["after"] = {}

# %% [markdown]
# ## Task 8: new photos
#
# Predict all photos in `new flowers`, and show some with their names. Is the network as good as the test photos promise?
#
# `answers["new"] = {"new-00.jpg": "rose", …}`

# %%
answers["new"] = {}

# %%
Path("answers.json").write_text(json.dumps(answers))

# %% [markdown]
# ## Your turn, beyond the grade
#
# 1. How wide is the interval of your accuracy (lesson 7)? How many test photos would you need to tell 90 % from 95 %?
# 2. Which flowers does the network confuse? Show them.
# 3. Beat your result with a linear probe (lesson 2), or find that you can't.
