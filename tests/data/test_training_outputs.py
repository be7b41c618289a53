"""What trainings have written into a folder of photos is no class, and classes that are called like it stay."""

from __future__ import annotations

import pytest

from data.odd_files import encoded, picture
from regraft.data.folders.training_outputs import OUTPUT
from regraft.data.source import find_photos

OUTPUTS = {
    "Ultralytics": ("runs", ["classify/train/args.yaml", "classify/train/weights/best.pt"]),
    "Lightning": ("lightning_logs", ["version_0/hparams.yaml", "version_0/checkpoints/last.ckpt"]),
    "TensorBoard": ("my board", ["train/events.out.tfevents.1700000000.host.1.v2"]),
    "W&B": ("wandb", ["run-20260101_000000-a1/run-a1.wandb"]),
    "Keras": ("output", ["model.keras"]),
}


def written(root, classes, others=()):
    for name in [f"{label}/{i}.png" for label in classes for i in range(3)]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encoded(picture((20, 20)), "PNG"))
    for name in others:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x: 1")
    return root


@pytest.mark.parametrize("tool", OUTPUTS)
@pytest.mark.parametrize("sides", ["", "train/"])
def test_the_output_of_a_training_is_no_class(tmp_path, tool, sides):
    folder, files = OUTPUTS[tool]
    classes = [f"{sides}{label}" for label in ("ant", "bee")] + (
        [f"val/{label}" for label in ("ant", "bee")] if sides else []
    )
    root = written(tmp_path, [*classes, f"{folder}/pictures"], [f"{folder}/{name}" for name in files])
    source = find_photos(root)
    assert source.classes == ("ant", "bee") and source.layout == ("split" if sides else "classes")
    assert all(not photo.name.startswith(folder) for photo in source.photos)
    assert (folder, OUTPUT) in source.skipped
    assert f"left out, because a training has written it: {folder}" in source.notes


@pytest.mark.parametrize(
    ("classes", "others"),
    [
        (["runs", "walks"], []),
        (["output", "input"], ["output/notes.txt"]),
        (["ant", "bee"], ["bee/model.pt"]),
        (["runs", "walks"], ["events.out.tfevents.1"]),
        (["ant", "bee"], ["ant/args.yaml", "bee/args.yaml"]),
    ],
)
def test_classes_stay(tmp_path, classes, others):
    source = find_photos(written(tmp_path, classes, others))
    assert source.classes == tuple(sorted(classes)) and len(source.photos) == 6
