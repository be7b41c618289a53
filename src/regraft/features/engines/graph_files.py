"""Graphs of networks in the cache folder, and their use with ONNX Runtime. It needs no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from regraft.cache_dir import GRAPHS, cache_folder, files_by_use
from regraft.disk.sealed import read_sealed

Run: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Maps one full batch of pixels, (b, H, W, 3), uint8, to its features, (b, D), float32."""

INPUT, OUTPUT = "pixels", "features"
"""Names of the input and the output of a graph."""


def graph_files() -> list[Path]:
    """Return the files of all graphs, most recently used last."""
    return files_by_use(*GRAPHS)


def graph_place(name: str) -> Path:
    """Return the path of the graph called ``name`` in the cache folder."""
    return cache_folder() / GRAPHS[0] / name


def read_graph(path: Path) -> bytes:
    """Return the graph in a file, and record its use.

    Raises:
        SealError: the file is damaged.
        OSError: it is missing or cannot be read.
    """
    graph = bytes(read_sealed(path)[0])
    with contextlib.suppress(OSError):
        path.touch()
    return graph


def compile_onnx(graph: bytes, threads: int = 1) -> Run:
    """Return a function that runs ``graph`` with ONNX Runtime; several threads may call it at the same time.

    Args:
        graph: the graph.
        threads: number of threads that share a batch; between batches they wait without using a processor.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        features: NDArray[np.float32] = session.run([OUTPUT], {INPUT: pixels})[0]
        return features

    return run
