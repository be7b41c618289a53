"""Repetition of a proof anywhere: an exported file against the answers in its ``proof.json``, on the same photos."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regraft.data.file_types import read_regular
from regraft.data.folders.walk import photos_below
from regraft.errors import DecodeError, ModelFileError, PhotosError
from regraft.export.decoding import Decoding
from regraft.export.exported_file import ExportedFile
from regraft.export.proof import TOLERANCE, Comparison, Proof
from regraft.screen import Screen


def repeat_proof(file: Path, photos: Path, screen: Screen) -> dict[str, Any]:
    """Return the comparison of ``file`` with the answers in its ``proof.json``.

    Args:
        file: the exported file; ``proof.json`` is in the same folder.
        photos: folder with the photos of the proof, at any depth; their bytes identify them.
        screen: where progress goes.

    Returns:
        ``{"compared": photos, "same_label": photos with the same class, "largest_difference": of a probability}``

    Raises:
        ModelFileError: the file or its proof is missing or damaged.
        PhotosError: the folder contains none of the photos.
        ProofError: the file answers differently.
    """
    exported = ExportedFile(file)
    recorded = _recorded(file.with_name("proof.json"))
    answers = recorded.answers
    if not photos.is_dir():
        raise PhotosError(f"no such folder of photos: {photos}")
    if not all(answers.values()):
        raise ModelFileError(f"the proof.json of {file} is damaged: a photo has no classes")
    named = {label for top in answers.values() for label in top}
    if not named <= set(exported.classes):
        other = min(named - set(exported.classes))
        raise ModelFileError(f"{file} has no class {other!r}, which its proof.json names: the proof is of another file")
    decoding = Decoding.from_facts(exported.facts)
    paths = [path for _, path in photos_below(photos, "", frozenset(), [])]
    compared = []
    with screen.progress("proof", len(paths)) as bar:
        for path in paths:
            comparison = _compared(path, exported, decoding, answers)
            if comparison is not None:
                compared.append(comparison)
            bar.advance()
    if not compared:
        raise PhotosError(f"{photos} contains none of the {len(answers):,} photos that {file} was compared on")
    proof = Proof(str(photos), tuple(compared), 0, recorded.tolerance, recorded.minimum_share)
    proof.check(file.name, exported.classes)
    return {
        "compared": len(compared),
        "same_label": proof.same_labels,
        "largest_difference": proof.largest_difference,
    }


def _compared(
    path: Path, exported: ExportedFile, decoding: Decoding, answers: Mapping[str, Mapping[str, float]]
) -> Comparison | None:
    """Return the comparison for one photo; None if it is not in the proof, or is unreadable."""
    try:
        data = read_regular(path)
        content = hashlib.sha256(data).hexdigest()
        if content not in answers:
            return None
        probabilities = np.asarray(exported.classify(decoding.pixels(data)), dtype=np.float64)
    except (OSError, DecodeError):
        return None
    top = answers[content]
    # of the other classes, the proof only says that they were lower
    expected = np.minimum(probabilities, min(top.values()))
    for label, probability in top.items():
        expected[exported.classes.index(label)] = probability
    return Comparison(path.name, content, expected, probabilities)


@dataclass(frozen=True)
class _Recorded:
    """A recorded proof: the probabilities of the best classes by the SHA-256 of a photo, and what it tolerates."""

    answers: dict[str, dict[str, float]]
    tolerance: float
    minimum_share: float


def _recorded(path: Path) -> _Recorded:
    """Return the proof in a file.

    Raises:
        ModelFileError: the proof is missing or damaged.
    """
    try:
        proof = json.loads(path.read_text(encoding="utf-8"))
        answers = {str(one["sha256"]): {str(k): float(v) for k, v in one["top"].items()} for one in proof["answers"]}
        return _Recorded(answers, float(proof.get("tolerance", TOLERANCE)), float(proof.get("minimum_share", 1.0)))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{path} cannot be read, so that there is nothing to compare with: {error}") from None
