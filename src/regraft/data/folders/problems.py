"""Checks of a folder of photos; each error shows the layout that is expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from regraft.data.archives.address import shown
from regraft.data.archives.archive import ARCHIVE_SUFFIXES, archive_notes, is_archive
from regraft.data.file_types import PHOTO_SUFFIXES, why_unreadable
from regraft.data.folders.folder_tree import Tree, filled, last_part
from regraft.data.folders.name_patterns import plain_pattern
from regraft.data.folders.side_folders import class_folders, find_sides
from regraft.data.folders.walk import NamedPath, Skipped, list_folder
from regraft.data.side_words import SideName, names_unlabeled, side_names
from regraft.errors import PhotosError, did_you_mean
from regraft.text import command, counted

_PACKED = frozenset({".gz", ".bz2", ".xz"})

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".xlsx"})
"""Suffixes of tables of labels."""

_SYSTEM_FOLDERS = frozenset(
    {"/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/proc", "/sys", "/usr", "/var", "/Users"}
)


def _expected_layout(root: Path) -> str:
    text = _display(root)
    return f"  expected   {text}/daisy/*.jpg  {text}/rose/*.jpg …   (or --labels labels.csv with path,label)"


def _display(root: Path) -> str:
    return shown(root) if root.name else str(root.resolve())


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
    if not exists and root.suffix.lower() in ARCHIVE_SUFFIXES:
        raise PhotosError(f"no such archive: {root}")
    if not exists:
        raise PhotosError(f"no such folder: {root}{_similar_folders(root)}\n{_expected_layout(root)}")
    if not is_folder:
        raise PhotosError(f"{root} is a file, not a folder of photos\n{_suggestion(root)}")


def check_not_of_the_system(root: Path) -> None:
    """Check that ``root`` is not the root of a disk or a folder of the system, whose files are best not read.

    Raises:
        PhotosError: it is.
    """
    if str(root.resolve()) in {root.resolve().anchor, *_SYSTEM_FOLDERS}:
        raise PhotosError(
            f"{root} is a folder of the system, not a folder of photos\n"
            "  expected   the folder that contains the class folders, such as photos/ with photos/daisy/*.jpg"
        )


def check_listable(root: Path) -> None:
    """Check that the content of a folder can be listed.

    Raises:
        PhotosError: it cannot.
    """
    try:
        next(root.iterdir(), None)
    except OSError as error:
        raise PhotosError(f"{root}: {why_unreadable(error, root)}") from error


def _labels_in_names(root: Path, names: Iterable[str]) -> str:
    """Return the command that reads labels from the names of photos, as lines of a message; "" if they have none."""
    plain = plain_pattern(names)
    if plain is None:
        return ""
    value, classes = plain
    step = command("regraft", "train", _display(root), "--label-from", value)
    return f"\n  the names of the photos look like labels ({classes}):\n    {step}"


def _tables_in(root: Path, skipped: Iterable[tuple[str, str]]) -> str:
    """Return the command that reads a table next to the photos, as a line of a message; "" if there is none."""
    names = [name for name, _ in skipped if "/" not in name and Path(name).suffix.lower() in TABLE_SUFFIXES]
    if not names:
        return ""
    names.sort(key=lambda name: not any(word in name.lower() for word in ("train", "label")))
    return f"\n  perhaps    {command('regraft', 'train', _display(root), '--labels', f'{_display(root)}/{names[0]}')}"


def _similar_folders(root: Path) -> str:
    try:
        siblings = [path.name for path in root.parent.iterdir() if path.is_dir()]
    except OSError:
        return ""
    return did_you_mean(root.name, siblings)


def _suggestion(root: Path) -> str:
    suffix = root.suffix.lower()
    if suffix in TABLE_SUFFIXES | {".txt"}:
        return f"  expected   the folder with the photos, and --labels {root}"
    if suffix in ARCHIVE_SUFFIXES:
        return "  expected   a zip or tar archive, or the folder that you get by unpacking it"
    if suffix in PHOTO_SUFFIXES:
        return f"  expected   the folder that contains the class folders, perhaps {_display(root.parent.parent)}"
    return _expected_layout(root.parent)


def check_labeled(root: Path, tree: Tree) -> None:
    """Check that folders named like sides are not used as classes by mistake: they need class folders in them.

    Args:
        root: the folder of photos.
        tree: the folders that have photos.

    Raises:
        PhotosError: there are photos without labels next to those with labels, as in downloads from Kaggle; or the
            folder looks like a split without class folders.
    """
    nested = [name for name, branch in tree.items() if not branch.loose and len(class_folders(name, branch)) > 1]
    flat = {name: len(b.all) for name, b in tree.items() if not class_folders(name, b) and names_unlabeled(name)}
    sides = side_names(map(last_part, tree))
    trained = [name for name in nested if name in sides and sides[name].side == "train"]
    if flat and len(trained or nested) == 1 and (trained or len(flat) + 1 == len(tree)):
        raise _no_labels(root, (trained or nested)[0], flat)
    different = {side.side for side in sides.values()} > {"train"} and len({side.rest for side in sides.values()}) == 1
    if len(sides) == len(tree) and different and any(branch.loose for branch in tree.values()):
        raise _unlabeled_split(root, tree, next(name for name, side in sides.items() if side.side == "train"))


def _no_labels(root: Path, trained: str, flat: Mapping[str, int]) -> PhotosError:
    """Return the error about photos without labels, next to the class folders in the folder ``trained``."""
    counts = [f"{_display(root)}/{name} has {counted(n, 'photo')} but no class folders" for name, n in flat.items()]
    names, others = " and ".join([trained, *flat]), f"{_display(root)}/{next(iter(flat))}"
    return PhotosError(
        f"{'; '.join(counts)}: without labels they cannot be used for training or for a test\n"
        f"  train on the labeled ones:  {command('regraft', 'train', f'{_display(root)}/{trained}')}\n"
        f"  then classify the others:   {command('regraft', 'predict', 'RUN', others)}\n"
        f"  (if {names} are classes: --folders classes)"
    )


def _unlabeled_split(root: Path, tree: Tree, first: str) -> PhotosError:
    """Return the error about a split whose sides have no class folders; ``first`` is the training side."""
    loose = [name for name, branch in tree.items() if branch.loose] or list(tree)
    flat = [f"{_display(root)}/{name}" for name in loose]
    boxes = (root / first / "labels").is_dir() or (root / "annotations").is_dir()  # as YOLO and COCO have them
    detection = "\n  files of boxes for detecting objects do not name the class of a photo" if boxes else ""
    for table in sorted((root / first).glob("*.csv"))[:1]:  # as Roboflow exports them
        place = f"{_display(root)}/{first}"
        detection = f"\n  perhaps    {command('regraft', 'train', place, '--labels', f'{place}/{table.name}')}"
    rest = next(name for name in tree if name != first)
    text = _display(root)
    return PhotosError(
        f"{' and '.join(flat)} {'have' if len(flat) > 1 else 'has'} photos but no class folders.\n"
        f"  expected   {text}/{first}/daisy/*.jpg  {text}/{rest}/daisy/*.jpg …"
        f"   (or --labels labels.csv with path,label)\n  (if {' and '.join(tree)} are the classes: --folders classes)"
        f"{_labels_in_names(root, [name for name, _ in tree[first].all])}{detection}"
    )


def check_sides(root: Path, tree: Tree, sides: Mapping[str, object]) -> None:
    """Check that the folders are sides, as ``--folders sides`` says.

    Raises:
        PhotosError: none of them is for training, or all are.
    """
    if not sides:
        raise PhotosError(
            f"{_display(root)}: --folders sides needs a folder for training and one for validation or test, each with "
            f"class folders; found {', '.join(list(tree)[:6]) or 'none'}\n  name them train, val and test"
        )


def check_one_split(root: Path, tree: Tree) -> None:
    """Check that the folders are not several splits of their own, such as the folds of a cross-validation.

    Raises:
        PhotosError: each folder contains sides with class folders.
    """
    if len(tree) > 1 and all(find_sides(filled(branch.tree())) for branch in tree.values()):
        first = next(iter(tree))
        raise PhotosError(
            f"{_display(root)}: each of {', '.join(list(tree)[:4])} has a split of its own, with the classes in it\n"
            f"  use one of them:  {command('regraft', 'train', f'{_display(root)}/{first}')}"
        )


def unlabeled_sides(root: Path, tree: Tree, sides: Mapping[str, SideName]) -> dict[str, int]:
    """Return the sides whose photos have no labels, with their numbers of photos.

    These are sides without class folders, and those for validation or test with a single folder that is not a class.

    Raises:
        PhotosError: only the training side is left, or none.
    """
    classes = {name: {last_part(full) for full in class_folders(name, tree[name])} for name in sides}
    trained = set().union(*(classes[name] for name, side in sides.items() if side.side == "train"))
    flat = {
        name: len(tree[name].all)
        for name, side in sides.items()
        if not classes[name] or (side.side != "train" and len(classes[name]) == 1 and not classes[name] & trained)
    }
    if len(flat) == len(sides):
        raise _unlabeled_split(root, tree, next(name for name, side in sides.items() if side.side == "train"))
    if {side.side for name, side in sides.items() if name not in flat} == {"train"}:
        raise _no_labels(root, next(name for name, side in sides.items() if side.side == "train"), flat)
    return flat


def check_class_folders(root: Path, names: Sequence[str], loose: Sequence[NamedPath], skipped: Skipped) -> None:
    """Check that there are class folders with photos in them.

    Raises:
        PhotosError: the folder is empty, has no photos, or no class folders.
    """
    if names:
        return
    text = _display(root)
    if loose:
        hint = _tables_in(root, skipped) + _labels_in_names(root, [name for name, _ in loose])
        photos = counted(len(loose), "photo")
        raise PhotosError(f"{text} has {photos} but no class folders.\n{_expected_layout(root)}{hint}")
    if skipped:
        name, why = min(skipped)
        example = f"  found      {name}: {why}" + (f"; and {len(skipped) - 1:,} more" if len(skipped) > 1 else "")
        inside = [name for name, _ in skipped if _is_archive_by_name(name) and is_archive(root / name)]
        if len(inside) > 1:
            example += "\n  perhaps    each archive is a class: unpack it into a folder of its own name"
        elif inside:
            example += f"\n  perhaps    {command('regraft', 'train', f'{text}/{inside[0]}')}"
        example += "".join(f"\n  {note}" for note in archive_notes(skipped) if not inside)
        raise PhotosError(f"{text} has no photos.\n{_expected_layout(root)}\n{example}")
    raise PhotosError(f"{text} is empty: there are no photos in it.\n{_expected_layout(root)}")


def _is_archive_by_name(name: str) -> bool:
    """Return whether a name is that of an archive: an .npz file is one too, and MNIST has packed single files."""
    path = Path(name.lower())
    return path.suffix in ARCHIVE_SUFFIXES - _PACKED or (path.suffix in _PACKED and Path(path.stem).suffix == ".tar")


def check_two_classes(
    root: Path, classes: Sequence[str], photos: Sequence[str], layout: str, skipped: Sequence[tuple[str, str]] = ()
) -> None:
    """Check that there are at least two classes.

    Args:
        root: the folder of photos.
        classes: names of the classes.
        photos: names of the photos.
        layout: ``"csv"`` if a table names the classes, ``"classes"`` if folders do.
        skipped: (name, reason) of the other files.

    Raises:
        PhotosError: all photos are of one class.
    """
    if len(classes) > 1:
        return
    text, name = _display(root), classes[0]
    where = "the table of labels names" if layout == "csv" else f"{text} has"
    inner, below = _first_fork(root / name) if layout == "classes" else ([], "")
    hint = f"\n  perhaps    {text}/{name}{below}   whose folders are {', '.join(inner[:4])}" if len(inner) > 1 else ""
    hint += _tables_in(root, skipped) + _labels_in_names(root, photos) if layout == "classes" else ""
    raise PhotosError(
        f"{where} one class only: {name} ({counted(len(photos), 'photo')}); at least two classes are needed."
        f"\n{_expected_layout(root)}{hint}"
    )


def _first_fork(folder: Path) -> tuple[list[str], str]:
    """Return the folders in the first folder that has not just one, and the path to it, such as ``/raw/images``."""
    below = ""
    while len(inner := _folders_in(folder)) == 1:
        folder, below = folder / inner[0], f"{below}/{inner[0]}"
    return inner, below


def _folders_in(folder: Path) -> list[str]:
    try:
        return [path.name for _, path in list_folder(folder, "", []).folders]
    except OSError:
        return []
