"""The folder that `regraft export` writes: the exported file, the proof of its answers, and how to use it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from regraft._version import __version__
from regraft.disk.atomic import write_json, write_text
from regraft.errors import ConfigError
from regraft.export.classifier_graph import GraphOptions, Input
from regraft.export.compressed_network import Precision
from regraft.export.compression import Compression
from regraft.export.formats import FORMATS, Format, Job, Written, usage, write_format
from regraft.export.lower_precision import check_lower_precision, write_lower_precision
from regraft.export.model_card import model_card
from regraft.export.proof import Proof, decoding_of, prove
from regraft.export.proof_photos import find_proof_photos
from regraft.export.target_folder import PROOF, check_target, written_at_once
from regraft.features.engines.engine_choice import REDUCED_PRECISIONS, REFERENCE
from regraft.inference.predictor import Predictor
from regraft.models.ensemble import members_of
from regraft.models.model_file import load_classifier
from regraft.models.model_place import find_model_file
from regraft.run.folder import RunFolder
from regraft.screen import QuietScreen, Screen

_MAX_VIEWS = 2


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        folder: the folder.
        file: the exported file in it.
        proof: the proof; None if the file takes prepared pixels, which cannot be compared on photos.
        notes: sentences for the user about what differs from the run.
        compression: what lower precision costs and gains; None in single precision.
    """

    folder: Path
    file: Path
    proof: Proof | None
    notes: tuple[str, ...] = ()
    compression: Compression | None = None


def export_model(
    model: Path | str,
    out: Path | str | None = None,
    *,
    format: Format = "onnx",  # noqa: A002 (the name of the option)
    input: Input = "photo",  # noqa: A002
    photos: Path | str | None = None,
    runtime: Path | str | None = None,
    precision: Precision = "fp32",
    screen: Screen | None = None,
) -> Exported:
    """Write a classifier as a file that other programs run, after proving that it answers as `regraft predict` does.

    Args:
        model: a run folder, or a model file.
        out: the folder to write; None for ``export/<format>`` in the run folder or next to the model file.
        format: ``"onnx"``; ``"openvino"``, which needs the extra of this name; ``"timm"``, a folder for
            ``timm.create_model("local-dir:…")`` and the Hugging Face Hub; or ``"web"``, one HTML file.
        input: ``"photo"``, the pixels of one photo of any size; ``"photos"``, several photos of one size; or
            ``"tensor"``, pixels that were resized and normalized elsewhere, (n, 3, h, w), without a proof.
        photos: folder of photos for the proof; None for those of the run, or generated images where they are missing.
        runtime: folder of the npm package onnxruntime-web, for ``"web"``; None for ``node_modules`` here.
        precision: ``"int8"`` for 8-bit integers, or ``"fp16"`` for weights in half precision, for ``"onnx"``; the file
            is compared on labeled photos, those of the run or of a folder with a folder for each class.
        screen: where progress and warnings go.

    Raises:
        ModelFileError: the model file is missing or damaged.
        ConfigError: the model cannot be exported in this form, or ``out`` contains other files.
        ProofError: the file would answer differently, or its precision may cost half a point. Nothing is written.
        OSError: the folder cannot be written.

    Example:
        >>> import regraft as rg
        >>> backbone = rg.build_backbone("test_resnet", pretrained=False, size=64)
        >>> rg.Classifier(backbone, ["ant", "bee"]).save("model.safetensors")
        >>> exported = rg.export_model("model.safetensors", "exported")
        >>> exported.file.name, exported.proof.passed
        ('model.onnx', True)
    """
    screen = screen or QuietScreen()
    path = find_model_file(Path(model))
    _check_names(format, input, precision)
    check_lower_precision(precision, format, input)
    if input == "tensor" and photos is not None:
        raise ConfigError("--photos does not apply to --input tensor: such a file has no proof")
    name = format if precision == "fp32" else f"{format}-{precision}"
    folder = Path(out) if out is not None else path.parent / "export" / name
    check_target(folder)
    job, notes = _job(path, input, Path(runtime) if runtime is not None else None)
    given = Path(photos) if photos is not None else None
    run = RunFolder(path.parent)
    with written_at_once(folder) as place:
        compression: Compression | None = None
        if precision == "fp32":
            written = write_format(format, job, place)
            proof = _proved(written, Path(model), given, screen)
        else:
            lower = write_lower_precision(precision, job, place, run, given, screen)
            written, proof, compression = lower.written, lower.proof, lower.compression
        notes += written.notes
        sha256 = hashlib.sha256((place / written.name).read_bytes()).hexdigest()
        about = {"format": 1, "regraft": __version__, "file": written.name, "sha256": sha256}
        compared = {"compared": 0} if proof is None else proof.as_dict(job.predictor.classes)
        lost = {} if compression is None else {"compression": compression.as_dict()}
        write_json(place / PROOF, about | {"runtime": written.runtime} | lost | compared)
        own_run = run if run.finished and run.model == path else None
        library = "onnx" if format == "web" else format
        write_text(place / "README.md", model_card(job.classifier, own_run, usage(format, input), notes, library))
    return Exported(folder, folder / written.name, proof, notes, compression)


def _check_names(form: str, given: str, precision: str) -> None:
    """Check the names of a form of export, which a caller from Python may have misspelled.

    Raises:
        ConfigError: one is unknown.
    """
    for name, value, expected in (
        ("format", form, FORMATS),
        ("input", given, get_args(Input)),
        ("precision", precision, get_args(Precision)),
    ):
        if value not in expected:
            raise ConfigError(f"{name}: expected one of {', '.join(expected)}, found {value!r}")


def _job(path: Path, given: Input, runtime: Path | None) -> tuple[Job, tuple[str, ...]]:
    """Return what is exported, and notes on what differs from the run."""
    classifier = load_classifier(path)
    predictor = Predictor(classifier, own=True)
    notes = list[str]()
    views, engine = min(predictor.views, _MAX_VIEWS), None
    if predictor.views > views:
        notes.append(
            f"the run averages {predictor.views} views of a photo, the file averages {views}: random crops depend on "
            "the bytes of the photo's file"
        )
    engines = {member.facts.get("engine", "") for member in members_of(classifier)}
    if any(title.endswith(REDUCED_PRECISIONS) for title in engines):
        engine = REFERENCE
        notes.append("regraft predict runs this network in bfloat16 here; the file is compared in single precision")
    predictor = Predictor(classifier, own=True, views=views, engine=engine)
    options = GraphOptions(given, views if given != "tensor" else 1, predictor.reject_below or 0.0)
    return Job(predictor, options, _facts(predictor, path), runtime), tuple(notes)


def _proved(written: Written, model: Path, photos: Path | None, screen: Screen) -> Proof | None:
    """Return the proof of files, or None if they take prepared pixels.

    Raises:
        ProofError: they answer differently.
    """
    if written.classify is None:
        return None
    with tempfile.TemporaryDirectory() as made:
        proof_photos = find_proof_photos(model, photos, Path(made))
        with screen.progress("proof", len(proof_photos.photos)) as bar:
            proof = prove(written.classify, written.expected, proof_photos.photos, proof_photos.about, bar)
    proof.check(written.name, written.expected.classes)
    return proof


def _facts(predictor: Predictor, path: Path) -> dict[str, str]:
    """Return the metadata of an exported file: what a program needs to decode photos for it, and its origin."""
    decoding, members = decoding_of(predictor), members_of(predictor.classifier)
    licences: Sequence[str] = sorted({member.backbone.spec.licence or "unknown" for member in members})
    return {
        "regraft": __version__,
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "networks": ", ".join(member.backbone.spec.name for member in members),
        "license_of_weights": ", ".join(licences),
        "at_least": json.dumps(list(decoding.at_least)),
        "white_level": str(decoding.rendering.white_level),
        "ground": decoding.rendering.ground,
        "views": str(min(predictor.views, _MAX_VIEWS)),
        "unsure_below": "" if predictor.reject_below is None else repr(predictor.reject_below),
    }
