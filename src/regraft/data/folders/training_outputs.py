"""Output of a training in a folder of photos: what TensorBoard, Lightning, Ultralytics, W&B and others write there.

Its pictures, such as batches of augmented photos and confusion matrices, would become a class.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import Final

from regraft.data.folders.folder_tree import last_part
from regraft.data.folders.listing import Listing
from regraft.text import shorten

OUTPUT: Final = "the output of a training"
"""Reason of a folder that is left out."""

_FILES: Final = re.compile(r"events\.out\.tfevents\..*|.*\.wandb|hparams\.yaml|args\.yaml", re.IGNORECASE)
_WEIGHTS: Final = re.compile(r".*\.(?:pt|pth|ckpt|h5|keras|safetensors|onnx|tflite)", re.IGNORECASE)
_FOLDERS: Final = frozenset(
    {
        "runs",
        "run",
        "logs",
        "tb_logs",
        "lightning_logs",
        "wandb",
        "mlruns",
        "checkpoints",
        "weights",
        "models",
        "output",
    }
    | {"outputs", "results", "experiments"}
)


def without_training_outputs(listing: Listing) -> tuple[Listing, list[str]]:
    """Return the photos of a folder without folders that have the output of a training, and a note on these.

    A folder has it if one of its files is a log or the settings of a training; or the weights of a network, if its name
    is usual for output. All folders stay if no other one has photos.
    """
    files: dict[str, list[str]] = defaultdict(list)
    for name, _ in listing.skipped:
        files[name.partition("/")[0]].append(last_part(name))
    outputs = {name for name in listing.tree if listing.tree[name].any and _is_output(name, files[name])}
    if not outputs or not any(branch.any for name, branch in listing.tree.items() if name not in outputs):
        return listing, []
    tree = {name: branch for name, branch in listing.tree.items() if name not in outputs}
    skipped = [*listing.skipped, *((name, OUTPUT) for name in sorted(outputs))]
    note = f"left out, because a training has written it: {shorten(sorted(outputs))}"
    return replace(listing, tree=tree, skipped=skipped), [note]


def _is_output(name: str, files: list[str]) -> bool:
    usual = name.lower() in _FOLDERS
    return any(_FILES.fullmatch(file) or (usual and _WEIGHTS.fullmatch(file)) for file in files)
