"""Checks of a folder of photos; each error shows the layout that is expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from regraft.data.file_types import PHOTO_SUFFIXES, why_unreadable
from regraft.data.walk import NamedPath, Skipped, list_folder
from regraft.errors import PhotosError, did_you_mean
from regraft.text import counted


def _expected_layout(root: Path) -> str:
    text = _display(root)
    return f"  expected   {text}/daisy/*.jpg  {text}/rose/*.jpg …   (or --labels labels.csv with path,label)"


def _display(root: Path) -> str:
    return str(root) if root.name else str(root.resolve())


def check_root(root: Path) -> None:
    """Check that ``root`` is a folder.

    Raises:
        PhotosError: it is missing, inaccessible, or a file.
    """
    try:
        exists, is_folder = root.exists(), root.is_dir()
    except OSError as error:
        raise PhotosError(f"{root}: {why_unreadable(error, root)}") from error
    except ValueError as error:
        raise PhotosError(f"no such folder: {root!s} ({error})") from error
    if not exists:
        raise PhotosError(f"no such folder: {root}{_similar_folders(root)}\n{_expected_layout(root)}")
    if not is_folder:
        raise PhotosError(f"{root} is a file, not a folder of photos\n{_suggestion(root)}")


def _similar_folders(root: Path) -> str:
    try:
        siblings = [path.name for path in root.parent.iterdir() if path.is_dir()]
    except OSError:
        return ""
    return did_you_mean(root.name, siblings)


def _suggestion(root: Path) -> str:
    suffix = root.suffix.lower()
    if suffix in {".csv", ".tsv", ".txt"}:
        return f"  expected   the folder with the photos, and --labels {root}"
    if suffix in {".zip", ".tar", ".gz", ".tgz", ".rar", ".7z"}:
        return "  expected   the folder that you get by unpacking it"
    if suffix in PHOTO_SUFFIXES:
        return f"  expected   the folder that contains the class folders, perhaps {_display(root.parent.parent)}"
    return _expected_layout(root.parent)


def check_unlabelled_split(root: Path, loose: Mapping[str, int], others: Sequence[str]) -> None:
    """Check that train/ and val/ or test/ are not used as classes by mistake: they need class folders in them.

    Args:
        root: the folder of photos.
        loose: name of each folder that is named like a side and has photos, with the number of photos directly in it.
        others: other folders that have photos. If there are any, ``train`` and ``test`` are taken as classes.

    Raises:
        PhotosError: the folder looks like a split without class folders.
    """
    sides = {name.casefold() for name in loose}
    if others or "train" not in sides or len(sides) < 2 or not any(loose.values()):
        return
    flat = [f"{_display(root)}/{name}" for name, count in loose.items() if count]
    first = next(name for name in loose if name.casefold() == "train")
    rest = next(name for name in loose if name.casefold() != "train")
    text = _display(root)
    raise PhotosError(
        f"{' and '.join(flat)} {'have' if len(flat) > 1 else 'has'} photos but no class folders.\n"
        f"  expected   {text}/{first}/daisy/*.jpg  {text}/{rest}/daisy/*.jpg …"
        "   (or --labels labels.csv with path,label)"
    )


def check_class_folders(root: Path, names: Sequence[str], loose: Sequence[NamedPath], skipped: Skipped) -> None:
    """Check that there are class folders with photos in them.

    Raises:
        PhotosError: the folder is empty, has no photos, or no class folders.
    """
    if names:
        return
    text = _display(root)
    if loose:
        raise PhotosError(f"{text} has {counted(len(loose), 'photo')} but no class folders.\n{_expected_layout(root)}")
    if skipped:
        name, why = min(skipped)
        example = f"  found      {name}: {why}" + (f"; and {len(skipped) - 1:,} more" if len(skipped) > 1 else "")
        raise PhotosError(f"{text} has no photos.\n{_expected_layout(root)}\n{example}")
    raise PhotosError(f"{text} is empty: there are no photos in it.\n{_expected_layout(root)}")


def check_two_classes(root: Path, classes: Sequence[str], photos: int, layout: str) -> None:
    """Check that there are at least two classes.

    Raises:
        PhotosError: all photos are of one class.
    """
    if len(classes) > 1:
        return
    text, name = _display(root), classes[0]
    where = "the CSV names" if layout == "csv" else f"{text} has"
    inner = _folders_in(root / name) if layout == "classes" else []
    hint = f"\n  perhaps    {text}/{name}   whose folders are {', '.join(inner[:4])}" if len(inner) > 1 else ""
    raise PhotosError(
        f"{where} one class only: {name} ({counted(photos, 'photo')}); at least two classes are needed."
        f"\n{_expected_layout(root)}{hint}"
    )


def _folders_in(folder: Path) -> list[str]:
    try:
        return [path.name for _, path in list_folder(folder, "", []).folders]
    except OSError:
        return []
