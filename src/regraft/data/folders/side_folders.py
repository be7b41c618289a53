"""Folders that are the sides of a split: recognized by their names, and by class folders of the same names in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from regraft.data.folders.folder_tree import Branch, Tree, last_part, shared_inner_names
from regraft.data.folders.walk import NamedPath
from regraft.data.photo import SIDE_NAMES, Side
from regraft.data.side_words import SideName, is_generic, label_in, side_names, telling_words


def find_sides(tree: Tree, *, certain: bool = False) -> dict[str, SideName]:
    """Return the side of each folder that is one, if class folders for training and for another side are in them.

    Args:
        tree: the folders that have photos.
        certain: whether the user has said that they are sides.

    Returns:
        Sides by name of the folder; a folder without class folders may be among them. Empty if these are not sides.
    """
    named = _named_sides(tree)
    nested = {name: side for name, side in named.items() if tree[name].nested}
    sides = {side.side for side in nested.values()}
    if "train" not in sides or len(sides) < 2:
        return {}
    exact = {SIDE_NAMES.get(last_part(name).casefold()) for name in nested} - {None}
    if certain or ("train" in exact and len(exact) > 1):
        return named
    same_rest = len({side.rest for side in nested.values()}) == 1
    return named if (same_rest and len(named) == len(tree)) or _same_classes(tree, nested) else {}


def _named_sides(tree: Tree) -> dict[str, SideName]:
    """Return the side of each folder whose name says one.

    If only training is missing, a single other folder with the same classes is for training if its name is general, or
    that of the others without their side: ``images`` next to ``test``, ``rps`` next to ``rps-test-set``.
    """
    by_name = side_names([last_part(name) for name in tree])
    named = {name: by_name[last_part(name)] for name in tree if last_part(name) in by_name}
    rests = {side.rest for side in named.values()}
    others = [name for name in tree if name not in named]
    general = [name for name in others if is_generic(last_part(name)) or {telling_words(last_part(name))} == rests]
    if len(general) == 1 and all(side.side != "train" for side in named.values()) and shared_inner_names(tree):
        named[general[0]] = SideName("train")
    return named


def _same_classes(tree: Tree, sides: Mapping[str, SideName]) -> bool:
    """Return whether most class folders of each other side have the name of one for training."""
    names = {name: {last_part(full).casefold() for full in class_folders(name, tree[name])} for name in sides}
    trained = set().union(*(names[name] for name, side in sides.items() if side.side == "train"))
    return all(2 * len(names[name] & trained) > len(names[name]) for name in sides if sides[name].side != "train")


def class_folders(name: str, branch: Branch) -> dict[str, list[NamedPath]]:
    """Return the class folders of a side, with their photos.

    A single folder that only wraps them is passed over: one with the name of the side, of a side, or of nothing, such
    as ``seg_train/seg_train`` and ``test/images``.
    """
    below = {full: photos for full, photos in branch.below.items() if photos}
    if len(below) != 1 or branch.loose:
        return below
    ((full, photos),) = below.items()
    own = last_part(full)
    inner = Branch.of(full, photos)
    if own.casefold() == last_part(name).casefold() or is_generic(own) or own in side_names([own]):
        return class_folders(full, inner)
    return below


def find_sides_in_names(tree: Tree) -> dict[str, tuple[SideName, str]]:
    """Return side and class of each folder if every name has both, as ``train_cats`` and ``test_cats`` do.

    Args:
        tree: the folders that have photos.

    Returns:
        By name of the folder; empty unless all sides have the same two or more classes.
    """
    named = side_names(map(last_part, tree))
    if len(named) < len(tree) or not all(branch.loose for branch in tree.values()):
        return {}
    rests: dict[str, set[tuple[str, ...]]] = {}
    for side in named.values():
        rests.setdefault(side.side, set()).add(side.rest)
    classes = next(iter(rests.values()), set())
    if "train" not in rests or len(rests) < 2 or len(classes) < 2 or any(rest != classes for rest in rests.values()):
        return {}
    return {name: (named[last_part(name)], label_in(last_part(name))) for name in tree}


def find_sides_in_classes(tree: Tree) -> dict[str, SideName]:
    """Return the side of each folder in the class folders, if every class consists of sides: ``daisy/train``.

    Args:
        tree: the class folders that have photos.

    Returns:
        Sides by name of the folder; empty if a class has photos outside of sides, or none for training.
    """
    inner = [[full for full, photos in branch.below.items() if photos] for branch in tree.values()]
    if len(tree) < 2 or any(branch.loose for branch in tree.values()):
        return {}
    named = side_names(last_part(full) for names in inner for full in names)
    if any(last_part(full) not in named or named[last_part(full)].rest for names in inner for full in names):
        return {}
    sides = {full: named[last_part(full)] for names in inner for full in names}
    trained = all(any(sides[full].side == "train" for full in names) for names in inner)
    return sides if trained and len({side.side for side in sides.values()}) > 1 else {}


def find_sides_of_names(names: Iterable[str]) -> dict[str, Side]:
    """Return the side of each folder that contains photos of a side, if all photos are in such folders.

    Args:
        names: names of photos whose folders are not their classes.

    Returns:
        Sides by the name of the folder, ending in ``/``; empty unless there are photos for training and for another
        side.
    """
    depth, photos = 0, [name.split("/") for name in names]
    while photos and min(map(len, photos)) > depth + 2 and len({tuple(parts[: depth + 1]) for parts in photos}) == 1:
        depth += 1  # a folder that only wraps the others
    if not photos or min(map(len, photos)) < depth + 2:
        return {}
    folders = {"/".join(parts[: depth + 1]): parts[depth] for parts in photos}
    named = side_names(folders.values())
    sides = {f"{folder}/": named[last].side for folder, last in folders.items() if last in named}
    distinct = set(sides.values())
    return (
        dict(sorted(sides.items())) if len(sides) == len(folders) and "train" in distinct and len(distinct) > 1 else {}
    )
