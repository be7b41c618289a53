"""Errors that regraft raises, as subclasses of `RegraftError`.

    RegraftError
    ├── UserError            something that the user can put right; exit code 2 on the command line
    │   ├── PhotosError      the folder of photos, or the CSV that lists them
    │   │   ├── FindingsError    a check has findings that it was asked to fail on; exit code 1
    │   │   └── UnreadableError  none of the photos can be read; exit code 3
    │   ├── ConfigError      options and configuration files (also a ValueError)
    │   ├── BackboneError    an unknown backbone, or one that is unavailable offline
    │   ├── WeightsError     weights that do not match the network
    │   ├── ModelFileError   a model file that is damaged, truncated or foreign
    │   │   └── SnapshotError    an interrupted training has no intact snapshot
    │   ├── RunFolderError   a folder that is not a run folder, or is not writable
    │   ├── ProofError       an exported model that answers differently from `regraft predict`
    │   ├── ServerError      a server that cannot listen on its port (`regraft monitor`)
    │   ├── MissingExtraError an optional package that is not installed (also an ImportError)
    │   ├── TrainingError    arguments of `Trainer` and of callbacks (also a ValueError)
    │   └── WorkersError     processes that train together and differ, or one that ended or hangs
    ├── StorageError         a disk that is full or unavailable; exit code 1
    └── DecodeError          one photo that cannot be decoded; it is skipped and the run continues

A message names the subject, what was expected, what was found, and what to do next. Its first line can be read alone;
further lines are indented by two spaces.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class RegraftError(Exception):
    """Base class of all errors that regraft raises on purpose."""


class UserError(RegraftError):
    """Something that the user can put right."""


class PhotosError(UserError):
    """The folder of photos, or the CSV that lists them, is unusable."""


class FindingsError(PhotosError):
    """A check has findings that it was asked to fail on."""


class UnreadableError(PhotosError):
    """None of the photos can be read."""


class ConfigError(UserError, ValueError):
    """An option or a configuration file has an invalid value."""


class BackboneError(UserError):
    """The backbone is unknown or unavailable."""


class WeightsError(UserError):
    """Weights do not match the network that should load them."""


class ModelFileError(UserError):
    """A model file is damaged, truncated or not one of regraft's."""


class SnapshotError(ModelFileError):
    """An interrupted training has snapshots, but none of them is intact."""


class RunFolderError(UserError):
    """A folder is not a run folder, or is not writable."""


class ProofError(UserError):
    """An exported model answers differently from `regraft predict`."""


class ServerError(UserError):
    """A server cannot listen on its port, or an option of it is invalid."""


class MissingExtraError(UserError, ImportError):
    """A required optional package is not installed.

    Args:
        what: what the package is needed for, such as ``"HEIC photos"``.
        extra: the extra that installs it, such as ``"heic"``.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} need an optional package: pip install 'regraft[{extra}]'")


class TrainingError(UserError, ValueError):
    """An argument of `Trainer` or of a callback is invalid."""


class WorkersError(UserError):
    """Processes that train together differ from each other, or one of them ended or does not answer.

    Attributes:
        lost: whether a process ended or does not answer, so that all of them may be started again.
    """

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


class StorageError(RegraftError):
    """The result could not be written to its place; the message names the place where it is instead."""


class DecodeError(RegraftError):
    """One photo cannot be decoded."""


def nearest(name: str, candidates: Iterable[str], n: int = 3) -> list[str]:
    """Return up to ``n`` of ``candidates`` that are spelled like ``name``, the nearest first."""
    return difflib.get_close_matches(name, list(candidates), n=n, cutoff=0.5)


def did_you_mean(name: str, candidates: Iterable[str], *, there_are: Iterable[str] | None = None) -> str:
    """Return the end of a sentence about an unknown ``name``, such as ``"; did you mean 'a' or 'b'?"``.

    Args:
        name: the unknown name.
        candidates: the names to compare it with.
        there_are: names to list in a sentence of its own. Pass them here, not behind the result: this function knows
            whether the sentence before ends with a question mark or needs a full stop.

    Returns:
        An empty string if no candidate is near and there is nothing to list.
    """
    near = nearest(name, candidates)
    question = f"; did you mean {' or '.join(repr(c) for c in near)}?" if near else ""
    if there_are is None:
        return question
    return f"{question or '.'} There are: {', '.join(there_are)}"


def several(subject: str, problems: Sequence[str]) -> str:
    """Return one message with all problems of ``subject``, so that they can be put right at once."""
    if len(problems) == 1:
        return f"{subject}: {problems[0]}"
    return f"{subject}: {len(problems)} problems\n" + "\n".join(f"  {p}" for p in problems)
