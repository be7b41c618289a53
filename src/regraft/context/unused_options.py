"""Options that a run does not use, each with the reason, to be printed: no option is ignored in silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from regraft.context.config import TrainConfig
from regraft.context.dataset import SMALL, Dataset
from regraft.context.option_values import RecipeName
from regraft.models.catalogue import AUTO

_UNUSED: Final[dict[RecipeName, tuple[tuple[str, ...], str]]] = {
    "linear-probe": (
        ("budget", "epochs", "unfreeze", "lr", "batch_size", "precision", "choose_on_val", "shards", "fast_reduce"),
        "linear-probe solves the classifier at once, without epochs",
    ),
    "feature-extraction": (
        ("budget", "unfreeze", "precision"),
        "feature-extraction trains only the head, for the epochs of --epochs",
    ),
    "fine-tune": (("budget",), "fine-tune takes as long as its epochs take; auto keeps to a budget"),
}

EPOCH_OPTIONS: Final = ("epochs", "unfreeze", "lr", "batch_size", "precision")
"""Options of `auto` that have no effect if it keeps the linear probe without fine-tuning."""


def options_text(names: Sequence[str]) -> str:
    """Return options as the user writes them, with the verb: ``"--lr and --epochs are not used"``."""
    flags = " and ".join(f"--{name.replace('_', '-')}" for name in names)
    return f"{flags} {'are' if len(names) > 1 else 'is'} not used"


def given_options(config: TrainConfig, names: Sequence[str]) -> list[str]:
    """Return those of ``names`` whose value is not the default."""
    return [name for name in names if getattr(config, name) != TrainConfig.model_fields[name].default]


def unused_by_recipe(config: TrainConfig) -> list[str]:
    """Return a note for the options that the recipe does not use."""
    names, why = _UNUSED.get(config.recipe, ((), ""))
    unused = given_options(config, names)
    notes = [f"{options_text(unused)}: {why}"] if unused else []
    if config.download and config.backbone != AUTO:
        notes.append(f"{options_text(['download'])}: only --backbone {AUTO} chooses among networks to download")
    if config.folders is not None and config.labels is not None:
        notes.append(f"{options_text(['folders'])}: the CSV of --labels has the labels")
    if config.folders is not None and config.label_from is not None:
        notes.append(f"{options_text(['folders'])}: the names of the photos have the labels")
    return notes


def unused_by_split(config: TrainConfig, dataset: Dataset) -> list[str]:
    """Return a note for the options about the split that these photos leave without effect."""
    given, split_options = dataset.given, ("split", "split_from")
    probe_of_all = dataset.small and config.recipe == "linear-probe"
    rules: tuple[tuple[Sequence[str], Callable[[], bool], str], ...] = (
        (split_options, lambda: bool(given), "the photos have a split of their own"),
        (
            (*split_options, "split_seed"),
            lambda: probe_of_all,
            f"with fewer than {SMALL:,} photos linear-probe uses all of them, and scores each by cross-validation",
        ),
        (("fix_leaks",), lambda: not given, "regraft makes the split and keeps duplicates on one side of it"),
        (
            ("choose_on_val",),
            lambda: config.recipe != "linear-probe" and given != {"train", "validation"},
            "it needs photos with train/ and val/, and without test/",
        ),
    )
    return [
        f"{options_text(unused)}: {why}"
        for names, applies, why in rules
        if applies() and (unused := given_options(config, names))
    ]
