"""Requests for predictions: answers are those of `regraft predict --json`, and each error is one line of JSON."""

from __future__ import annotations

import json

import pytest

import regraft as rg
from regraft.inference.prediction_json import as_json
from serve.conftest import client_of, photo

IMAGE = {"content-type": "image/jpeg"}


def expected(model_file, content, top=5):
    prediction = rg.Predictor.load(model_file, fastest=True).predict(content)
    return json.loads(json.dumps(as_json(prediction, top, threshold=False))) | {"path": None}


def without_name(prediction):
    return prediction | {"path": None}


def test_a_photo_as_the_body_gets_the_answer_of_the_predictor_to_the_bit(client, model_file):
    for headers in (IMAGE, {"content-type": "application/octet-stream"}, {}):
        answer = client.post("/predict", content=photo(1), headers=headers)
        assert answer.status_code == 200 and answer.text.count("\n") == 1
        assert answer.json()["classes"] == ["ant", "bee", "wasp"]
        assert [without_name(one) for one in answer.json()["predictions"]] == [expected(model_file, photo(1))]


def test_a_form_has_several_photos_with_their_names(client, model_file):
    files = [("photos", ("a.jpg", photo(1))), ("photos", ("ü.png", photo(2, form="PNG"))), ("photos", photo(3))]
    answer = client.post("/predict?top=2", files=files)
    predictions = answer.json()["predictions"]
    assert [one["path"] for one in predictions] == ["a.jpg", "ü.png", "upload"]
    contents = [photo(1), photo(2, form="PNG"), photo(3)]
    assert list(map(without_name, predictions)) == [expected(model_file, one, 2) for one in contents]


def form(*parts, boundary="x", end="--x--\r\n"):
    text = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return (text + end).encode("latin-1")


FORM = {"content-type": "multipart/form-data; boundary=x"}
PART = 'Content-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'


@pytest.mark.parametrize(
    ("request_of", "status", "text"),
    [
        ({"content": b"no photo", "headers": IMAGE}, 400, "the photo cannot be used: not a photo: text"),
        ({"content": b"", "headers": IMAGE}, 400, "expected a photo, found an empty body"),
        ({"content": photo(1)[:300], "headers": IMAGE}, 400, "the photo cannot be used: "),
        ({"files": [("photos", ("a", photo(1))), ("photos", ("b.txt", b"x"))]}, 400, "photo 2 of 2, b.txt, cannot be"),
        ({"files": [("image", photo(1))]}, 400, "expected a form with files in the field photos; found image"),
        ({"content": form(), "headers": FORM}, 400, "expected a form with files in the field photos; found none"),
        ({"content": form(PART + "x", end=""), "headers": FORM}, 400, "the form is damaged: it has no end"),
        ({"content": b"--y", "headers": FORM}, 400, "the form is damaged: "),
        ({"content": form("A: b\r\n" * 20 + PART), "headers": FORM}, 400, "the form is damaged: "),
        ({"content": b"", "headers": {"content-type": "multipart/form-data"}}, 400, "Content-Type has a boundary"),
        ({"files": [("photos", photo(1))] * 4}, 413, "the form has too many photos; at most 3"),
        ({"content": b"x" * 200_001, "headers": IMAGE}, 413, "the body is too large; at most 200,000 bytes"),
        ({"content": photo(0, 1001, 1000), "headers": IMAGE}, 413, "it has 1,001 × 1,000 pixels"),
        (
            {"json": {"photos": []}},
            415,
            "or a form (multipart/form-data) with the field photos, found application/json",
        ),
        ({"data": {"photos": "x"}}, 415, "found application/x-www-form-urlencoded"),
    ],
)
def test_a_wrong_request_gets_one_line_of_json(client, request_of, status, text):
    answer = client.post("/predict", **request_of)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert text in answer.json()["error"] and answer.text.count("\n") == 1


@pytest.mark.parametrize("top", ["0", "x", "-1", "1e3", "²", "", "9999999"])
def test_the_number_of_classes_is_in_a_range(client, top):
    answer = client.post("/predict", params={"top": top}, content=photo(1), headers=IMAGE)
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        f"top: expected a number from 1 to 999,999, found {top!r}",
    )


def test_other_addresses_methods_and_hosts_are_errors_in_json(client):
    for method, path, status in (("GET", "/nothing", 404), ("GET", "/predict", 405), ("DELETE", "/health", 405)):
        answer = client.request(method, path)
        assert answer.status_code == status and list(answer.json()) == ["error"]
    assert client.get("/predict").json() == {"error": "expected the method POST, found GET"}
    assert client.put("/health").json() == {"error": "expected the method GET or HEAD, found PUT"}
    refused = client.post("/predict", headers={"host": "evil.example"})
    assert refused.status_code == 403 and "host name" in refused.json()["error"]
    refused = client.post("/predict", headers={"origin": "http://evil.example"})
    assert refused.status_code == 403 and "other web pages" in refused.json()["error"]


def test_a_server_with_a_token_answers_those_who_have_it(model_file):
    with client_of(model_file, host="0.0.0.0", token="correct-horse", names=("photos.example.org",)) as client:
        for headers in ({}, {"authorization": "Bearer wrong-horse"}):
            refused = client.post("/predict", content=photo(1), headers=headers)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert "Authorization: Bearer TOKEN" in refused.json()["error"]
        for headers in ({}, {"host": "photos.example.org", "origin": "https://photos.example.org"}):
            allowed = {**headers, "authorization": "Bearer correct-horse"}
            assert client.post("/predict", content=photo(1), headers=allowed).status_code == 200
        other = {"host": "other.example.org", "authorization": "Bearer correct-horse"}
        assert client.post("/predict", content=photo(1), headers=other).status_code == 403


def test_health_figures_and_description(client, model_file):
    import hashlib

    client.post("/predict", content=photo(1), headers=IMAGE)
    health = client.get("/health").json()
    assert health["ready"] and health["refused_replacement"] is None and health["waiting"] == 0
    assert health["model"]["sha256"] == hashlib.sha256(model_file.read_bytes()).hexdigest()
    lines = client.get("/metrics").text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    answered = int(values['regraft_requests_total{worker="0",status="200"}'])
    assert answered >= 2 and values['regraft_ready{worker="0"}'] == "1"
    assert int(values['regraft_request_seconds_count{worker="0"}']) >= 1
    assert (
        values['regraft_request_seconds_bucket{worker="0",le="+Inf"}']
        == values['regraft_request_seconds_count{worker="0"}']
    )
    description = client.get("/openapi.json").json()
    answer = client.post("/predict", content=photo(1), headers=IMAGE).json()
    schema = description["components"]["schemas"]["Prediction"]
    assert set(schema["required"]) == set(answer["predictions"][0]) <= set(schema["properties"])
    assert {"/predict", "/health", "/metrics"} == set(description["paths"])
