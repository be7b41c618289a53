"""The same exported file behind other servers, as their documentation shows it.

python benchmarks/_serve_peers.py fastapi|fastapi-1|litserve|litserve-2 MODEL.onnx PORT

`fastapi` runs the file with the runtime's own number of threads, `fastapi-1` with one thread for each photo, so that
photos are computed at the same time; `litserve-2` (`_serve_litserve.py`) has two workers of one thread each.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import numpy as np
from PIL import Image, ImageOps


def session_of(path: str, threads: int) -> Any:
    """Return the exported file, with a number of threads; 0 is the runtime's own choice."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def pixels_of(data: bytes) -> np.ndarray:
    """Return the pixels of a photo, upright, (H, W, 3)."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def answer_of(session: Any, classes: list[str], pixels: np.ndarray) -> dict[str, Any]:
    """Return the answer for a photo."""
    probabilities, label = session.run(["probabilities", "label"], {"photo": pixels})
    return {"label": classes[int(label)], "probabilities": dict(zip(classes, map(float, probabilities), strict=True))}


def classes_of(session: Any) -> list[str]:
    """Return the names of the classes."""
    return list(json.loads(session.get_modelmeta().custom_metadata_map["classes"]))


def serve_fastapi(path: str, port: int, threads: int) -> None:
    """Serve with FastAPI; its functions run in its pool of threads."""
    import uvicorn
    from fastapi import FastAPI, UploadFile

    session = session_of(path, threads)
    classes, app = classes_of(session), FastAPI()

    def predict(photos: list[UploadFile]) -> list[dict[str, Any]]:
        return [answer_of(session, classes, pixels_of(photo.file.read())) for photo in photos]

    predict.__annotations__ = {"photos": list[UploadFile], "return": list[dict[str, Any]]}
    app.post("/predict")(predict)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    kind, path, port = sys.argv[1:]
    if kind.startswith("fastapi"):
        serve_fastapi(path, int(port), 1 if kind == "fastapi-1" else 0)
    else:
        from _serve_litserve import serve_litserve

        serve_litserve(path, int(port), 2 if kind == "litserve-2" else 1)
