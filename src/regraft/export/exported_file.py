"""An exported file in use: the probabilities of a photo from its pixels, by ONNX Runtime or OpenVINO."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from regraft.data.threads import default_workers
from regraft.errors import MissingExtraError, ModelFileError
from regraft.run.environment import package_version

Classify: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Maps the pixels of a photo, (H, W, 3), to its probabilities, (C,)."""


class ExportedFile:
    """A file of `regraft.export.export_folder.export_model`.

    Args:
        path: ``model.onnx``, or ``model.xml`` of OpenVINO.
        threads: number of threads for one photo; None for all cores.

    Attributes:
        path: the file.
        runtime: name and version of the library that runs it.
        facts: text by key from its metadata.

    Raises:
        ModelFileError: the file is missing, damaged, or not one that classifies a photo.
        MissingExtraError: its library is not installed.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        if not path.is_file():
            raise ModelFileError(f"no such file: {path}; expected a model.onnx or a model.xml of regraft export")
        if path.suffix not in (".onnx", ".xml"):
            raise ModelFileError(f"{path} cannot be run here; expected a model.onnx or a model.xml of regraft export")
        self.path = path
        open_file = _open_openvino if path.suffix == ".xml" else _open_onnx
        try:
            self.classify, self.facts, self.runtime = open_file(path, threads)
        except (MissingExtraError, ModelFileError):
            raise
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelFileError(f"{path} cannot be used: {reason}") from error

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return tuple(json.loads(self.facts["classes"]))


def _open_onnx(path: Path, threads: int | None) -> tuple[Classify, dict[str, str], str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = options.inter_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    facts = dict(session.get_modelmeta().custom_metadata_map)
    inputs = [one.name for one in session.get_inputs()]
    _check(path, inputs, facts)
    several = inputs == ["photos"]

    def classify(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        fed = photo[None] if several else photo
        probabilities: NDArray[np.float32] = session.run(["probabilities"], {inputs[0]: fed})[0]
        return probabilities[0] if several else probabilities

    return classify, facts, f"onnxruntime {package_version('onnxruntime')}"


def _open_openvino(path: Path, threads: int | None) -> tuple[Classify, dict[str, str], str]:
    version = package_version("openvino")
    if version is None:
        raise MissingExtraError("files of OpenVINO", "openvino")
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        settings |= {"INFERENCE_NUM_THREADS": str(default_workers() * threads), "NUM_STREAMS": str(default_workers())}
    compiled: Any = core.compile_model(model, "CPU", settings)
    facts = {name: model.get_rt_info(["regraft", name]).astype(str) for name in json.loads(_names(model))}
    inputs = [one.get_any_name() for one in model.inputs]
    _check(path, inputs, facts)

    def classify(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        request = compiled.create_infer_request()  # several threads may call this function
        probabilities: NDArray[np.float32] = np.array(request.infer([photo])["probabilities"])
        return probabilities

    return classify, facts, f"openvino {version}"


def _names(model: Any) -> str:
    return str(model.get_rt_info(["regraft", "names"]).astype(str))


def _check(path: Path, inputs: list[str], facts: dict[str, str]) -> None:
    if "classes" not in facts:
        raise ModelFileError(f"{path} was not written by regraft export: it has no names of classes")
    if inputs not in (["photo"], ["photos"]):
        raise ModelFileError(
            f"{path} has the input {', '.join(inputs)}; expected photo or photos: a file of --input tensor contains no "
            "preprocessing, so that its answers for photos depend on yours"
        )
