"""Limits of time, memory and queue: each has its status, and later requests are answered."""

from __future__ import annotations

import http.client
import json
import socket
import threading

from regraft.serve.limits import Limits
from regraft.serve.served_model import ServedModel
from serve.conftest import photo, running

IMAGE = {"Content-Type": "image/jpeg"}


def post(address, content):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.request("POST", "/predict", content, IMAGE)
    answer = connection.getresponse()
    status, text, again = answer.status, json.loads(answer.read()), answer.headers["retry-after"]
    connection.close()
    return status, text.get("error"), again


def test_slow_bodies_and_full_memory(model_file):
    with running(model_file, limits=Limits(read_seconds=0.1, memory=20_000)) as (app, address):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as slow:
            slow.sendall(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nx")
            assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
        assert post(address, photo(1) + b"x" * 20_000) == (
            503,
            "the server has too many photos in memory; try again later",
            "1",
        )
        assert post(address, photo(1))[0] == 200
        assert app._memory.in_use == 0


def test_a_full_queue_and_a_late_answer(model_file, monkeypatch):
    may_answer, asked, usual = threading.Event(), threading.Event(), ServedModel.predict

    def predict(self, photos, *, alone):
        if photos[0].name != "trial":
            asked.set()
            assert may_answer.wait(60)
        return usual(self, photos, alone=alone)

    monkeypatch.setattr(ServedModel, "predict", predict)
    with running(model_file, limits=Limits(queue=1, seconds=0.5)) as (app, address):
        late = []
        first = threading.Thread(target=lambda: late.append(post(address, photo(1))))
        first.start()
        assert asked.wait(60)
        assert post(address, photo(1)) == (429, "too many photos wait for an answer; at most 1", "1")
        first.join()
        assert late == [(503, "the answer took more than 0.5 seconds", "1")]
        may_answer.set()
        assert post(address, photo(1))[0] == 200
        assert app._pipeline.unanswered == 0


def test_an_error_of_the_network_is_one_line_and_in_the_log(model_file, monkeypatch, capsys):
    usual = ServedModel.predict

    def predict(self, photos, *, alone):
        return usual(self, photos, alone=alone) if photos[0].name == "trial" else 1 / 0

    monkeypatch.setattr(ServedModel, "predict", predict)
    with running(model_file) as (_, address):
        assert post(address, photo(1)) == (500, "the request failed", None)
    assert capsys.readouterr().err.endswith("regraft: a request failed: ZeroDivisionError: division by zero\n")
