"""An exported file behind LitServe; its class is in a module, because LitServe starts processes that import it."""

from __future__ import annotations

from typing import Any

import litserve
import numpy as np
from _serve_peers import answer_of, classes_of, pixels_of, session_of


class Api(litserve.LitAPI):  # type: ignore[misc]
    """The file behind LitServe.

    Args:
        path: the file.
        threads: threads of the runtime; 0 is its own choice.
    """

    def __init__(self, path: str, threads: int) -> None:
        super().__init__(api_path="/predict")
        self.path, self.threads = path, threads

    def setup(self, device: str) -> None:
        """Load the file."""
        self.session = session_of(self.path, self.threads)
        self.classes = classes_of(self.session)

    def decode_request(self, request) -> np.ndarray:  # type: ignore[no-untyped-def]  # noqa: ANN001  (or it takes JSON)
        """Return the pixels of the photo in a request."""
        return pixels_of(request["photos"].file.read())

    def predict(self, x: np.ndarray) -> dict[str, Any]:
        """Return the answer for a photo."""
        return answer_of(self.session, self.classes, x)

    def encode_response(self, output):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        """Return the answer as JSON values."""
        return output


def serve_litserve(path: str, port: int, workers: int) -> None:
    """Serve until SIGTERM."""
    api = Api(path, 1 if workers > 1 else 0)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=port, log_level="error", generate_client_file=False)
