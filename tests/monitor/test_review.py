"""Reviews: the most useful photo first, each decision saved before it is answered, only valid ones."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from chromium import wait_until
from making import make_photos
from monitor.conftest import HERE
from regraft.data.source import find_photos
from regraft.inference.prediction import Prediction
from regraft.monitor.predicted_items import decisions_of_labels, items_of_predictions, read_labels, write_labels
from regraft.monitor.review_app import review_app
from regraft.monitor.review_items import Review, items_of_check

CLASSES = ["<b>花", *(f"class {k}" for k in range(9))]
LABELS = {"ant/photo 000.png": "ant", "ant/photo 001.png": "ant", "bee/photo 000.png": "bee"}


def check_of(photos):
    def finding(kind, names, suggestion=""):
        return {"kind": kind, "level": "warning", "photos": names, "words": f"<{kind}>", "suggestion": suggestion}

    names = list(LABELS)
    findings = [
        finding("few photos", []),
        finding("outlier", [names[2], names[0]]),
        finding("near copies", names[:2]),
        finding("wrong label", [names[1]], "bee"),
    ]
    return {
        "photos": str(photos),
        "findings": findings,
        "labels": LABELS,
        "classes": {"ant": 2, "bee": 1, **dict.fromkeys(CLASSES, 1)},
    }


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "photos", {"ant": 2, "bee": 1})


@pytest.fixture
def review(photos):
    check = check_of(photos)
    review = Review(
        items_of_check(check), sorted(check["classes"]), {"other.png": "drop"}, lambda made: saved.append(dict(made))
    )
    review.saved = saved = []
    return review


@pytest.fixture
def client(review, tmp_path):
    app = review_app(review, "Review of <b>", tmp_path / "decisions.csv")
    return TestClient(app, base_url=HERE, client=("127.0.0.1", 5000))


def test_wrong_labels_come_first_and_each_photo_once(photos):
    items = items_of_check(check_of(photos))
    assert [(item.name, item.kind) for item in items] == [
        ("ant/photo 001.png", "wrong label"),
        ("ant/photo 000.png", "near copies"),
        ("bee/photo 000.png", "outlier"),
    ]
    assert items[0].suggestion == "bee" and items[1].others == (photos / "ant/photo 001.png",)


def test_decisions_are_saved_whole_and_earlier_ones_stay(review):
    review.decide(0, "relabel:bee")
    review.decide(1, "drop")
    review.decide(1, "")
    assert review.saved[1] == {"other.png": "drop", "ant/photo 001.png": "relabel:bee", "ant/photo 000.png": "drop"}
    assert review.saved[2] == {"other.png": "drop", "ant/photo 001.png": "relabel:bee"}
    assert [item["decision"] for item in review.as_json()["items"]] == ["relabel:bee", "", ""]


@pytest.mark.parametrize(
    ("number", "decision", "message"),
    [
        (3, "keep", "there is no photo 3"),
        (-1, "keep", "there is no photo -1"),
        (0, "relabel:cat", "unknown decision 'relabel:cat'"),
        (0, "keep:x", "unknown decision 'keep:x'"),
    ],
)
def test_an_invalid_decision_is_an_error(review, number, decision, message):
    with pytest.raises(ValueError, match=message):
        review.decide(number, decision)
    assert review.saved == []


def test_a_decision_that_cannot_be_saved_is_not_recorded(review, client, monkeypatch):
    def full(decisions):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(review, "_save", full)
    answer = client.post("/decide", json={"item": 0, "decision": "drop"})
    assert (answer.status_code, answer.text) == (507, "not saved: No space left on device\n")
    assert review.as_json()["items"][0]["decision"] == ""


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"item": true, "decision": "drop"}', b'{"item": 0}', b"[" * 9999, b"\xff"]
)
def test_other_bodies_are_refused(review, client, body):
    assert client.post("/decide", content=body).status_code == 400 and review.saved == []


def test_other_pages_cannot_decide(review, client):
    answer = client.post("/decide", json={"item": 0, "decision": "drop"}, headers={"origin": "http://evil"})
    assert answer.status_code == 403 and review.saved == []


def test_photos_are_those_of_the_review(client):
    assert client.get("/photos/0").content[:2] == b"\xff\xd8" == client.get("/photos/1/0").content[:2]
    for path in ("3", "-1", "x", "0/9", "0/x", "%2e%2e", "../../etc/passwd", "9" * 20):
        assert client.get(f"/photos/{path}").status_code == 404


def test_a_class_has_a_key_and_of_many_classes_the_likely_ones(photos):
    check = check_of(photos)
    many = [f"class {k:02}" for k in range(20)] + ["ant", "bee"]
    first = Review(items_of_check(check), many, {}, print).as_json()["items"][0]
    assert first["keys"] == ["bee", "ant", *many[:7]]
    assert Review(items_of_check(check), ["ant", "bee"], {}, print).as_json()["items"][0]["keys"] == ["ant", "bee"]


def prediction(path, *top):
    return Prediction(
        str(path), top[0][0] if top else None, top[0][1] if top else None, top, None if top else "damaged"
    )


def test_predicted_photos_the_least_certain_first_become_labels_that_train_reads(tmp_path, photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"photos/{name}" for name in LABELS]
    rows = [
        prediction(names[0], ("ant", 0.9), ("bee", 0.1)),
        prediction(names[1], ("bee", 0.6), ("ant", 0.4)),
        prediction(names[2], ("bee", 0.8), ("ant", 0.2)),
        prediction("photos/damaged.png"),
    ]
    items = items_of_predictions(rows)
    assert [item.name for item in items] == [names[1], names[2], names[0]]
    assert items[0].words == "bee 60.0 % · ant 40.0 %"
    file = tmp_path / "reviewed.csv"
    decisions = {names[0]: "keep", names[1]: "relabel:ant", names[2]: "drop"}
    write_labels(file, items, decisions, {"/elsewhere/a.png": "ant"})
    assert file.read_text(encoding="utf-8") == f"path,label\n/elsewhere/a.png,ant\n{names[1]},ant\n{names[0]},ant\n"
    assert decisions_of_labels(read_labels(file), items) == {names[0]: "keep", names[1]: "relabel:ant"}
    write_labels(file, items, decisions, {})
    labeled = find_photos(photos, file, one_class=True)
    assert {photo.path.name: photo.label for photo in labeled.photos} == {
        "photo 001.png": "ant",
        "photo 000.png": "ant",
    }


def test_a_review_in_the_browser_by_keys(review, tmp_path, page):
    import threading

    from regraft.monitor.review_app import serve_review

    addresses, ready = [], threading.Event()
    opened = lambda address: (addresses.append(address), ready.set())  # noqa: E731
    server = threading.Thread(target=serve_review, args=(review, "Review of <b>", tmp_path / "decisions.csv", opened))
    server.start()
    ready.wait()
    page.goto(addresses[0])
    page.get_by_text("0 of 3 decided").wait_for()
    assert page.text_content("#question") == "Labeled ant. Is it bee?" and page.text_content("h1") == "Review of <b>"
    wait_until(page, "() => document.querySelector('#photo').naturalWidth > 0")
    page.keyboard.press("Enter")
    page.get_by_text("1 of 3 decided").wait_for()
    page.keyboard.press("u")
    page.get_by_text("0 of 3 decided").wait_for()
    page.keyboard.press("2")  # bee, ant …
    page.get_by_text("1 of 3 decided").wait_for()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("d")
    page.get_by_text("2 of 3 decided").wait_for()
    page.fill("#other", "<b>花")
    page.keyboard.press("Tab")
    page.get_by_text("All photos are decided.").wait_for()
    assert review.saved[0]["ant/photo 001.png"] == "relabel:bee" and "ant/photo 001.png" not in review.saved[1]
    assert review.saved[-1] == {
        "other.png": "drop",
        "ant/photo 001.png": "keep",
        "bee/photo 000.png": "drop",
        "ant/photo 000.png": "relabel:<b>花",
    }
    page.get_by_role("button", name="End the review").click()
    server.join()
