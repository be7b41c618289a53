"""Frozen networks as ONNX graphs, from pixels to features; each is exported once and kept by its weights."""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from pathlib import Path

import torch
from torch import nn

from regraft.data.preprocessing import Preprocessing
from regraft.disk.atomic import atomic
from regraft.disk.sealed import SealError, read_sealed, seal
from regraft.features.folding import folded
from regraft.models.backbone import Backbone
from regraft.places import GRAPHS, cache_folder, files_by_use

INPUT, OUTPUT = "pixels", "features"
_FORMAT = "1"  # changes whenever the same network gives another graph
_OPSET = 17
_MOST = 2 * 10**9  # bytes of graphs that are kept, those used last


def graph_of(backbone: Backbone, weights_hash: str, batch_size: int) -> bytes:
    """Return a graph that takes pixels, (batch_size, H, W, 3), uint8, and gives features, (batch_size, D), float32.

    Raises:
        RuntimeError: the network cannot be exported. torch raises other errors too.
    """
    path = _path(backbone, weights_hash, batch_size)
    try:
        graph = bytes(read_sealed(path)[0])
        with contextlib.suppress(OSError):
            path.touch()
    except (OSError, SealError):  # not there yet, or damaged: it is made again
        graph = _export(backbone, batch_size)
        _keep(path, graph)
    return graph


def has_graph(backbone: Backbone, weights_hash: str, batch_size: int) -> bool:
    """Return whether the graph was exported before."""
    return _path(backbone, weights_hash, batch_size).exists()


def graphs() -> list[Path]:
    """Return the files of all graphs, those used last at the end."""
    return files_by_use(*GRAPHS)


class _FromPixels(nn.Module):
    """A network with its normalisation, so that a graph takes a quarter of the bytes."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, network: nn.Module, p: Preprocessing) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor(p.mean).view(1, 3, 1, 1))
        self.register_buffer("scale", 1 / (255 * torch.tensor(p.std).view(1, 3, 1, 1)))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the features of pixels: (b, H, W, 3), uint8 -> (b, D), float32."""
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean) * self.scale
        features: torch.Tensor = self.network(x)
        return features


def _export(backbone: Backbone, batch_size: int) -> bytes:
    p = backbone.spec.preprocessing
    network = _FromPixels(folded(backbone.network, p.height, p.width), p).eval()
    pixels = torch.zeros(batch_size, p.height, p.width, 3, dtype=torch.uint8)
    out = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # torch warns that this exporter, which needs no further package, is the older
        torch.onnx.export(
            network,
            (pixels,),
            out,  # type: ignore[arg-type]  # the older exporter takes a buffer
            dynamo=False,
            opset_version=_OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
        )
    return out.getvalue()


def _path(backbone: Backbone, weights_hash: str, batch_size: int) -> Path:
    p = backbone.spec.preprocessing
    parts = (_FORMAT, torch.__version__, backbone.spec.name, weights_hash, str((p.height, p.width, p.mean, p.std)))
    name = hashlib.sha256("\n".join((*parts, str(batch_size))).encode()).hexdigest()[:40]
    return cache_folder() / "graphs" / f"{name}.onnx"


def _keep(path: Path, graph: bytes) -> None:
    with contextlib.suppress(OSError):  # a disk that refuses means exporting again
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_bytes(graph)
            seal(temporary, "graph")
        total = 0
        for old in reversed(graphs()):
            total += old.stat().st_size
            if total > _MOST and old != path:
                old.unlink()
