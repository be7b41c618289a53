"""Settings of the process of a server, so that no request waits for the threads or the garbage of others."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import pytest
from PIL import Image

from regraft.serve import run_server
from regraft.serve.run_server import ServeOptions, serve_in_process
from regraft.web.server import listen

WORKER = """
import gc, json, sys
from multiprocessing import Pipe
from pathlib import Path
from regraft.serve import run_server, workers

def note(*_, **more):
    print(json.dumps({"skipped": gc.get_freeze_count(), "visited": len(gc.get_objects())}))

run_server.serve = note
here, there = Pipe()
workers._work(run_server.ServeOptions(Path(sys.argv[1]), port=0, workers=2), 0, 1, there)
"""


def test_threads_wait_less_for_each_other_while_a_server_runs(model_file, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # restored after the test
    seen = []
    monkeypatch.setattr(run_server, "serve", lambda *_, **__: seen.append(sys.getswitchinterval()))
    before = sys.getswitchinterval()
    with warnings.catch_warnings(), listen("127.0.0.1", 0) as listener:
        serve_in_process(ServeOptions(model_file, quiet=True), listener, 0, lambda: None)
    assert seen == [pytest.approx(0.001)] and sys.getswitchinterval() == before == pytest.approx(0.005)


@pytest.mark.slow
def test_collections_of_a_process_among_several_skip_imported_objects(model_file):
    done = subprocess.run([sys.executable, "-c", WORKER, str(model_file)], capture_output=True, text=True, check=True)
    objects = json.loads(done.stdout)
    assert objects["skipped"] > 4 * objects["visited"]
