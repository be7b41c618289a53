"""The files of TensorBoard's embedding projector."""

from __future__ import annotations

import importlib
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from regraft.disk.atomic import write_text
from regraft.errors import TrainingError, did_you_mean, several

CONFIG = "projector_config.pbtxt"


class Projector:
    """The sets of vectors that the projector shows, each a table of tab-separated numbers with labels.

    Args:
        log_dir: the folder that TensorBoard is started on.
        vectors: sets of vectors (n, dimensions), by name.
        metadata: a file with a label for each vector, relative to ``log_dir``; or such files by name.
        sprites: by name, an image file with a small picture of each vector, and the width and height of one.

    Raises:
        TrainingError: ``metadata`` or ``sprites`` name a set that does not exist.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        vectors: Mapping[str, Any],
        metadata: str | Mapping[str, str] | None = None,
        sprites: Mapping[str, tuple[str, int, int]] | None = None,
    ) -> None:
        self.folder = Path(log_dir)
        self._metadata = dict.fromkeys(vectors, metadata) if isinstance(metadata, str) else dict(metadata or {})
        self._sprites = dict(sprites or {})
        unknown = [name for name in [*self._metadata, *self._sprites] if name not in vectors]
        if unknown:
            problems = [f"there is no embedding {name!r}{did_you_mean(name, vectors)}" for name in unknown]
            raise TrainingError(several(f"the embeddings are {list(vectors)}", problems))

    def write(self, vectors: Mapping[str, Tensor | np.ndarray[Any, Any]]) -> None:
        """Write the vectors and the projector's configuration, in place of the earlier ones."""
        folder = self.folder / "projector"
        folder.mkdir(parents=True, exist_ok=True)
        for name, values in vectors.items():
            array = values.detach().float().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
            table = io.StringIO()
            np.savetxt(table, array, delimiter="\t", fmt="%.7g")
            write_text(folder / f"{_file_name(name)}.tsv", table.getvalue())
        write_text(self.folder / CONFIG, self._config(vectors))

    def _config(self, vectors: Mapping[str, Any]) -> str:
        text_format = importlib.import_module("google.protobuf.text_format")
        protos = importlib.import_module("tensorboard.plugins.projector.projector_config_pb2")
        config = protos.ProjectorConfig()
        for name in vectors:
            entry = config.embeddings.add()
            entry.tensor_name = name
            entry.tensor_path = f"projector/{_file_name(name)}.tsv"
            if name in self._metadata:
                entry.metadata_path = self._metadata[name]
            if name in self._sprites:
                path, width, height = self._sprites[name]
                entry.sprite.image_path = path
                entry.sprite.single_image_dim.extend([width, height])
        return str(text_format.MessageToString(config))


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name) or "embedding"
