"""The folder of an export: new files replace those of an earlier export together, and other files stay."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from regraft.disk.atomic import PART, make_folder
from regraft.errors import ConfigError

PROOF = "proof.json"
"""Name of the file that holds the proof."""

_OWN_FILES = frozenset(
    {
        "model.onnx", "model.xml", "model.bin", "labels.txt", "predict.py", "predict.mjs", "pixels.mjs",
        "facts.json", "config.json", "model.safetensors", "classifier.html", "README.md", PROOF,
    }
)  # fmt: skip
_OF_OTHER_PROGRAMS = frozenset(
    {"node_modules", "package.json", "package-lock.json", "__pycache__", ".DS_Store", "Thumbs.db", "desktop.ini"}
)
"""Names that npm, Python and file managers write next to an export; they stay."""


def check_target(folder: Path) -> None:
    """Check that ``folder`` is new, empty, or an earlier export.

    Raises:
        ConfigError: it contains other files, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; expected the name of a folder for -o")
    if folder.is_dir():
        names = {path.name for path in folder.iterdir() if not path.name.startswith(PART)} - _OF_OTHER_PROGRAMS
        others = sorted(names - _OWN_FILES) or (sorted(names) if names and PROOF not in names else [])
        if others:
            raise ConfigError(
                f"{folder} contains files that regraft export did not write, such as {others[0]}\n"
                "  name a new folder with -o"
            )


@contextlib.contextmanager
def written_at_once(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files replace those of ``folder`` at the end of the block.

    If the block raises, or the files cannot be replaced, ``folder`` is as before.

    Raises:
        OSError: the folder cannot be written.
    """
    target = folder.resolve()
    missing = [one for one in (target, *target.parents) if not one.exists()]
    place = None
    try:
        make_folder(target.parent)
        place = _new_place(target)
        yield place
        _replace_files(place, target)
    except BaseException:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        for one in missing:
            with contextlib.suppress(OSError):
                one.rmdir()
        raise
    shutil.rmtree(place, ignore_errors=True)


def _new_place(target: Path) -> Path:
    """Return a new folder on the disk of ``target``: next to it, or in it where it is mounted.

    Raises:
        OSError: it cannot be made; the error names the folder that cannot be written.
    """
    is_mounted = target.is_dir() and target.stat().st_dev != target.parent.stat().st_dev
    places = [target] if is_mounted else [target.parent, *([target] if target.is_dir() else [])]
    for place in places:
        try:
            return Path(tempfile.mkdtemp(prefix=PART, dir=place))
        except OSError as error:
            if place == places[-1]:
                raise OSError(error.errno, error.strerror, str(place)) from None
    raise AssertionError("there is at least one place")


def _replace_files(place: Path, target: Path) -> None:
    """Move the files of ``place`` to ``target`` in place of those of an earlier export; on an error, restore these."""
    new = sorted(place.iterdir(), key=lambda one: one.name == PROOF)
    before = place / "before"
    before.mkdir()
    make_folder(target)
    moved = list[Path]()
    try:
        for name in sorted(_OWN_FILES, key=lambda one: one != PROOF):
            if (target / name).exists():
                (target / name).replace(before / name)
        for path in new:
            moved.append(target / path.name)
            path.replace(moved[-1])
    except BaseException:
        for path in moved:
            path.unlink(missing_ok=True)
        for old in before.iterdir():
            old.replace(target / old.name)
        raise
