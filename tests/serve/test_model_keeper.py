"""A file of a model that changes while the server runs."""

from __future__ import annotations

import gc
import hashlib
import shutil
import time
import weakref

import pytest

from regraft import process
from regraft.errors import ServerError
from regraft.serve import model_keeper
from regraft.serve.limits import Limits
from regraft.serve.metrics import Metrics
from regraft.serve.model_keeper import ModelKeeper
from regraft.serve.pipeline import Pipeline
from regraft.serve.run_server import ServeOptions, started_app
from regraft.serve.served_model import load_served_model
from serve.conftest import client_of, photo, tiny_classifier


@pytest.fixture
def place(tmp_path, model_file, monkeypatch):
    monkeypatch.setattr(model_keeper, "CHECK_EVERY", 3600)  # the test looks by itself
    shutil.copy(model_file, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def answer(client):
    return client.post("/predict", content=photo(1), headers={"content-type": "image/jpeg"})


def look(client):
    client.app._keeper.look(client.app._pipeline)


def test_a_new_file_takes_over_and_a_broken_one_does_not(place, tmp_path, capsys):
    tiny_classifier(seed=1).save(tmp_path / "new.safetensors")
    with client_of(place) as client:
        first = answer(client)
        first_model = weakref.ref(client.app._pipeline.model)
        (tmp_path / "new.safetensors").replace(place)
        assert answer(client).json() == first.json()
        look(client)
        second = answer(client)
        assert second.json()["predictions"][0]["top"] != first.json()["predictions"][0]["top"]
        assert second.headers["x-model"] == hashlib.sha256(place.read_bytes()).hexdigest()
        gc.collect()
        assert first_model() is None  # its memory is free again
        assert client.get("/health").json()["model"]["sha256"] == second.headers["x-model"]
        for broken, why in ((b"broken", "is not a usable model file"), (None, "no such run folder or model file")):
            if broken is None:
                place.unlink()
            else:
                place.write_bytes(broken)
            look(client)
            assert answer(client).json() == second.json()
            health = client.get("/health").json()
            assert health["ready"] and why in health["refused_replacement"]
            assert str(place) in health["refused_replacement"]
        tiny_classifier().save(place)
        look(client)
        assert answer(client).json() == first.json()
        assert client.get("/health").json()["refused_replacement"] is None
    messages = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in messages if "changed model" in line] == [
        " the changed model is in use now",
        " the changed model is refused, and the one in use stays",
        " the changed model is refused, and the one in use stays",
        " the changed model is in use now",
    ]
    assert sum("the network runs on" in line for line in messages) == 3  # at the start, and of each new model


def test_a_file_with_the_same_content_changes_nothing(place, capsys):
    with client_of(place) as client:
        model = client.app._pipeline.model
        capsys.readouterr()
        place.touch()
        place.write_bytes(place.read_bytes())
        look(client)
        assert client.app._pipeline.model is model
    assert capsys.readouterr().err == ""


def test_a_server_without_a_usable_model_does_not_start(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with (
        pytest.raises(ServerError, match=r"model\.safetensors is not a usable model file"),
        started_app(ServeOptions(tmp_path / "model.safetensors", limits=Limits())),
    ):
        pass


def test_a_replaced_model_is_freed_though_collections_skip_it(place, tmp_path, monkeypatch):
    monkeypatch.setattr(model_keeper, "CHECK_EVERY", 0.01)
    monkeypatch.setattr(process, "_CLAIMED", [True])
    tiny_classifier(seed=1).save(tmp_path / "new.safetensors")

    def load():
        return load_served_model(place, device="cpu", max_pixels=1_000_000)

    keeper = ModelKeeper(place, load, lambda _: None)
    pipeline = Pipeline(load(), Metrics(), decoders=1, runners=1, queue_limit=9)
    first_model = weakref.ref(pipeline.model)
    object.__setattr__(pipeline.model, "itself", pipeline.model)  # as a network may have
    try:
        process.skip_present_objects()
        keeper.start(pipeline)
        (tmp_path / "new.safetensors").replace(place)
        by = time.monotonic() + 60
        while first_model() is not None and time.monotonic() < by:
            time.sleep(0.01)
        assert (first_model(), keeper.refused) == (None, None)
    finally:
        keeper.close()
        pipeline.close()
        gc.unfreeze()
