"""The export of a file of lower precision: made with training photos, compared on others, kept if it is good."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regraft.data.decode import read_photo
from regraft.data.preprocessing import Preprocessing, evaluation_pixels, normalise
from regraft.disk.atomic import write_bytes
from regraft.errors import ConfigError, DecodeError, ProofError
from regraft.export.classifier_graph import Change
from regraft.export.compressed_network import Precision, in_half_precision, in_integer_weights, in_integers
from regraft.export.compression import Compression, compare_precisions, with_own_tolerance
from regraft.export.exported_file import ExportedFile
from regraft.export.formats import Job, Written, write_format
from regraft.export.labeled_photos import LabeledPhotos, find_labeled_photos
from regraft.export.proof import Proof, prove
from regraft.run.folder import RunFolder
from regraft.screen import Screen

_TIMED_PHOTOS = 12
_REFUSED = "refused, because a loss of more than half a point is possible"


@dataclass(frozen=True)
class Lower:
    """A written file of lower precision.

    Attributes:
        written: the file.
        proof: its proof, against its own tolerance.
        compression: what it costs and gains.
    """

    written: Written
    proof: Proof
    compression: Compression


def write_lower_precision(
    precision: Precision, job: Job, place: Path, run: RunFolder, photos: Path | None, screen: Screen
) -> Lower:
    """Write an ONNX file of lower precision into the folder ``place``, if it loses less than half a point.

    Args:
        precision: ``"int8"`` or ``"fp16"``.
        job: the classifier in single precision.
        place: the folder.
        run: the run folder of the classifier; it may not exist.
        photos: folder with a folder of photos for each class; None for the photos of the run.
        screen: where progress goes.

    Raises:
        ConfigError: there are no labeled photos, or the network cannot be quantized.
        ProofError: the file may lose more than half a point of accuracy; the message has all figures.
    """
    labeled = find_labeled_photos(run, photos, job.predictor.classes)
    refused: list[str] = []
    for method, change in _changes(precision, labeled).items():
        lower = _written(replace(job, change=change), job, place, labeled, screen, (precision, method))
        if lower.compression.is_good:
            notes = tuple(f"{text}: {_REFUSED}" for text in refused)
            return replace(lower, written=replace(lower.written, notes=notes))
        refused.append(lower.compression.text)
    raise ProofError(
        f"--{precision} is refused, because a loss of more than half a point is possible"
        + "".join(f"\n  {text}" for text in refused)
        + "\n  more labeled photos make the interval narrower: --photos FOLDER, with a folder for each class"
    )


def check_lower_precision(precision: Precision, form: str, given: str) -> None:
    """Check that lower precision applies to a format and an input.

    Raises:
        ConfigError: it does not.
    """
    if precision != "fp32" and (form != "onnx" or given == "tensor"):
        option = f"--format {form}" if form != "onnx" else f"--input {given}"
        raise ConfigError(f"--{precision} does not apply to {option}; expected --format onnx with --input photo")


def _written(
    job: Job, usual: Job, place: Path, labeled: LabeledPhotos, screen: Screen, kind: tuple[Precision, str]
) -> Lower:
    """Write the file of ``job`` and compare it with that of ``usual``, in single precision."""
    written = write_format("onnx", job, place)
    assert written.classify is not None  # a file for prepared pixels was refused before
    with screen.progress("compare", len(labeled.photos)) as bar:
        proof = prove(written.classify, written.expected, labeled.photos, labeled.about, bar)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / written.name
        write_bytes(file, usual.graph())
        files = (ExportedFile(place / written.name, threads=1), ExportedFile(file, threads=1))
        compression = compare_precisions(kind, files, proof.comparisons, labeled, _readable(labeled))
    return Lower(written, with_own_tolerance(proof), compression)


def _changes(precision: Precision, labeled: LabeledPhotos) -> dict[str, Change]:
    """Return the ways to lower the precision, the fastest first; each is tried if those before it are refused."""
    if precision == "fp16":
        return {"weights": lambda network, _: in_half_precision(network)}
    return {
        "weights and activations": lambda network, p: in_integers(network, list(_inputs(labeled.calibration, p))),
        "weights": lambda network, _: in_integer_weights(network),
    }


def _inputs(photos: Sequence[Path], p: Preprocessing) -> Iterator[NDArray[np.float32]]:
    """Yield the normalized pixels of each readable photo, shape (1, 3, h, w)."""
    for path in photos:
        try:
            pixels = evaluation_pixels(read_photo(path, at_least=p.at_least, rendering=p.rendering), p)
        except DecodeError:
            continue
        yield np.array(normalise(pixels[None], p).numpy(), order="C")


def _readable(labeled: LabeledPhotos) -> list[Path]:
    """Return the first photos that can be read, `_TIMED_PHOTOS` at most."""
    readable: list[Path] = []
    for path in labeled.photos:
        try:
            read_photo(path)
        except DecodeError:
            continue
        readable.append(path)
        if len(readable) >= _TIMED_PHOTOS:
            break
    return readable
