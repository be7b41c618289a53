"""The commands of a new user's first hour, odd input included: words, exit code, and what the output must say.

``{net}`` stands for the options of the tiny network. Each command runs after those before it, in one folder that
`make_folder` fills.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from making import make_photos

NET = "{net}"
PROBE = ("--recipe", "linear-probe", NET)


class Step(NamedTuple):
    """One command: its words, its exit code, and a part of its output."""

    words: tuple[str, ...]
    code: int
    says: str


def make_folder(root: Path) -> None:
    """Fill ``root`` with photos as people have them."""
    make_photos(root / "photos", {"ash": 14, "birch": 14, "cedar": 14})
    (root / "photos/ash/notes.txt").write_text("no photo")
    shutil.copy(root / "photos/ash/photo 000.png", root / "photos/birch/copy of ash.png")
    shutil.copytree(root / "photos", root / "sorted out")
    cut = (root / "photos/ash/photo 001.png").read_bytes()[:1500]
    (root / "photos/cedar/cut.png").write_bytes(cut)
    make_photos(root / "new", {"unsorted": 6}, seed=3)
    (root / "new/unsorted/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    make_photos(root / "more", {"ash": 5, "birch": 5, "cedar": 5}, seed=4)
    make_photos(root / "中文照片", {"红色的玫瑰": 8, "郁金香花": 8}, seed=5)
    make_photos(root / "one class", {"only": 8})
    (root / "empty").mkdir()
    (root / "flat").mkdir()
    for path in sorted((root / "photos/ash").glob("*.png"))[:4]:
        shutil.copy(path, root / "flat" / f"cat.{path.stem[-1]}.png")
    names = [f"{label}/{path.name},{label}" for label in ("ash", "birch") for path in (root / "more" / label).iterdir()]
    (root / "labels.csv").write_text("\n".join(["path,label", *names]))
    (root / "bad labels.csv").write_text("file;class\n")
    (root / "settings.yaml").write_text("recipe: linear-probe\nclass-weight: balanced\nseed: 3\n")
    (root / "wrong.yaml").write_text("recipe: finetune\nmodel: resnet18\n")
    (root / "not yaml.yaml").write_text("a: [")
    Image.new("RGB", (40, 30), "red").save(root / "one.jpg")


def _run(*words: str, code: int = 0, says: str = "") -> Step:
    return Step(words, code, says)


HOUR = [
    _run(says="Usage: regraft"),
    _run("--help", says="Make a classifier"),
    _run("--version", says="regraft"),
    _run("-h", says="Usage"),
    *(
        _run(name, "--help", says="Usage: regraft " + name)
        for name in ("train", "check", "predict", "evaluate", "runs", "resume", "lr", "demo", "sample", "cache", "tune")
    ),
    _run("runs", "compare", "--help", says="differ"),
    _run("help", code=2, says="No such command 'help'"),
    _run("trian", "photos", code=2, says="train"),
    _run("train", code=2, says="expected a folder of photos"),
    _run("train", "foto", code=2, says="foto"),
    _run("train", "empty", code=2, says="empty"),
    _run("train", "flat", code=2, says="flat"),
    _run("train", "one class", code=2, says="class"),
    _run("train", "labels.csv", code=2, says="labels.csv"),
    _run("train", "one.jpg", code=2, says="one.jpg"),
    _run("train", "/", code=2, says="folder of the system"),
    _run("train", "photos", "--model", "resnet18", code=2, says="--backbone"),
    _run("train", "photos", "--learning-rate", "0.1", code=2, says="--lr"),
    _run("train", "photos", "--recipe", "finetune", code=2, says="fine-tune"),
    _run("train", "photos", "--budget", "10", code=2, says="10m"),
    _run("train", "photos", "--budget", "soon", code=2, says="10m"),
    _run("train", "photos", "--epochs", "many", code=2, says="integer"),
    _run("train", "photos", "--epochs", "0", code=2, says="epochs"),
    _run("train", "photos", "--lr", "-1", code=2, says="lr"),
    _run("train", "photos", "--split", "80/30/10", code=2, says="100"),
    _run("train", "photos", "--backbone", "resnet1800", code=2, says="resnet"),
    _run("train", "photos", "--weights", "nowhere.pt", code=2, says="nowhere.pt"),
    _run("train", "photos", "--weights", "one.jpg", code=2, says="one.jpg"),
    _run("train", "photos", "--labels", "gone.csv", code=2, says="gone.csv"),
    _run("train", "photos", "--labels", "bad labels.csv", code=2, says="bad labels.csv"),
    _run("train", "photos", "--group-by", "parent", *PROBE, code=2, says="group"),
    _run("train", "photos", "--group-by", "(", *PROBE, code=2, says="group"),
    _run("train", "photos", "--split-from", "gone", code=2, says="gone"),
    _run("train", "photos", "--config", "gone.yaml", code=2, says="gone.yaml"),
    _run("train", "photos", "--config", "wrong.yaml", code=2, says="backbone"),
    _run("train", "photos", "--config", "not yaml.yaml", code=2, says="not valid YAML"),
    _run("train", "photos", "-o", "photos/run", *PROBE, code=2, says="inside the photos"),
    _run("train", "photos", "--device", "gpu", code=2, says="cuda"),
    _run("train", "photos", "--json", "--recipe", "x", code=2, says='"exit_code": 2'),
    _run("train", "photos", *PROBE, says="use it"),
    _run("train", "photos", *PROBE, says="has this result already"),
    _run("train", "photos", *PROBE, "--fresh", says="photos-linear-probe-002"),
    _run("train", "photos", *PROBE, "--seed", "1", "--verbose", says="chosen by cross-validation"),
    _run("train", "photos", *PROBE, "--seed", "2", "--quiet", says="runs/photos-linear-probe-004"),
    _run("train", "photos", *PROBE, "--seed", "2", "--json", says='"headline"'),
    _run("train", "photos", *PROBE, "--epochs", "3", "-o", "runs/epochs", says="--epochs is not used"),
    _run("train", "photos", *PROBE, "--budget", "10m", "-o", "runs/budget", says="--budget is not used"),
    _run("train", "photos", *PROBE, "--lr", "0.1", "-o", "runs/lr", says="--lr is not used"),
    _run("train", "photos", *PROBE, "--fix-leaks", "-o", "runs/leaks", says="--fix-leaks is not used"),
    _run("train", "photos", *PROBE, "--early-stop", "2", code=2, says="early_stop"),
    _run("train", "photos", *PROBE, "-o", "runs/epochs", code=2, says="belongs to another run"),
    _run("train", "photos", *PROBE, "-o", "one.jpg", code=2, says="is a file"),
    _run("train", "photos", NET, "--config", "settings.yaml", "-o", "runs/settings", says="use it"),
    _run("train", "more", *PROBE, "--labels", "labels.csv", says="10 photos"),
    _run("train", "中文照片", *PROBE, says="中文照片"),
    _run("train", "photos", "--recipe", "fine-tune", "--epochs", "1", "--split", "60/20/20", NET, "--unfreeze", "1",
         "-o", "runs/tuned", says="trained  "),
    _run("train", "photos", "--recipe", "feature-extraction", "--epochs", "2", "--split", "60/20/20", "--weights",
         "runs/tuned", "-o", "runs/head", says="starts from the earlier rows of"),
    _run("train", "photos", "--recipe", "fine-tune", "--weights", "runs/tuned", "--backbone", "resnet18", code=2,
         says="expected --backbone test_resnet"),
    _run("train", "photos", NET, "--epochs", "2", "-o", "runs/auto", says="--epochs is not used"),
    _run("resume", "runs/tuned", says="has this result already"),
    _run("resume", "photos", code=2, says="not a run folder"),
    _run("runs", says="photos-linear-probe-001"),
    _run("runs", "list", code=2, says="No such command"),
    _run("runs", "--in", "photos", says="no runs in photos"),
    _run("runs", "--in", "runs/tuned", code=2, says="is a single run"),
    _run("runs", "--json", says='"runs"'),
    _run("runs", "compare", "photos-linear-probe-001", "photos-linear-probe-003", says="seed"),
    _run("runs", "compare", "tuned", "photos-linear-probe-001", says="settings"),
    _run("runs", "compare", "tuned", "tunned", code=2, says="did you mean 'tuned'"),
    _run("runs", "compare", "tuned", code=2, says="Missing argument"),
    _run("runs", "remove", "lr", code=2, says="--yes"),
    _run("runs", "remove", "lr", "leaks", "--yes", says="removed  2 runs"),
    _run("runs", "remove", "photos", "--yes", code=2, says="not a run"),
    _run("check", "photos", NET, code=0, says="truncated"),
    _run("check", "photos", NET, "-o", "checked", says="check.html"),
    _run("check", "photos", NET, "--strict", code=2, says="requires an argument"),
    _run("check", "photos", NET, "--strict", "error", code=1, says="level error or above"),
    _run("check", "photos", NET, "--strict", "warn", code=2, says="warning"),
    _run("check", "photos", NET, "-q", says=""),
    _run("check", "photos", NET, "--json", says='"findings"'),
    _run("check", "photos", "--review", "--json", code=2, says="--review"),
    _run("check", "中文照片", NET, says="classes"),
    _run("check", "nowhere", code=2, says="nowhere"),
    _run("predict", code=2, says="Missing argument"),
    _run("predict", "runs/tuned", code=2, says="Missing argument"),
    _run("predict", "runs/tuned", "one.jpg", says="one.jpg"),
    _run("predict", "runs/tuned", "new", code=3, says="could not be read"),
    _run("predict", "runs/tuned", "new", "-q", code=3, says="not read"),
    _run("predict", "runs/tuned", "new/unsorted/broken.jpg", code=3, says="could not be read"),
    _run("predict", "runs/tuned", "new/**/*.png", "--top", "99", says="only 3 classes"),
    _run("predict", "runs/tuned", "more", "--format", "csv", says="path,label,probability"),
    _run("predict", "runs/tuned", "more", "--format", "jsonl", says='"label"'),
    _run("predict", "runs/tuned", "more", "--json", "--format", "csv", says="is not used with --json"),
    _run("predict", "runs/tuned", "more", "--copy-to", "copies", says="copies"),
    _run("predict", "runs/tuned", "nothing*.jpg", code=2, says="no such photo"),
    _run("predict", "runs/tuned", "https://example.org/a.jpg", code=2, says="is an address"),
    _run("predict", "photos", "one.jpg", code=2, says="not a run folder"),
    _run("predict", "one.jpg", "one.jpg", code=2, says="one.jpg"),
    _run("predict", "runs/tuned", "-", code=2, says="none"),
    _run("evaluate", "runs/tuned", "more", says="accuracy"),
    _run("evaluate", "runs/tuned", "photos", "--include-training", code=3, says="trained on"),
    _run("evaluate", "runs/tuned", "--split", "test", says="accuracy"),
    _run("evaluate", "runs/tuned", "--split", "val", code=2, says="validation"),
    _run("evaluate", "runs/tuned", code=2, says="expected either PHOTOS"),
    _run("evaluate", "runs/tuned", "more", "--split", "test", code=2, says="expected either PHOTOS"),
    _run("evaluate", "runs/tuned", "中文照片", code=2, says="class"),
    _run("evaluate", "runs/tuned", "more", "--top", "9", says="only 3 classes"),
    _run("evaluate", "runs/tuned", "more", "--json", says='"accuracy"'),
    _run("backbones", says="tf_efficientnet_lite0"),
    _run("backbones", "resnet18*", says="resnet18"),
    _run("backbones", "nonsense", code=2, says="no backbone matches"),
    _run("backbones", "-q", says="resnet18"),
    _run("cache", says="place"),
    _run("cache", "prune", "--max", "lots", code=2, says="500MB"),
    _run("cache", "clear", "--max", "1GB", code=2, says="apply to prune"),
    _run("cache", "verify", says="intact"),
    _run("completion", "bash", says="regraft"),
    _run("completion", "word", code=2, says="bash"),
    _run("lr", "photos", NET, "--recipe", "fine-tune", code=2, says="No such option"),
    _run("sample", "digits", code=2, says="Missing argument"),
    _run("sample", "letters", "there", code=2, says="digits"),
]  # fmt: skip
