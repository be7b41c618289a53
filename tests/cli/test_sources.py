"""`regraft` with photos and labels where other programs keep them: storage, shards, exports, and files of labels."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import fsspec
import pytest

from data.labeled import tar_of, zip_of
from making import make_photos


@pytest.fixture
def words(tiny):
    return ["--recipe", "linear-probe", *(word for name, value in tiny.items() for word in (f"--{name}", value))]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("sources") / "trees", {"ash": 8, "birch": 8})


def files(photos):
    return {path.relative_to(photos).as_posix(): path.read_bytes() for path in sorted(photos.rglob("*.png"))}


def in_storage(photos, tmp_path):
    memory, name = fsspec.filesystem("memory"), tmp_path.name
    for path, data in files(photos).items():
        memory.pipe_file(f"/{name}/trees/{path}", data)
    return f"memory://{name}/trees"


def archive_in_storage(photos, tmp_path):
    file = zip_of(tmp_path / "trees.zip", files(photos))
    fsspec.filesystem("memory").pipe_file(f"/{tmp_path.name}/trees.zip", file.read_bytes())
    return f"memory://{tmp_path.name}/trees.zip"


def shards(photos, tmp_path):
    members = {}
    for number, (path, data) in enumerate(files(photos).items()):
        members |= {f"{number:04}.png": data, f"{number:04}.cls": path.partition("/")[0].encode()}
    return tar_of(tmp_path / "trees-0000.tar", members)


def label_studio(photos, tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    tasks = []
    for number, (path, data) in enumerate(files(photos).items()):
        label, _, name = path.partition("/")
        (folder / f"{label}-{name}").write_bytes(data)
        result = [{"type": "choices", "from_name": "tree", "to_name": "image", "value": {"choices": [label]}}]
        address = f"/data/upload/1/{number:08x}-{label}-{name}"
        tasks.append({"id": number, "data": {"image": address}, "annotations": [{"result": result}]})
    (folder / "project.json").write_text(json.dumps(tasks))
    return folder / "project.json"


def table(photos, tmp_path):
    text = "".join(f"{photos / path},{path.partition('/')[0]}\n" for path in files(photos))
    (tmp_path / "labels.csv").write_text(f"path,label\n{text}")
    return tmp_path / "labels.csv"


def weights(run):
    return (run / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def expected(photos, tiny, tmp_path_factory):
    """The weights of the run on the folder itself."""
    from regraft.screen import QuietScreen
    from regraft.workflows.train import train

    out = tmp_path_factory.mktemp("expected") / "run"
    train(photos, out=out, recipe="linear-probe", screen=QuietScreen(), **tiny)
    return weights(out)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "source",
    [in_storage, label_studio, *(pytest.param(one, marks=SLOW) for one in (archive_in_storage, shards, table))],
)
def test_every_source_gives_the_weights_of_the_folder(regraft, photos, words, expected, tmp_path, source):
    place, run = source(photos, tmp_path), tmp_path / "run"
    said = regraft("train", place, *words, "-o", run)
    assert said.code == 0, said.err
    assert weights(run) == expected
    rows = list(csv.DictReader((run / "manifest.csv").open(encoding="utf-8")))
    assert len({row["content"] for row in rows if row["status"] == "ok"}) == 16
    assert "has this result already" in regraft("train", place, *words, "-o", run).out
    config = json.loads((run / "config.json").read_text())
    assert config["photos"].startswith("memory://") or Path(config["photos"]).is_absolute()


@pytest.mark.parametrize("source", [shards, *(pytest.param(one, marks=SLOW) for one in (in_storage, label_studio))])
def test_the_other_commands_read_it_too(regraft, photos, words, tmp_path, source):
    place, run = source(photos, tmp_path), tmp_path / "run"
    sides = ["--split", "50/25/25", "--recipe", "feature-extraction", "--epochs", "1"]
    assert regraft("train", place, *words[2:], *sides, "-o", run).code == 0
    said = regraft("evaluate", run, "--split", "test", "--json")
    assert said.code == 0, said.err
    measured = json.loads(said.out)
    assert json.loads(regraft("evaluate", run, place, "--json", "--include-training").out)["n"] == 16
    assert measured["n"] == sum(row["split"] == "test" for row in csv.DictReader((run / "manifest.csv").open()))
    checked = regraft("check", place, *words[2:], "--json")
    assert checked.code == 0, checked.err
    assert json.loads(checked.out)["classes"] == {"ash": 8, "birch": 8}
    assert regraft("check", run, "--json").code == 0


def test_photos_in_storage_are_predicted(regraft, photos, words, tmp_path):
    address, run = in_storage(photos, tmp_path), tmp_path / "run"
    assert regraft("train", photos, *words, "-o", run).code == 0
    said = regraft("predict", run, address, f"{address}/ash/photo 000.png", "--format", "csv")
    assert said.code == 0, said.err
    rows = list(csv.DictReader(said.out.splitlines()))
    assert [row["path"] for row in rows][:1] == [f"{address}/ash/photo 000.png"]
    assert len(rows) == 16
    local = list(csv.DictReader(regraft("predict", run, photos, "--format", "csv").out.splitlines()))
    assert [row["label"] for row in rows] == [row["label"] for row in local]
    assert [row["probability"] for row in rows] == [row["probability"] for row in local]


def test_an_address_in_the_web_is_refused(regraft, words):
    said = regraft("train", "https://example.org/photos.zip", *words)
    assert said.code == 2
    assert "https://example.org/photos.zip: regraft loads nothing from the web" in said.err


@pytest.mark.slow
def test_a_run_continues_where_the_photos_have_moved_to_storage(regraft, photos, words, tmp_path):
    run = tmp_path / "run"
    sides = ["--split", "50/25/25", "--recipe", "feature-extraction", "--epochs", "1"]
    copied = make_photos(tmp_path / "trees", {"ash": 8, "birch": 8})
    assert regraft("train", copied, *words[2:], *sides, "-o", run).code == 0
    address = in_storage(copied, tmp_path)
    copied.rename(tmp_path / "gone")
    said = regraft("evaluate", run, "--split", "test", "--photos", address, "--json")
    assert said.code == 0, said.err
