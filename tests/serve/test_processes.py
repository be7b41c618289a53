"""`regraft serve` as processes: it finishes requests before it ends, takes a new model without losing one, and shares
a port among workers.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from exported_models import tiny_classifier
from regraft.cli.main import call
from regraft.web.server import listen
from serve.conftest import photo
from serve.test_same_bits import PHOTOS, ask, expected_of

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def server(model, *options):
    """Yield a server process and its address, when it answers."""
    words = [sys.executable, "-m", "regraft", "serve", str(model), "--port", "0", "--quiet", *options]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    try:
        line = process.stdout.readline().split()
        assert line, process.stderr.read()
        yield process, line
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def connection_to(address):
    return http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)


def test_a_stopping_server_finishes_what_it_has_begun_and_refuses_the_rest(model_file):
    content = photo(1)
    with server(model_file) as (process, (address,)):
        begun, idle = connection_to(address), connection_to(address)
        idle.request("GET", "/health")
        assert json.load(idle.getresponse())["ready"] is True
        begun.putrequest("POST", "/predict")
        begun.putheader("Content-Type", "image/jpeg")
        begun.putheader("Content-Length", str(len(content)))
        begun.endheaders()
        begun.send(content[:100])
        while 'regraft_body_bytes{worker="0"} 100' not in text_of(address, "/metrics"):
            pass
        process.send_signal(signal.SIGTERM)
        while (refused := status_of(idle))[0] == 200:
            pass
        assert refused == (503, {"error": "the server is stopping"})
        begun.send(content[100:])
        answer = begun.getresponse()
        assert answer.status == 200 and json.load(answer)["predictions"][0]["label"] in ("ant", "bee", "wasp")
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def text_of(address, path):
    connection = connection_to(address)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def status_of(connection):
    connection.request("POST", "/predict", photo(2), {"Content-Type": "image/jpeg"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_a_slow_sender_does_not_keep_a_server_from_ending(model_file):
    with server(model_file, "--stop-timeout", "0.5") as (process, (address,)):
        slow = connection_to(address)
        slow.putrequest("POST", "/predict")
        slow.putheader("Content-Length", "1000")
        slow.endheaders()
        slow.send(b"x")
        while 'regraft_body_bytes{worker="0"} 1' not in text_of(address, "/metrics"):
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        slow.close()


def test_a_replaced_model_is_taken_up_without_losing_a_request(tmp_path, model_file):
    place = tmp_path / "model.safetensors"
    shutil.copy(model_file, place)
    old = expected_of(place)
    tiny_classifier(seed=7).save(tmp_path / "new.safetensors")
    new = expected_of(tmp_path / "new.safetensors")
    answers, ended = [], threading.Event()

    def keep_asking(address):
        number = 0
        while not ended.is_set():
            number = (number + 1) % len(PHOTOS)
            answers.append((number, ask(address, [PHOTOS[number]])[0]))

    with server(place, "--workers", "2") as (process, (address,)):
        askers = [threading.Thread(target=keep_asking, args=(address,)) for _ in range(4)]
        for asker in askers:
            asker.start()
        (tmp_path / "new.safetensors").replace(place)
        while sum(answer == new[number] for number, answer in answers[-40:]) < 40:
            ended.wait(0.05)
        ended.set()
        for asker in askers:
            asker.join()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr.read().count("the changed model is in use now") == 2
    assert all(answer in (old[number], new[number]) for number, answer in answers)
    assert any(answer == old[number] for number, answer in answers)


def test_a_worker_that_dies_is_replaced(model_file):
    with server(model_file, "--workers", "2", "--token", "correct-horse") as (process, (address, token)):
        assert token == "correct-horse"
        children = children_of(process.pid)
        os.kill(children[0], signal.SIGKILL)
        line = process.stderr.readline()
        assert "ended with exit code -9; another one takes its place" in line
        while len(children_of(process.pid)) < 2:
            pass
        assert children[0] not in children_of(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        with pytest.raises(OSError):
            connection_to(address).connect()


def children_of(pid):
    """Return the processes that a process has started and that answer requests."""
    done = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, check=False, text=True)
    return sorted(int(line.split()[0]) for line in done.stdout.splitlines() if "spawn_main" in line)


@pytest.mark.parametrize("more", [[], ["--workers", "2"]])
def test_a_missing_model_and_a_port_in_use_are_one_message(tmp_path, model_file, capsys, more):
    with listen("127.0.0.1", 0) as other:
        port = str(other.getsockname()[1])
        assert call(["serve", str(model_file), "--port", port, *more]) == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in capsys.readouterr().err
    assert call(["serve", str(tmp_path / "none"), "--port", "0", *more]) == 2
    assert capsys.readouterr().err == f"regraft: no such run folder or model file: {tmp_path / 'none'}\n"
