"""`regraft predict --copy-to`: the photos that are copied, those in doubt apart, and a table at the end."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from regraft.errors import UserError
from regraft.inference.prediction_json import doubt_about
from regraft.screen import Screen, printable
from regraft.text import counted

if TYPE_CHECKING:
    from regraft.inference.prediction import Prediction
    from regraft.inference.sorted_copies import SortedCopies


def check_place(out: Path, arguments: Sequence[str], photos: Iterable[Path]) -> None:
    """Check that copies go neither into a folder of photos nor onto the photos themselves.

    Raises:
        UserError: ``out`` lies in a folder that ``arguments`` name, or a photo lies in ``out``.
    """
    place = out.resolve()
    for argument in arguments:
        if Path(argument).is_dir() and place.is_relative_to(Path(argument).resolve()):
            raise UserError(
                f"--copy-to {out} lies inside the photos ({argument}), so that copies would be classified as new photos"
                "\n  name a folder next to it"
            )
    inside = next((photo for photo in photos if photo.resolve().is_relative_to(place)), None)
    if inside is not None:
        raise UserError(f"{inside} lies inside --copy-to {out}\n  name another folder for the copies")


def copied(
    predictions: Iterable[Prediction],
    copies: SortedCopies | None,
    arguments: Sequence[str],
    unsure: float | None,
) -> Generator[Prediction, None, None]:
    """Yield ``predictions``, each after its photo was copied; without ``copies`` no photo is copied.

    Args:
        predictions: the predictions.
        copies: where the copies go.
        arguments: the photos and folders that the user named; folders below them are kept.
        unsure: minimum probability of a photo that is sorted with the others; None sorts all of them.
    """
    folders = [Path(argument) for argument in arguments]
    try:
        for prediction in predictions:
            if copies is not None and prediction.label is not None:
                photo = Path(prediction.path)
                doubt = doubt_about(prediction, unsure) if unsure is not None else ""
                copies.add(photo, prediction.label, doubt=doubt, below=_below(photo, folders))
            yield prediction
    finally:
        if copies is not None:
            copies.finish()


def _below(photo: Path, folders: Sequence[Path]) -> PurePath:
    """Return the folders between ``photo`` and the first of ``folders`` that contains it."""
    root = next((folder for folder in folders if photo != folder and photo.is_relative_to(folder)), photo.parent)
    return photo.parent.relative_to(root)


def show_copies(copies: SortedCopies, screen: Screen) -> None:
    """Show how many photos of each class were copied, and how many of them are unsure or unlike the training photos."""
    from regraft.inference.sorted_copies import DOUBTS

    screen.line("copies", f"{counted(copies.copied, 'photo')}, in folders below {copies.out}")
    doubts = [doubt for doubt in DOUBTS if any(kind == doubt for _, kind in copies.counts)]
    rows = [("class", "photos", *doubts)]
    for label in dict.fromkeys(label for label in copies.folders if any(one == label for one, _ in copies.counts)):
        total = sum(count for (one, _), count in copies.counts.items() if one == label)
        rows.append((label, f"{total:,}", *(f"{copies.counts[label, doubt]:,}" for doubt in doubts)))
    if copies.copied:
        screen.table("", rows, right=tuple(range(1, len(rows[0]))))
    for doubt in doubts:
        screen.line("", f"those that are {doubt} are in {copies.out / copies.doubtful[doubt]}")
    for label, folder in copies.folders.items():
        if label != folder and (copies.out / folder).is_dir():
            screen.line("", f"class {printable(label)!r} is in the folder {folder}")
