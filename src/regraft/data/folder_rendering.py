"""The rendering of the photos of an `ImageFolder`: that of its files, unless the network or the user has chosen one."""

from __future__ import annotations

from collections.abc import Sequence

from regraft.data.agreement import render_untrained
from regraft.data.decoding.rendering import PLAIN, MeasuredRendering, measure_rendering
from regraft.data.image_folder_arguments import ImageFolderArguments
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing


def rendered_preprocessing(
    wanted: ImageFolderArguments, entries: Sequence[Entry], *, workers: int
) -> tuple[Preprocessing, tuple[str, ...]]:
    """Return the preprocessing of photos with the rendering that suits them, and notes for the screen.

    A `Backbone` that is going to be trained on them gets the same rendering, so that its classifier keeps it. A
    classifier has been trained with its own.

    Args:
        wanted: the checked arguments of the `ImageFolder`.
        entries: the photos, after `regraft.data.manifest.scan`.
        workers: number of threads that decode photos of 16-bit gray.
    """
    chosen = wanted.preprocessing
    if chosen.rendering != PLAIN:
        return chosen, ()
    measured = measure_rendering(entries, workers=workers)
    if wanted.has_own_rendering:
        return chosen, _difference(measured, chosen)
    render_untrained(wanted.network, measured.rendering)
    return chosen.rendered(measured.rendering), measured.notes


def _difference(measured: MeasuredRendering, chosen: Preprocessing) -> tuple[str, ...]:
    """Return a note if the photos would be nearly black with the white level that was chosen before."""
    white = measured.rendering.white_level
    if measured.highest is None or white == chosen.white_level:
        return ()
    note = (
        f"16-bit gray has values up to {measured.highest:,}, and the preprocessing makes {chosen.white_level:,} white, "
        f"so the photos are dark; Preprocessing(white_level={white}), or a Backbone as network, would use their range"
    )
    return (note,)
