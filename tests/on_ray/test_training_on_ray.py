"""A training on a Ray cluster: the weights of one process, also when a process of it is killed."""

from __future__ import annotations

import hashlib
import json

import pytest

from making import make_photos
from recorded_screen import RecordedScreen
from regraft.errors import ConfigError
from regraft.on_ray.sent_screen import SentScreen, ShownMessages
from regraft.on_ray.training_processes import _size
from tiny_network import tiny

__all__ = ["tiny"]

KILLS_ONCE = """
import os
from pathlib import Path

from regraft.callbacks import Callback


class KillOnce(Callback):
    every_rank = True

    def state_dict(self):
        return {}

    def on_train_batch_begin(self, batch, logs=None):
        if (os.environ.get("RANK"), self.model.epoch, batch) == ("1", 1, 1) and not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("ray") / "photos", {"ash": 40, "birch": 40})


@pytest.mark.slow
def test_a_training_on_two_nodes_with_a_killed_process_ends_with_the_weights_of_one(
    cluster, photos, tiny, tmp_path, monkeypatch, capsys
):
    from regraft.cli.main import call

    (tmp_path / "kills_once.py").write_text(KILLS_ONCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # one thread, as in the processes
    network = [str(word) for name, value in tiny.items() for word in (f"--{name}", value)]
    recipe = ["--recipe", "feature-extraction", "--epochs", "3", "--batch-size", "16", "--precision", "fp32"]
    recipe += ["--shards", "8"]
    words = ["train", str(photos), *network, *recipe, "--callback", "kills_once:KillOnce", "--snapshot-every", "0.01s"]
    weights = {}
    for name, more in {"one": [], "two": ["--on", "ray", "--processes", "2"]}.items():
        code = call([*words, *more, "-o", str(tmp_path / name), "--json"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        assert json.loads(printed.out)["run"].endswith(name)
        weights[name] = hashlib.sha256((tmp_path / name / "model.safetensors").read_bytes()).hexdigest()
        assert ("restart 1: the training resumes from its last snapshot" in printed.err) == (name == "two")
    assert (tmp_path / "killed").exists()
    assert weights["one"] == weights["two"]


@pytest.mark.slow
def test_a_mistake_of_the_user_ends_the_training_with_its_own_message(cluster, photos, tiny, tmp_path, capsys):
    from regraft.cli.main import call

    network = [str(word) for name, value in tiny.items() for word in (f"--{name}", value)]
    words = ["train", str(photos), *network, "--recipe", "fine-tune", "--unfreeze", "no_such_block"]
    code = call([*words, "--on", "ray", "--processes", "1", "-o", str(tmp_path / "run")])
    error = capsys.readouterr().err
    assert code == 2 and "no_such_block" in error and "Traceback" not in error


def test_what_is_shown_in_one_process_appears_in_another():
    messages, shown = [], RecordedScreen()
    here = ShownMessages(shown)
    sent = SentScreen(messages.append)
    sent.line("photos", "12 photos", "of two classes", strong=True)
    sent.warn("one is damaged")
    sent.table("classes", [["class", "photos"], ["ash", "6"]])
    with sent.progress("features", 12) as bar:
        bar.advance(5)
        bar.note("half")
    assert [message.name for message in messages] == [
        "line", "warn", "table", "open", "note", "advance", "close",
    ]  # fmt: skip
    here.show(messages)
    assert shown.texts == ["12 photos", "one is damaged"]
    with sent.progress("features", 12):
        here.show(messages[-1:])
        here.close()  # the process died, and its bar with it
    here.show(messages[-1:])


class _Cluster:
    def __init__(self, **resources: float) -> None:
        self._resources = resources

    def cluster_resources(self) -> dict[str, float]:
        return self._resources


def test_a_cluster_has_one_process_per_gpu_or_processor():
    assert _size(_Cluster(CPU=16.0), None, 8) == (8, False)
    assert _size(_Cluster(CPU=16.0, GPU=4.0), None, 8) == (4, True)
    assert _size(_Cluster(CPU=2.0), 1, 8) == (1, False)
    with pytest.raises(ConfigError, match="--processes: expected at most the 2 processors of the cluster, found 3"):
        _size(_Cluster(CPU=2.0), 3, 8)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--on", "ray"], "options that --on ray cannot be used with: the recipe auto makes choices by the clock"),
        (["--recipe", "fine-tune", "--on", "ray", "--fresh"], "--fresh would start a new run at every restart"),
        (["--recipe", "fine-tune", "--on", "ray", "--stop-after", "1h"], "--stop-after: a training on a cluster"),
        (["--recipe", "fine-tune", "--processes", "2"], "--processes needs --on ray"),
    ],
)
def test_options_that_do_not_suit_a_cluster_are_refused_before_it_is_asked(photos, words, expected, capsys):
    from regraft.cli.main import call

    assert call(["train", str(photos), *words]) == 2
    assert expected in capsys.readouterr().err
