"""The formats of an export: each writes its files into a folder and returns what answers for them in the proof."""

from __future__ import annotations

import importlib.resources
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray

from regraft.disk.atomic import readable_json, write_bytes, write_json, write_text
from regraft.errors import ConfigError, MissingExtraError
from regraft.export.classifier_graph import (
    Change,
    GraphOptions,
    Input,
    add_metadata,
    classifier_graph,
)
from regraft.export.exported_file import ExportedFile
from regraft.export.photo_script import photo_script
from regraft.export.timm_folder import WITHOUT_BOUNDS, LoadedByTimm, write_timm_folder
from regraft.export.web_page import find_runtime, web_page
from regraft.inference.predictor import Predictor
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.models.linear_head import set_bounds
from regraft.run.environment import package_version

Format: TypeAlias = Literal["onnx", "openvino", "timm", "web"]

FORMATS: tuple[Format, ...] = ("onnx", "openvino", "timm", "web")


@dataclass(frozen=True)
class Job:
    """The classifier to export, and the form of the file.

    Attributes:
        predictor: the classifier in use; its answers are expected of the file.
        options: the form of the graph.
        facts: text by key for the metadata.
        runtime: folder of ONNX Runtime Web, for a web page.
        change: replaces the graph of each network; None for single precision.
    """

    predictor: Predictor
    options: GraphOptions
    facts: dict[str, str]
    runtime: Path | None = None
    change: Change | None = None

    @property
    def classifier(self) -> Classifier | Ensemble:
        """The classifier."""
        return self.predictor.classifier

    @property
    def program_facts(self) -> dict[str, Any]:
        """Names of the classes, and how a photo is decoded, for programs in JavaScript."""
        return {
            "classes": list(self.predictor.classes),
            "at_least": json.loads(self.facts["at_least"]),
            "white_level": int(self.facts["white_level"]),
            "ground": self.facts["ground"],
        }

    def graph(self) -> bytes:
        """Return the ONNX file."""
        model = classifier_graph(self.classifier, self.options, self.change)
        add_metadata(model, self.facts, self.predictor.classes)
        data: bytes = model.SerializeToString()
        return data


@dataclass(frozen=True)
class Written:
    """Files of one format.

    Attributes:
        name: name of the main file.
        runtime: name and version of the library that runs it.
        classify: maps the pixels of a photo to its probabilities; None if the file takes prepared pixels.
        expected: whose answers are expected.
        notes: sentences on what differs from the run.
    """

    name: str
    runtime: str
    classify: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None
    expected: Predictor
    notes: tuple[str, ...] = ()


def write_format(form: Format, job: Job, place: Path) -> Written:
    """Write ``job`` in the format ``form`` into the folder ``place``.

    Raises:
        ConfigError: the classifier or the options do not suit the format.
        MissingExtraError: the format needs a package that is not installed.
    """
    accepted = {"onnx": ("photo", "photos", "tensor"), "openvino": ("photo", "photos")}.get(form, ("photo",))
    if job.options.input not in accepted:
        raise ConfigError(
            f"--input {job.options.input} does not apply to --format {form}; expected {' or '.join(accepted)}"
        )
    return _WRITERS[form](job, place)


def usage(form: Format, given: Input = "photo") -> str:
    """Return how to use the files of a format with an input, in Markdown."""
    name = form if given == "photo" else f"{form}-{given}"
    return _resource(f"usage/{name}.md").decode().rstrip()


def _write_onnx(job: Job, place: Path) -> Written:
    file = place / "model.onnx"
    write_bytes(file, job.graph())
    write_text(place / "labels.txt", _lines(job.predictor.classes))
    if job.options.input == "photo":
        for name in ("predict.py", "predict.mjs"):
            write_bytes(place / name, _resource(f"runners/{name}"))
        write_text(place / "pixels.mjs", photo_script(module=True))
        write_json(place / "facts.json", job.program_facts)
    if job.options.input == "tensor":
        return Written(file.name, f"onnx {onnx.__version__}", None, job.predictor)
    exported = ExportedFile(file)
    return Written(file.name, exported.runtime, exported.classify, job.predictor)


def _write_openvino(job: Job, place: Path) -> Written:
    """Write the intermediate representation of OpenVINO: ``model.xml`` and ``model.bin``."""
    if package_version("openvino") is None:
        raise MissingExtraError("files of OpenVINO", "openvino")
    import openvino

    file = place / "model.xml"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.onnx"
        source.write_bytes(job.graph())
        model = openvino.convert_model(source)
        facts = {**job.facts, "classes": readable_json(list(job.predictor.classes))}
        for name, value in {**facts, "names": json.dumps(sorted(facts))}.items():
            model.set_rt_info(value, ["regraft", name])
        openvino.save_model(model, file, compress_to_fp16=False)
    write_text(place / "labels.txt", _lines(job.predictor.classes))
    exported = ExportedFile(file)
    return Written(file.name, exported.runtime, exported.classify, job.predictor)


def _write_timm(job: Job, place: Path) -> Written:
    write_timm_folder(job.classifier, place)
    classifier: Any = job.classifier
    loaded = LoadedByTimm(place, classifier.preprocessing)
    expected, notes = Predictor(classifier, views=1), list[str]()
    if job.options.views > 1:
        notes.append("timm's network sees a photo once, where the run averages it with its mirror image")
    if classifier.feature_bounds is not None:
        plain = classifier.snapshot()
        set_bounds(plain.head, None)
        expected = Predictor(plain, own=True, views=1)
        notes.append(WITHOUT_BOUNDS)
    return Written("model.safetensors", f"timm {package_version('timm')}", loaded.classify, expected, tuple(notes))


def _write_web(job: Job, place: Path) -> Written:
    runtime = find_runtime(job.runtime)
    graph = job.graph()
    write_text(place / "classifier.html", web_page(graph, job.program_facts, runtime))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(graph)
        exported = ExportedFile(file)
    return Written("classifier.html", f"{exported.runtime}, on the model in the page", exported.classify, job.predictor)


def _resource(name: str) -> bytes:
    return (importlib.resources.files("regraft.export") / name).read_bytes()


_LINE_BREAKS = {ord(one): one.encode("unicode_escape").decode() for one in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"}


def _lines(names: tuple[str, ...]) -> str:
    """Return names as lines; a line break in a name is escaped, so that the order is that of the probabilities."""
    return "".join(f"{name.translate(_LINE_BREAKS)}\n" for name in names)


_WRITERS: dict[Format, Callable[[Job, Path], Written]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "timm": _write_timm,
    "web": _write_web,
}
