"""`regraft predict`: photos, folders and patterns in; a table, CSV, JSON lines or one JSON object out."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil

import pytest
from rich.cells import cell_len

from cli.conftest import in_shell
from making import make_photos
from regraft.cli.copying import check_place
from regraft.cli.photo_arguments import expand
from regraft.errors import PhotosError, UserError


@pytest.fixture
def new(tmp_path):
    """A folder with photos, something hidden, something that is no photo, and a damaged photo."""
    folder = make_photos(tmp_path / "new", {"a": 3, "b": 2})
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.png").write_bytes((folder / "a" / "photo 000.png").read_bytes())
    (folder / "b" / "damaged.png").write_bytes((folder / "b" / "photo 000.png").read_bytes()[:400])
    return folder


def names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


def test_a_folder_means_the_photos_at_any_depth_in_it(new):
    assert names(expand([str(new)]), new) == [
        "a/photo 000.png", "a/photo 001.png", "a/photo 002.png", "b/damaged.png", "b/photo 000.png", "b/photo 001.png",
    ]  # fmt: skip


def test_a_pattern_that_no_shell_expanded_is_expanded(new):
    assert names(expand([str(new / "*" / "photo*1.png")]), new) == ["a/photo 001.png", "b/photo 001.png"]
    assert len(expand([str(new / "**" / "*.png")])) == 6


def test_a_photo_whose_name_looks_like_a_pattern_is_itself(new):
    odd = new / "a[01]*.png"
    shutil.copy(new / "a" / "photo 000.png", odd)
    assert expand([str(odd)]) == [odd]


def test_a_photo_named_twice_is_classified_once(new):
    assert len(expand([str(new / "a"), str(new / "a" / "photo 001.png"), str(new / "a")])) == 3


@pytest.mark.parametrize("out", [".", "sorted", "a/deep"])
def test_copies_do_not_go_into_the_photos(new, out):
    with pytest.raises(UserError, match="lies inside the photos"):
        check_place(new / out, [str(new)], expand([str(new)]))


def test_photos_are_not_among_the_copies(new):
    with pytest.raises(UserError, match=r"photo 000\.png lies inside --copy-to"):
        check_place(new, [str(new / "a" / "photo 000.png")], [new / "a" / "photo 000.png"])
    check_place(new / "sorted", [str(new / "a")], expand([str(new / "a")]))


def test_all_that_names_nothing_is_said_at_once(new):
    with pytest.raises(PhotosError, match=r"no such photo or folder: nowhere, none\*\.jpg"):
        expand([str(new), "nowhere", "none*.jpg"])
    (new / "empty").mkdir()
    with pytest.raises(PhotosError, match="no photos in "):
        expand([str(new / "empty")])


def test_csv_has_a_row_for_every_photo(regraft, trained, new):
    said = regraft("predict", trained.folder, new, "--format", "csv", "--top", 2)
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert said.code == 3 and len(rows) == 6
    assert list(rows[0]) == ["path", "label", "probability", "label_2", "probability_2", "error", "novelty", "doubt"]
    good = [row for row in rows if not row["error"]]
    assert len(good) == 5
    for row in good:
        assert {row["label"], row["label_2"]} <= {"ash", "birch", "cedar"}
        assert 0 <= float(row["probability_2"]) <= float(row["probability"]) <= 1
    (bad,) = [row for row in rows if row["error"]]
    assert bad["path"].endswith("damaged.png") and bad["label"] == "" and "truncated" in bad["error"]
    assert "1 of 6 photos could not be read" in said.err


def test_every_format_says_the_same(regraft, trained, new):
    lines = [json.loads(line) for line in regraft("predict", trained.folder, new, "--format", "jsonl").out.splitlines()]
    whole = json.loads(regraft("predict", trained.folder, new, "--json").out)
    rows = list(csv.DictReader(io.StringIO(regraft("predict", trained.folder, new, "--format", "csv").out)))
    table = regraft("predict", trained.folder, new).out.splitlines()
    assert whole["predictions"] == lines and whole["classes"] == ["ash", "birch", "cedar"]
    assert len(lines) == len(rows) == len(table) == 6
    for line, row, shown in zip(lines, rows, table, strict=True):
        assert line["path"] == row["path"] and shown.startswith(line["path"])
        assert line["label"] == (row["label"] or None)
        if line["label"]:
            assert float(row["probability"]) == pytest.approx(line["probability"], abs=1e-6)
            assert line["label"] in shown and len(line["top"]) == 1
        else:
            assert "not read: " in shown and line["error"] == row["error"]


def test_the_table_is_aligned_also_for_wide_characters(regraft, trained, new):
    shutil.copy(new / "a" / "photo 000.png", new / "a" / "写真 🌷.png")
    said = regraft("predict", trained.folder, new / "a")
    assert len({cell_len(line[: line.rindex("%")]) for line in said.out.splitlines()}) == 1


def test_more_than_all_classes_are_all_classes(regraft, trained, new):
    said = regraft("predict", trained.folder, new / "a", "--top", 99, "--format", "jsonl")
    assert [len(json.loads(line)["top"]) for line in said.out.splitlines()] == [3, 3, 3]
    assert "--top" in regraft("predict", trained.folder, new, "--top", 0).one_message()


def test_the_one_model_file_is_enough(regraft, trained, new, tmp_path):
    shutil.copy(trained.folder / "model.safetensors", tmp_path / "elsewhere.safetensors")
    there = regraft("predict", tmp_path / "elsewhere.safetensors", new, "--format", "csv").out
    assert there == regraft("predict", trained.folder, new, "--format", "csv").out


def test_quiet_says_the_answer_alone(regraft, trained, new):
    said = regraft("predict", trained.folder, new / "a", "--quiet", "--format", "csv")
    assert said.err == "" and len(said.out.splitlines()) == 4


def test_copies_are_sorted_and_said(regraft, trained, new, tmp_path):
    said = regraft("predict", trained.folder, new, "--copy-to", tmp_path / "sorted")
    assert said.code == 3 and f"copies   5 photos, in folders below {tmp_path / 'sorted'}" in said.err
    copies = list((tmp_path / "sorted").rglob("*.png"))
    assert len(copies) == 5
    placed = {p.relative_to(tmp_path / "sorted").parts[:-1] for p in copies}
    assert {label for label, _ in placed} <= {"ash", "birch", "cedar"} and {card for _, card in placed} <= {"a", "b"}
    assert len(list(new.rglob("*.png"))) == 7  # nothing was moved


def test_doubtful_photos_are_apart_and_repeating_leaves_as_many(regraft, trained, new, tmp_path):
    command = ("predict", trained.folder, new, "--copy-to", tmp_path / "sorted", "--unsure", "1")
    said = regraft(*command, "--format", "csv")
    assert said.code == 3 and "class" in said.err and "unsure" in said.err
    rows = list(csv.DictReader(io.StringIO(said.out)))
    doubts = [row["doubt"] for row in rows if not row["error"]]
    assert len(doubts) == 5 and set(doubts) <= {"unsure", "unlike"}
    assert all((float(row["novelty"]) > 1) == (row["doubt"] == "unlike") for row in rows if row["novelty"])
    copies = sorted((tmp_path / "sorted").rglob("*.png"))
    folders = [path.relative_to(tmp_path / "sorted").parts[0] for path in copies]
    assert sorted(folders) == sorted(doubts)
    assert regraft(*command).code == 3
    assert sorted((tmp_path / "sorted").rglob("*.png")) == copies


def test_copies_inside_the_photos_are_refused(regraft, trained, new):
    said = regraft("predict", trained.folder, new, "--copy-to", new / "sorted")
    assert said.code == 2 and "lies inside the photos" in said.one_message()
    assert not (new / "sorted").exists()


def test_a_photo_that_cannot_be_read_alone_is_a_mistake(regraft, trained, new):
    said = regraft("predict", trained.folder, new / "b" / "damaged.png")
    assert said.code == 3 and "the photo could not be read" in said.one_message()
    assert "not read: truncated" in said.out


@pytest.mark.parametrize("make", ["empty", "text", "cut", "foreign", "pickle"])
def test_a_bad_model_file_is_one_message(regraft, trained, new, tmp_path, make):
    path = tmp_path / "model.safetensors"
    whole = (trained.folder / "model.safetensors").read_bytes()
    if make == "foreign":
        import numpy as np
        import safetensors.numpy

        safetensors.numpy.save_file({"x": np.zeros(3, np.float32)}, path)
    else:
        path.write_bytes(
            {"empty": b"", "text": b"hello" * 99, "cut": whole[: len(whole) // 2], "pickle": b"\x80\x04."}[make]
        )
    said = regraft("predict", path, new)
    assert said.code == 2 and "model.safetensors" in said.one_message() and said.out == ""


def test_no_such_model_and_a_folder_that_is_no_run(regraft, new, tmp_path):
    assert "no such run folder or model file" in regraft("predict", tmp_path / "gone", new).one_message()
    assert "it is not a run folder" in regraft("predict", new, new).one_message()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_file_names_that_are_no_text_are_said_and_sorted(regraft, trained, tmp_path):
    photos = make_photos(tmp_path / "in", {"a": 1})
    odd = os.fsencode(tmp_path / "in") + b"/\xff\x1b[31m.png"
    os.rename(os.fsencode(photos / "a" / "photo 000.png"), odd)
    done = in_shell("predict", trained.folder, "in", "--format", "jsonl", "--copy-to", "out", cwd=tmp_path, LC_ALL="C")
    assert done.returncode == 0 and "\x1b" not in done.stdout + done.stderr
    assert os.fsencode(json.loads(done.stdout)["path"]) == b"in/\xff\x1b[31m.png"
    assert [os.fsencode(p.name) for p in (tmp_path / "out").rglob("*.png")] == [b"\xff\x1b[31m.png"]
    said = regraft("predict", trained.folder, tmp_path / "in")
    assert ".png" in said.out and "\x1b" not in said.out


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory, tiny):
    """A folder with files that a training by hand wrote, and the trainer."""
    import regraft as rg

    folder = tmp_path_factory.mktemp("by_hand")
    backbone = rg.build_backbone(tiny["backbone"], weights=tiny["weights"], size=tiny["size"])
    photos = rg.ImageFolder(make_photos(folder / "trees", {"ash": 12, "birch": 12}), network=backbone)
    trainer = rg.Trainer(rg.Classifier(backbone, photos.classes), "adam", "cross_entropy", learning_rate=0.05)
    best = [
        rg.callbacks.ModelCheckpoint(folder / name, save_best_only=True, save_weights_only=only)
        for name, only in (("best.safetensors", False), ("best.h5", True), ("best.pt", True))
    ]
    trainer.fit(photos, epochs=2, verbose=0, callbacks=best)
    trainer.module.save(folder / "model.safetensors")
    return folder, trainer


@pytest.mark.parametrize("name", ["model.safetensors", "best.safetensors", "best.h5", "best.pt"])
def test_what_a_training_by_hand_wrote_is_used_like_a_runs_model(regraft, by_hand, name):
    import regraft as rg

    folder, _ = by_hand
    said = regraft("predict", folder / name, folder / "trees", "--json")
    assert said.code == 0
    found = json.loads(said.out)
    assert found["classes"] == ["ash", "birch"]
    expected = rg.Predictor.load(folder / name).predict([one["path"] for one in found["predictions"]])
    assert [one["label"] for one in found["predictions"]] == [one.label for one in expected]
    measured = json.loads(regraft("evaluate", folder / name, folder / "trees", "--json").out)
    right = sum(one.path.split("/")[-2] == one.label for one in expected)
    assert measured["figures"]["accuracy"]["value"] == pytest.approx(right / 24)


def test_weights_without_classes_are_one_message_that_says_how_to_add_them(regraft, by_hand, tmp_path):
    import torch

    folder, trainer = by_hand
    torch.save(trainer.module.state_dict(), tmp_path / "state.pt")
    said = regraft("predict", tmp_path / "state.pt", folder / "trees")
    assert said.code == 2
    message = said.one_message()
    assert "contains the weights of a Classifier, but not its classes and its preprocessing" in message
    assert "Classifier.load(FILE, backbone=build_backbone(NAME), classes=[...]).save('model.safetensors')" in message
    torch.save(trainer.module, tmp_path / "whole.pt")
    assert "contains a whole Python object" in regraft("predict", tmp_path / "whole.pt", folder / "trees").one_message()


def test_a_run_with_callback_objects_is_refused_on_the_command_line(regraft, tiny, tmp_path):
    import regraft as rg
    from regraft.screen import QuietScreen

    photos = make_photos(tmp_path / "photos", {"ash": 20, "birch": 20})

    class Stop(rg.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rg.train(
            photos, out=tmp_path / "run", recipe="feature-extraction", epochs=2, split="60/20/20", callbacks=[Stop()],
            screen=QuietScreen(), **tiny,
        )  # fmt: skip
    for arguments in (("resume", tmp_path / "run"), ("train", "--config", tmp_path / "run" / "config.json")):
        said = regraft(*arguments)
        assert said.code == 2
        assert "callbacks were given to this training as objects" in said.one_message()


class Stdin:
    def __init__(self, data):
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"\0"])
def test_names_come_from_standard_input(regraft, trained, monkeypatch, separator):
    photos = sorted((trained.folder.parent / "trees" / "ash").iterdir())[:3]
    names = separator.join(str(path).encode() for path in photos) + separator
    monkeypatch.setattr("sys.stdin", Stdin(names))
    said = regraft("predict", trained.folder, "-", "--format", "csv")
    assert said.code == 0, said.err
    assert [row["path"] for row in csv.DictReader(io.StringIO(said.out))] == [str(path) for path in photos]


@pytest.mark.parametrize(
    ("data", "message"), [(b" \n", "one a line; there are none"), (b"\x89PNG\0\n\0x", "found something else")]
)
def test_standard_input_without_names(regraft, trained, monkeypatch, data, message):
    monkeypatch.setattr("sys.stdin", Stdin(data))
    assert message in regraft("predict", trained.folder, "-").one_message()


def test_an_address_is_refused(regraft, trained):
    said = regraft("predict", trained.folder, "https://example.org/cat.jpg")
    assert said.code == 2 and "is an address: regraft loads nothing from the network" in said.one_message()


@pytest.fixture
def hesitant(tmp_path):
    """A model file whose certified threshold is above the probability 0.5 of its every prediction."""
    from regraft.models.classifier import Classifier
    from regraft.models.zoo import build_backbone

    classifier = Classifier(build_backbone("test_resnet", pretrained=False, size=64), ["ant", "bee"])
    classifier.facts["reject_below"] = "0.9"
    classifier.save(tmp_path / "hesitant.safetensors")
    return tmp_path / "hesitant.safetensors"


def test_a_prediction_below_the_certified_threshold_is_unsure(regraft, hesitant, new):
    assert all(line.endswith("unsure") for line in regraft("predict", hesitant, new / "a").out.splitlines())
    rows = list(csv.DictReader(io.StringIO(regraft("predict", hesitant, new / "a", "--format", "csv").out)))
    assert {row["unsure"] for row in rows} == {"yes"} and {row["label"] for row in rows} == {"ant"}
    assert all(
        row["unsure"] for row in json.loads(regraft("predict", hesitant, new / "a", "--json").out)["predictions"]
    )
    lines = regraft("predict", hesitant, new / "a", "--format", "jsonl").out.splitlines()
    assert all(json.loads(line)["unsure"] is True for line in lines) and len(lines) == len(rows)


def test_without_a_threshold_nothing_is_said_about_it(regraft, trained, new):
    assert "unsure" not in regraft("predict", trained.folder, new, "--format", "csv").out
    assert "unsure" not in regraft("predict", trained.folder, new, "--format", "jsonl").out
