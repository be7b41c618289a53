"""`regraft export`: a classifier as a file that other programs run, with the proof of its answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from regraft.cli.options import PATH, Choice, output_options, pass_session, refuse_without
from regraft.cli.output import Session
from regraft.errors import ConfigError
from regraft.text import counted, file_size

if TYPE_CHECKING:
    from regraft.export.classifier_graph import Input
    from regraft.export.compressed_network import Precision
    from regraft.export.export_folder import Exported
    from regraft.export.formats import Format
    from regraft.export.proof import Proof

_EXAMPLES = """\b
Examples:
  regraft export runs/photos-auto-001
  regraft export runs/photos-auto-001 --format openvino -o for_the_camera
  regraft export runs/photos-auto-001 --int8
  regraft export --prove for_the_camera/model.xml photos"""


@cloup.command(name="export", short_help="Write a classifier for other programs.", epilog=_EXAMPLES)
@cloup.argument(
    "model", type=PATH, required=False, metavar="MODEL",
    help="A run folder, or a copy of its model.safetensors. With --prove, the folder of photos to compare on."
)  # fmt: skip
@cloup.option_group(
    "File",
    cloup.option(
        "--format", "form", type=Choice(["onnx", "openvino", "timm", "web"]), default="onnx", show_default=True,
        help="onnx: for ONNX Runtime. openvino: for OpenVINO. timm: a folder for timm and the Hugging Face Hub. web: "
        "one HTML file that works offline."
    ),
    cloup.option(
        "-o", "--out", type=PATH, metavar="FOLDER", help="Folder to write. Default: export/FORMAT in the run folder."
    ),
    cloup.option(
        "--input", "given", type=Choice(["photo", "photos", "tensor"]), default="photo", show_default=True,
        help="photo: the pixels of one photo of any size. photos: several photos of one size. tensor: pixels that your "
        "program has resized and normalized.",
    ),
    cloup.option(
        "--int8", is_flag=True,
        help="Compute with 8-bit integers, if labeled photos show that this costs less than half a point of accuracy."
    ),
    cloup.option(
        "--fp16", is_flag=True,
        help="Store the weights in half precision, if labeled photos show that this costs less than half a point."
    ),
    cloup.option(
        "--runtime", type=PATH, metavar="FOLDER",
        help="For web: the npm package onnxruntime-web. Default: node_modules/onnxruntime-web.",
    ),
)  # fmt: skip
@cloup.option_group(
    "Proof",
    cloup.option(
        "--photos", type=PATH, metavar="FOLDER", help="Photos to compare the answers on. Default: those of the run."
    ),
    cloup.option(
        "--prove",
        type=PATH,
        metavar="FILE",
        help="Compare an exported FILE with its proof.json on the same photos, and write nothing.",
    ),
)
@output_options(quiet="Print only the folder.")
@pass_session
def export(
    session: Session,
    model: Path | None,
    form: Format,
    out: Path | None,
    given: Input,
    int8: bool,
    fp16: bool,
    runtime: Path | None,
    photos: Path | None,
    prove: Path | None,
) -> None:
    """Write the classifier MODEL as a file that needs neither regraft nor torch.

    The file contains everything from the pixels of a photo to the probabilities of the classes. Its answers are
    compared with those of regraft predict on up to 500 photos, and it is written only if they are the same.
    """
    context = click.get_current_context()
    if model is None and prove is not None:
        text = "--prove FILE needs the folder of photos to compare on: regraft export --prove FILE PHOTOS"
        raise click.UsageError(text, context)
    if model is None:
        raise click.MissingParameter(ctx=context, param=context.command.params[0])
    if prove is not None:
        refuse_without(context, "a new export, not with --prove", out=out, runtime=runtime, photos=photos)
        _repeat_proof(session, prove, model)
        return
    if form != "web":
        refuse_without(context, "--format web", runtime=runtime)
    from regraft.export.export_folder import export_model

    screen = session.screen()
    if int8 and fp16:
        raise ConfigError("--int8 and --fp16 exclude each other; name one of them")
    precision: Precision = "int8" if int8 else "fp16" if fp16 else "fp32"
    made = export_model(
        model, out, format=form, input=given, photos=photos, runtime=runtime, precision=precision, screen=screen
    )
    for note in made.notes:
        screen.warn(note)
    if session.json:
        session.print_json(_as_json(made))
    elif session.quiet:
        session.print(str(made.folder))
    else:
        screen.line("file", f"{made.file} · {file_size(made.file.stat().st_size)}")
        if made.compression is not None:
            kind = f"{made.compression.precision} {made.compression.method}"
            screen.line("weights", f"{kind} · {made.compression.size_text}")
            screen.line("accuracy", made.compression.accuracy_text)
        else:
            screen.line("proof", _result(made.proof) if made.proof else "none: the file takes pixels that you prepare")


def _repeat_proof(session: Session, file: Path, photos: Path) -> None:
    from regraft.export.exported_predictor import exported_file_of
    from regraft.export.repeat_proof import repeat_proof

    screen = session.screen()
    found = repeat_proof(exported_file_of(file) or file, photos, screen)
    if session.json:
        session.print_json(found)
    else:
        photos_text = f"{found['same_label']:,} of {counted(found['compared'], 'photo')}"
        if found["same_label"] == found["compared"]:
            photos_text = f"all {counted(found['compared'], 'photo')}"
        difference = found["largest_difference"]
        session.print(f"the same class for {photos_text}, probabilities differ by at most {difference:.1g}")


def _result(proof: Proof) -> str:
    """Return the result of a proof as a line."""
    compared = counted(len(proof.comparisons), "photo" if "photo" in proof.photos else "image")
    return (
        f"the same class as regraft predict for all {compared} ({proof.photos}); probabilities differ by at most "
        f"{proof.largest_difference:.1g}"
    )


def _as_json(made: Exported) -> dict[str, Any]:
    proof = made.proof
    return {
        "folder": str(made.folder),
        "file": str(made.file),
        "bytes": made.file.stat().st_size,
        "notes": list(made.notes),
        "compression": None if made.compression is None else made.compression.as_dict(),
        "proof": None
        if proof is None
        else {
            "photos": proof.photos,
            "compared": len(proof.comparisons),
            "unreadable": proof.unreadable,
            "largest_difference": proof.largest_difference,
        },
    }
