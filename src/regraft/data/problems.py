"""What is wrong with a folder of photos, said so that it can be put right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from regraft.data.file_types import PHOTO_SUFFIXES, why_unreadable
from regraft.data.walk import NamedPath, Skipped, list_folder
from regraft.errors import PhotosError, did_you_mean


def _expected_layout(root: Path) -> str:
    shown = _display(root)
    return f"  expected   {shown}/daisy/*.jpg  {shown}/rose/*.jpg …   (or --labels labels.csv with path,label)"


def _display(root: Path) -> str:
    return str(root) if root.name else str(root.resolve())


def check_root(root: Path) -> None:
    """Check that ``root`` is a folder.

    Raises:
        PhotosError: it is not there, cannot be looked at, or is a file.
    """
    try:
        exists, folder = root.exists(), root.is_dir()
    except OSError as error:
        raise PhotosError(f"{root}: {why_unreadable(error, root)}") from error
    except ValueError as error:
        raise PhotosError(f"no such folder: {root!s} ({error})") from error
    if not exists:
        raise PhotosError(f"no such folder: {root}{_similar_folders(root)}\n{_expected_layout(root)}")
    if not folder:
        raise PhotosError(f"{root} is a file, not a folder of photos\n{_suggestion(root)}")


def _similar_folders(root: Path) -> str:
    try:
        beside = [path.name for path in root.parent.iterdir() if path.is_dir()]
    except OSError:
        return ""
    return did_you_mean(root.name, beside)


def _suggestion(root: Path) -> str:
    suffix = root.suffix.lower()
    if suffix in {".csv", ".tsv", ".txt"}:
        return f"  expected   the folder that the photos are in, and --labels {root}"
    if suffix in {".zip", ".tar", ".gz", ".tgz", ".rar", ".7z"}:
        return "  expected   the folder that comes out when it is unpacked"
    if suffix in PHOTO_SUFFIXES:
        return f"  expected   the folder that holds the class folders, perhaps {_display(root.parent.parent)}"
    return _expected_layout(root.parent)


def check_unlabelled_split(root: Path, loose: Mapping[str, int], others: Sequence[str]) -> None:
    """Refuse train/ and val/ or test/ with photos right in them: as classes they would be learnt from each other.

    Args:
        root: the folder of photos.
        loose: for each folder that is called as a side is and holds photos, how many lie right in it.
        others: other folders that hold photos; with them, ``train`` and ``test`` are taken for classes.

    Raises:
        PhotosError: the folder looks like a split without class folders.
    """
    sides = {name.casefold() for name in loose}
    if others or "train" not in sides or len(sides) < 2 or not any(loose.values()):
        return
    flat = [f"{_display(root)}/{name}" for name, count in loose.items() if count]
    first = next(name for name in loose if name.casefold() == "train")
    rest = next(name for name in loose if name.casefold() != "train")
    shown = _display(root)
    raise PhotosError(
        f"{' and '.join(flat)} {'hold' if len(flat) > 1 else 'holds'} photos but no class folders.\n"
        f"  expected   {shown}/{first}/daisy/*.jpg  {shown}/{rest}/daisy/*.jpg …"
        "   (or --labels labels.csv with path,label)"
    )


def check_class_folders(root: Path, names: Sequence[str], loose: Sequence[NamedPath], skipped: Skipped) -> None:
    """Check that there are class folders with photos in them.

    Raises:
        PhotosError: the folder is empty, or holds no photos, or no folders of them.
    """
    if names:
        return
    shown = _display(root)
    if loose:
        photos = "1 photo" if len(loose) == 1 else f"{len(loose):,} photos"
        raise PhotosError(f"{shown} holds {photos} but no class folders.\n{_expected_layout(root)}")
    if skipped:
        name, why = min(skipped)
        found = f"  found      {name}: {why}" + (f"; and {len(skipped) - 1:,} more" if len(skipped) > 1 else "")
        raise PhotosError(f"{shown} holds no photos.\n{_expected_layout(root)}\n{found}")
    raise PhotosError(f"{shown} is empty: there are no photos in it.\n{_expected_layout(root)}")


def check_two_classes(root: Path, classes: Sequence[str], photos: int, layout: str) -> None:
    """Check that there is something to tell apart.

    Raises:
        PhotosError: all photos are of one class.
    """
    if len(classes) > 1:
        return
    shown, name = _display(root), classes[0]
    where = "the CSV names" if layout == "csv" else f"{shown} holds"
    inner = _folders_in(root / name) if layout == "classes" else []
    hint = f"\n  perhaps    {shown}/{name}   whose folders are {', '.join(inner[:4])}" if len(inner) > 1 else ""
    raise PhotosError(
        f"{where} one class only: {name} ({photos:,} photos); two are the least that can be told apart."
        f"\n{_expected_layout(root)}{hint}"
    )


def _folders_in(folder: Path) -> list[str]:
    try:
        return [path.name for _, path in list_folder(folder, "", []).folders]
    except OSError:
        return []
