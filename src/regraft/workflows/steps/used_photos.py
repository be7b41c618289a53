"""The photos that a run has used, by the content in its manifest, to tell new photos from those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.data.manifest import Entry, Manifest
from regraft.data.photo import SIDES
from regraft.errors import PhotosError
from regraft.run.folder import RunFolder
from regraft.text import command, counted, percent


@dataclass(frozen=True)
class UsedPhotos:
    """The photos that a run was trained on or has made choices with.

    Attributes:
        contents: SHA-256 of their bytes.
        next_step: where a figure on other photos is, as an indented line of a message.
    """

    contents: frozenset[str]
    next_step: str

    def divide(self, entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Return the entries that are new, and those that the run has used."""
        used = [entry for entry in entries if entry.content in self.contents]
        return [entry for entry in entries if entry.content not in self.contents], used

    def check_new(self, new: Sequence[Entry], used: Sequence[Entry], photos: Path | str) -> None:
        """Check that there are new photos.

        Raises:
            PhotosError: the run has used all of them.
        """
        if used and not new:
            all_of = f"all {len(used):,} photos" if len(used) > 1 else "the only photo"
            raise PhotosError(
                f"{photos}: this model was trained on {all_of}, so there are no new photos to measure it on\n"
                f"{self.next_step}\n  --include-training measures them in spite of that: the accuracy will be too high"
            )


def used_photos(model: Path) -> UsedPhotos | None:
    """Return the photos that a run has used, or None if ``model`` is neither a run folder nor the model file in it.

    The photos of the headline figure of ``metrics.json`` are not among them, unless a choice was made on them.

    Raises:
        RunFolderError: the manifest or the figures of the run are damaged.
    """
    folder = RunFolder(model if model.is_dir() else model.parent)
    if not (folder.finished and folder.manifest.exists()) or model not in {folder.path, folder.model}:
        return None
    metrics = folder.read_metrics()
    headline = metrics["measured"][metrics["headline"]]
    unseen = None if headline["used_for_choosing"] else headline["photos"]
    contents = {entry.content for entry in Manifest.read(folder.manifest).usable if entry.side != unseen}
    if unseen in SIDES:
        where = (
            f"on photos that it was not trained on: {command('regraft', 'evaluate', folder.path, '--split', unseen)}"
        )
    else:
        accuracy = headline["figures"]["accuracy"]["value"]
        where = f"by cross-validation: {percent(accuracy)} of {counted(headline['n'], 'photo')}"
    return UsedPhotos(frozenset(contents), f"  its accuracy {where}")
