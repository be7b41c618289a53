"""Callbacks that options add to a recipe, and the lecture's own lines."""

from __future__ import annotations

import csv
import itertools
import json
import math
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import regraft as rg
from making import make_photos
from recorded_screen import RecordedScreen
from regraft.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, StepSchedule, TensorBoard, WarmupCosine
from regraft.callbacks.keep_latest_best import SPREAD
from regraft.callbacks.user_callbacks import own_callbacks
from regraft.context.config import resolve
from regraft.data.manifest import Manifest
from regraft.errors import ConfigError
from regraft.recipes.steps.epoch_callbacks import epoch_callbacks
from regraft.recipes.steps.rate_schedule import rate_after_warmup
from regraft.recipes.steps.tensorboard_images import CAPTION, captioned, confusion_picture, sprite_sheet
from regraft.screen import QuietScreen
from regraft.workflows.train import train

GRADIENT = ("feature-extraction", "fine-tune")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos"), {"ash": 28, "birch": 28, "cedar": 28}, noise=150.0)


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", list(sys.path))


def go(photos, out, screen=None, **options):
    options = {"split": "60/20/20"} | options
    return train(photos, out=out, screen=screen or QuietScreen(), **options)


def history(run) -> list[dict[str, str]]:
    with open(run.folder / "history.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def callbacks(validation, **options):
    """Return the callbacks of a training of seven epochs, and the lines about them."""
    context = SimpleNamespace(config=resolve(None, photos="x", **options), user_callbacks=())
    return epoch_callbacks(context, validation, epochs=7, warmup=0.1, recipe_callbacks=[]).callbacks


@pytest.mark.parametrize("recipe", GRADIENT)
def test_early_stopping_ends_the_training_keeps_the_best_epoch_and_says_why(photos, tiny, tmp_path, recipe):
    run = go(photos, tmp_path / "run", recipe=recipe, epochs=60, lr=0.3, early_stop=1, **tiny)
    said, rows = run.metrics["training"], history(run)
    losses = [float(row["val_loss"]) for row in rows]
    assert said["epochs"] == len(rows) < 60
    with (run.folder / "manifest.csv").open(encoding="utf-8") as table:
        validated = sum(row["split"] == "validation" for row in csv.DictReader(table))
    as_good = [loss <= (1 + SPREAD / validated**0.5) * min(losses) for loss in losses]
    assert said["best_epoch"] == max(np.flatnonzero(as_good)) + 1
    assert said["stop_reason"].startswith("EarlyStopping: val_loss has not improved for 1 epoch (best: ")
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    assert next(e for e in events if e["event"] == "best epoch")["stop_reason"] == said["stop_reason"]


def test_without_early_stopping_all_epochs_run_and_nothing_stopped_it(photos, tiny, tmp_path):
    run = go(photos, tmp_path / "run", recipe="fine-tune", epochs=2, lr=0.3, **tiny)
    assert run.metrics["training"]["epochs"] == 2
    assert run.metrics["training"]["stop_reason"] is None


def test_the_best_epoch_is_kept_by_one_callback_whatever_its_patience():
    for options, patience in (({}, 7), ({"early_stop": 0}, 0), ({"early_stop": 3}, 3)):
        found = callbacks([object()], **options)
        stopping = [c for c in found if isinstance(c, EarlyStopping)]
        assert [(c.patience, c.restore_best_weights, c.monitor) for c in stopping] == [(patience, True, "val_loss")]
        assert found[-1] is stopping[0]
    assert not callbacks([])[1:]


def test_what_sets_the_learning_rate_is_one_callback():
    def first(**options):
        return callbacks([object()], **options)[0]

    assert type(first()) is type(first(lr_schedule="cosine")) is WarmupCosine
    assert type(first(lr_schedule="linear")) is type(first(lr_schedule="constant")) is StepSchedule
    assert isinstance(first(reduce_lr_on_plateau=True), ReduceLROnPlateau)


def test_schedules_rise_and_then_fall_or_stay():
    linear, constant = rate_after_warmup(0.2, falls=True), rate_after_warmup(0.2, falls=False)
    assert [linear(step, 10) for step in range(10)] == [0.5, *np.linspace(1, 1, 1), *np.linspace(1, 0.125, 8)]
    assert [constant(step, 10) for step in range(10)] == [0.5] + [1] * 9
    assert rate_after_warmup(0.0, falls=True)(0, 5) == 1


def test_the_learning_rate_follows_the_schedule_that_was_asked_for(photos, tiny, tmp_path):
    options = {"recipe": "feature-extraction", "epochs": 3, "lr": 0.01, **tiny}
    constant = history(go(photos, tmp_path / "constant", lr_schedule="constant", **options))
    assert {float(row["learning_rate"]) for row in constant} == {0.01}
    falling = history(go(photos, tmp_path / "linear", lr_schedule="linear", **options))
    rates = [float(row["learning_rate"]) for row in falling]
    assert rates[0] - rates[1] == pytest.approx(rates[1] - rates[2]) and rates[0] > rates[1] > rates[2] > 0


def test_at_a_plateau_the_learning_rate_falls_in_place_of_the_cosine(photos, tiny, tmp_path):
    run = go(
        photos, tmp_path / "run", recipe="feature-extraction", epochs=12, lr=3.0, reduce_lr_on_plateau=True, **tiny
    )
    rates = [float(row["learning_rate"]) for row in history(run)]
    assert rates[0] == 3.0 and rates[-1] < 3.0
    assert all(b == a or b == pytest.approx(a / 10) for a, b in itertools.pairwise(rates))


@pytest.mark.parametrize("recipe", GRADIENT)
def test_tensorboard_shows_figures_photos_confusion_and_projector(photos, tiny, tmp_path, recipe):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = go(photos, tmp_path / "run", recipe=recipe, epochs=2, tensorboard=True, **tiny)
    board = run.folder / "tensorboard"
    events = EventAccumulator(str(board / "validation"), size_guidance={"images": 0}).Reload()
    assert [e.step for e in events.Scalars("epoch_loss")] == [0, 1]
    assert events.Scalars("epoch_accuracy")[0].value == pytest.approx(float(history(run)[0]["val_accuracy"]))
    tags = events.Tags()["images"]
    assert any(tag.startswith("photos") for tag in tags)
    (confusion,) = [tag for tag in tags if tag.startswith("confusion matrix")]
    assert [e.step for e in events.Images(confusion)] == [0, 1]
    chosen = sum(entry.side == "validation" for entry in Manifest.read(run.folder / "manifest.csv").usable)
    labels = (board / "projector" / "labels.tsv").read_text().splitlines()
    assert labels[0] == "class\tphoto" and len(labels) == 1 + chosen
    (vectors,) = [p for p in (board / "projector").glob("*.tsv") if p.name != "labels.tsv"]
    assert np.loadtxt(vectors, delimiter="\t").shape[0] == chosen
    assert "sprites.png" in (board / "projector_config.pbtxt").read_text()
    side = math.ceil(math.sqrt(chosen)) * 48
    assert Image.open(board / "projector" / "sprites.png").size == (side, side)


@pytest.mark.slow
def test_tensorboard_changes_no_weight(photos, tiny, tmp_path):
    files = []
    for on in (True, False):
        run = go(photos, tmp_path / str(on), recipe="fine-tune", epochs=1, tensorboard=on, **tiny)
        files.append((run.folder / "model.safetensors").read_bytes())
    assert files[0] == files[1]


def test_figures_are_posted_to_the_server_and_a_dead_one_is_no_matter(photos, tiny, tmp_path):
    got: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/"
    options = {"recipe": "feature-extraction", "epochs": 2, **tiny}
    try:
        go(photos, tmp_path / "answers", remote_monitor=address, **options)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert got == ["/publish/epoch/end/"] * 2
    screen = RecordedScreen()
    dead = go(photos, tmp_path / "dead", screen, remote_monitor=address, **options)
    assert dead.metrics["training"]["epochs"] == 2
    assert any("2 of 2 epochs did not reach" in text for text in screen.texts)


def test_ones_own_callback_is_found_in_the_current_folder_and_may_stop(photos, tiny, tmp_path):
    (tmp_path / "here" / "mine_stops.py").write_text(
        "from regraft.callbacks import Callback\n"
        "class Enough(Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n"
        "        logs['mine'] = 1.5\n"
        "        if epoch == 1:\n"
        "            self.stop('it is late')\n"
    )
    run = go(photos, tmp_path / "run", recipe="fine-tune", epochs=5, callback="mine_stops:Enough", **tiny)
    assert run.metrics["training"]["stop_reason"] == "Enough: it is late"
    assert [row["mine"] for row in history(run)] == ["1.5", "1.5"]


def test_a_callback_with_keras_hooks_alone_is_taken(tmp_path):
    (tmp_path / "here" / "mine_like_keras.py").write_text(
        "class Like:\n"
        "    def set_model(self, model): pass\n"
        "    def set_params(self, params): pass\n"
        "    def on_epoch_end(self, epoch, logs=None): pass\n"
    )
    (made,) = own_callbacks(["mine_like_keras:Like"])
    assert type(made).__name__ == "Like"


def test_all_that_is_wrong_with_ones_own_callbacks_is_said_at_once(tmp_path):
    (tmp_path / "here" / "mine_wrong.py").write_text(
        "from regraft.callbacks import Callback\n"
        "class Alarm(Callback): pass\n"
        "class Other: pass\n"
        "class Needy(Callback):\n"
        "    def __init__(self, where): super().__init__()\n"
    )
    (tmp_path / "here" / "mine_broken.py").write_text("import no_such_module_at_all\n")
    names = ["mine_wrnog:Alarm", "mine_wrong:Alram", "mine_wrong:Other", "mine_wrong:Needy", "mine_broken:Alarm"]
    with pytest.raises(ConfigError) as caught:
        own_callbacks([*names, "mine_wrong:Alarm"])
    text = str(caught.value)
    assert text.startswith("callback: 5 problems\n")
    for part in (
        "there is no module 'mine_wrnog', neither installed nor in ",
        "did you mean 'mine_wrong'",
        "mine_wrong has no 'Alram'; did you mean 'Alarm'",
        "mine_wrong:Other is not a callback; expected a subclass of regraft.callbacks.Callback",
        "mine_wrong:Needy cannot be created without arguments: TypeError",
        "importing mine_broken failed: ModuleNotFoundError: No module named 'no_such_module_at_all'",
    ):
        assert part in text


def test_a_missing_callback_is_found_before_any_photo_is_read(tmp_path):
    with pytest.raises(ConfigError, match="there is no module 'no_such_module'"):
        go(tmp_path / "no photos", tmp_path / "run", callback=["no_such_module:X"])


@pytest.mark.parametrize("recipe", GRADIENT)
def test_a_callback_that_needs_validation_photos_is_refused_where_there_are_none(photos, tiny, tmp_path, recipe):
    (tmp_path / "here" / "mine_watches.py").write_text(
        "from regraft.callbacks import EarlyStopping\nclass Watch(EarlyStopping): pass\n"
    )
    options = {"recipe": recipe, "split": "80/0/20", "epochs": 1, **tiny}
    with pytest.raises(ConfigError, match="there are no validation photos") as caught:
        go(photos, tmp_path / "run", early_stop=2, reduce_lr_on_plateau=True, callback="mine_watches:Watch", **options)
    for part in ("early_stop monitors", "reduce_lr_on_plateau monitors", "Watch monitors 'val_loss'", "--split 80"):
        assert part in str(caught.value)
    assert not (tmp_path / "run").exists()
    assert go(photos, tmp_path / "run", tensorboard=True, **options).metrics["training"]["best_epoch"] == 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"early_stop": -1}, "early_stop: expected at least 0, found -1"),
        ({"remote_monitor": "localhost:9000"}, "remote_monitor: expected the address of a server such as http"),
        ({"remote_monitor": "ftp://host"}, "found 'ftp://host'"),
        ({"remote_monitor": "http://me:secret@host"}, "remote_monitor: expected"),
        ({"remote_monitor": "http://[::1"}, "remote_monitor: expected"),
        ({"lr_schedule": "cosin"}, "expected cosine, linear, constant, found 'cosin'; did you mean 'cosine'"),
        ({"callback": "Alarm"}, "callback: expected module:Class such as my_callbacks:Alarm, found 'Alarm'"),
        ({"callback": ["a:B", "a b:C"]}, "found 'a b:C'"),
        ({"callback": 3}, "expected module:Class, or a list of them, found 3"),
        ({"recipe": "linear-probe", "early_stop": 1, "tensorboard": True},
         "early_stop and tensorboard need a recipe that trains in epochs"),
        ({"reduce_lr_on_plateau": True, "lr_schedule": "linear"}, "would both set the learning rate"),
    ],
)  # fmt: skip
def test_options_that_cannot_be(options, match):
    with pytest.raises(ConfigError, match=match):
        resolve(None, photos="x", **options)


def test_options_come_back_from_a_configuration_file(tmp_path):
    given = {
        "early_stop": 0,
        "tensorboard": True,
        "remote_monitor": "https://host:9000/a/",
        "callback": ["a:B", "c.d:E"],
    }
    first = resolve(None, photos="x", **given)
    assert first.remote_monitor == "https://host:9000/a"
    (tmp_path / "c.json").write_text(json.dumps({"format": 1, **first.as_dict()}))
    assert resolve(tmp_path / "c.json").as_dict() == first.as_dict()
    plain = resolve(None, photos="x", recipe="linear-probe", early_stop=None, tensorboard=False, callback=None)
    assert plain.callback == ()


@pytest.mark.slow
def test_pictures_have_the_shapes_that_they_say():
    photo = np.zeros((20, 30, 3), dtype=np.uint8)
    assert captioned(photo, "写真\x1b 90 %", right=False).shape == (20 + CAPTION, 30, 3)
    for k in (2, 30, 31, 1000):
        picture = confusion_picture(np.eye(k, dtype=np.int64) * 3, [f"class {i}" for i in range(k)])
        assert picture.dtype == np.uint8 and picture.shape[0] == picture.shape[1] < 4100
    assert sprite_sheet([photo] * 5, 8).size == (24, 24)


def test_the_lines_of_the_lecture_run_as_they_stand(photos):
    torch.manual_seed(0)
    dataset = rg.ImageFolder(photos, size=32, workers=0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(32, len(dataset.classes)),
    )  # fmt: skip
    model = rg.Trainer(net, optimizer="adam", loss="cross_entropy", metrics=["accuracy"])

    my_callbacks = [
        EarlyStopping(patience=2),
        ModelCheckpoint(filepath='model.{epoch:02d}-{val_loss:.2f}.h5'),  # noqa: Q000
        TensorBoard(log_dir='./logs'),  # noqa: Q000
    ]  # fmt: skip
    model.fit(dataset, epochs=10, callbacks=my_callbacks)

    epochs = len(model.history.epoch)
    losses = model.history.history["val_loss"]
    written = sorted(path.name for path in Path().glob("model.*.h5"))
    assert written == [f"model.{i + 1:02d}-{loss:.2f}.h5" for i, loss in enumerate(losses)]
    assert len(list(Path("logs/validation").glob("events*"))) == 1
    assert epochs == 10 or model.history.stop_reason.startswith("EarlyStopping")
    model.load(written[-1])
