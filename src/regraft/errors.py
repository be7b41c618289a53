"""The errors that regraft raises, all below one root.

    RegraftError
    ├── UserError            something the user can put right; the command line ends with exit code 2
    │   ├── PhotosError      the folder of photos, or the CSV that lists them
    │   ├── ConfigError      options and configuration files (also a ValueError)
    │   ├── BackboneError    an unknown backbone, or one that cannot be had offline
    │   ├── WeightsError     weights that do not fit the network
    │   ├── ModelFileError   a model file that is damaged, truncated or foreign
    │   │   └── SnapshotError    no snapshot of an interrupted training is whole
    │   ├── RunFolderError   a run folder that holds something else, or cannot be written
    │   ├── MissingExtraError an optional package that is not installed
    │   └── TrainingError    arguments of `Trainer` and of callbacks (also a ValueError)
    ├── StorageError         a disk that is full or gone, after all that could be done; exit code 1
    └── DecodeError          one photo that cannot be decoded; it is put aside and the run goes on

A message says the subject, what was expected, what was found, and what to do next. Its first line stands alone; lines
after it are indented by two spaces.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class RegraftError(Exception):
    """Root of all errors that regraft raises on purpose."""


class UserError(RegraftError):
    """Something that the user can put right."""


class PhotosError(UserError):
    """The folder of photos, or the CSV that lists them, is not what is needed."""


class ConfigError(UserError, ValueError):
    """An option or a configuration file holds something that cannot be."""


class BackboneError(UserError):
    """No such backbone, or it cannot be had here."""


class WeightsError(UserError):
    """Weights do not fit the network that should take them."""


class ModelFileError(UserError):
    """A model file is damaged, truncated or not one of regraft's."""


class SnapshotError(ModelFileError):
    """There are snapshots of an interrupted training, but none of them is whole."""


class RunFolderError(UserError):
    """A run folder holds something else, or cannot be written."""


class MissingExtraError(UserError, ImportError):
    """An optional package is needed that is not installed.

    Args:
        what: what the package is needed for, such as ``"HEIC photos"``.
        extra: the extra that brings it, such as ``"heic"``.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} need an optional package: pip install 'regraft[{extra}]'")


class TrainingError(UserError, ValueError):
    """`Trainer`, or a callback, was given something that it cannot work with."""


class StorageError(RegraftError):
    """The result could not be written where it should be; the message says where it is instead."""


class DecodeError(RegraftError):
    """One photo cannot be decoded."""


def nearest(name: str, candidates: Iterable[str], n: int = 3) -> list[str]:
    """Return up to ``n`` of ``candidates`` that look like ``name``, the nearest first."""
    return difflib.get_close_matches(name, list(candidates), n=n, cutoff=0.5)


def did_you_mean(name: str, candidates: Iterable[str], *, there_are: Iterable[str] | None = None) -> str:
    """Return the end of a sentence about an unknown ``name``, such as ``"; did you mean 'a' or 'b'?"``.

    Args:
        name: the unknown name.
        candidates: the names to compare it with.
        there_are: names to list in a sentence of its own. Pass them here, not behind the result: this function knows
            whether the sentence before ends with a question mark or needs a full stop.

    Returns:
        An empty string if nothing is near and there is nothing to list.
    """
    near = nearest(name, candidates)
    question = f"; did you mean {' or '.join(repr(c) for c in near)}?" if near else ""
    if there_are is None:
        return question
    return f"{question or '.'} There are: {', '.join(there_are)}"


def several(subject: str, problems: Sequence[str]) -> str:
    """Join all that is wrong with ``subject`` into one message, so that it can be put right in one go."""
    if len(problems) == 1:
        return f"{subject}: {problems[0]}"
    return f"{subject}: {len(problems)} problems\n" + "\n".join(f"  {p}" for p in problems)
