"""A server of predictions of a tiny network, called in this process or on a port of this machine."""

from __future__ import annotations

import contextlib
import io
import threading

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from chromium import chromium, page
from exported_models import model_file, tiny_classifier
from regraft.serve.limits import Limits
from regraft.serve.run_server import ServeOptions, started_app
from regraft.web.connection import Bounds
from regraft.web.server import address_of, listen, serve

__all__ = ["chromium", "model_file", "page", "tiny_classifier"]

HERE = "http://127.0.0.1:8000"


def photo(seed=0, width=80, height=60, form="JPEG", **more):
    """Return the bytes of a photo of noise."""
    draw = np.random.default_rng(seed)
    small = Image.fromarray(draw.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    out = io.BytesIO()
    small.resize((width, height)).save(out, form, **more)
    return out.getvalue()


@contextlib.contextmanager
def client_of(path, **more):
    """Yield a client of a server in this process."""
    with started_app(ServeOptions(path, **more)) as app:
        yield TestClient(app, base_url=HERE, client=("127.0.0.1", 5000))


@contextlib.contextmanager
def running(path, bounds=None, **more):
    """Yield the application and the address of a server on a free port, which ends with the block."""
    ended = threading.Event()
    with started_app(ServeOptions(path, **more)) as app, listen("127.0.0.1", 0) as listener:
        options = {"idle": 0.02, "is_used": lambda: not ended.is_set(), "bounds": bounds or Bounds(as_json=True)}
        thread = threading.Thread(target=serve, args=(app, listener), kwargs=options)
        thread.start()
        try:
            yield app, address_of(listener)
        finally:
            ended.set()
            thread.join()


@pytest.fixture(scope="session")
def client(model_file):
    """A client of a server with small limits."""
    with client_of(model_file, limits=Limits(body=200_000, pixels=1_000_000, photos=3)) as client:
        yield client
