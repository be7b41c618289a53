"""Decisions of the user: reading, writing, and their effect on the manifest alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from regraft.data.decisions import Decision, apply_decisions, read_decisions, write_decisions
from regraft.data.manifest import Entry, Manifest
from regraft.errors import PhotosError


def manifest() -> Manifest:
    names = ("ash/1.jpg", "ash/2.jpg", "birch/1.jpg", "birch/2.jpg", "cedar/1.jpg")
    entries = [Entry(name, Path(name), f"{i:064x}", name.split("/")[0]) for i, name in enumerate(names)]
    return Manifest(Path("garden"), ("ash", "birch", "cedar"), entries)


def written(folder: Path, text: str) -> Path:
    file = folder / "decisions.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_written_decisions_are_read_back(tmp_path: Path) -> None:
    decisions = [
        Decision("ash/1.jpg", "keep", why="looks, right"),
        Decision("ash/é 2.jpg", "drop", why='a "copy"'),
        Decision("birch/1.jpg", "relabel", "ash", ""),
    ]
    write_decisions(tmp_path / "decisions.csv", decisions)
    assert read_decisions(tmp_path / "decisions.csv") == decisions


def test_the_last_row_about_a_photo_wins_and_forms_are_accepted(tmp_path: Path) -> None:
    text = "\ufeffPath, Decision\nash\\1.jpg,drop\n\nash/1.jpg, RELABEL:birch,why not\n"
    assert read_decisions(written(tmp_path, text)) == [Decision("ash/1.jpg", "relabel", "birch", "why not")]


def test_all_invalid_rows_are_listed(tmp_path: Path) -> None:
    text = "path,decision,why\na.jpg,remove,\nb.jpg,relabel,\nc.jpg\nd.jpg,keep:ash,\ne.jpg,keep,\n"
    with pytest.raises(PhotosError, match=r"decisions\.csv: 4 problems\n") as caught:
        read_decisions(written(tmp_path, text))
    assert str(caught.value).splitlines()[1:] == [
        "  row 2: unknown decision 'remove'; expected keep, drop, relabel:CLASS",
        "  row 3: decision 'relabel': relabel needs a class, as in relabel:tulip",
        "  row 4: expected path,decision,why",
        "  row 5: decision 'keep:ash': keep takes no class",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"its first line must be path,decision,why, not empty"),
        (b"when,decision\n", r"its first line must be path,decision,why, not when,decision"),
        (b"file,label\na.jpg,x\n", r"not file,label\n  it looks like labels: --labels .*decisions\.csv"),
        (b"path,decision\n\xff\xf0\xf1,drop\n", r"line 2 is not UTF-8"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "decisions.csv"
    file.write_bytes(data)
    with pytest.raises(PhotosError, match=message):
        read_decisions(file)
    with pytest.raises(PhotosError, match=r"no such file of decisions: .*missing\.csv"):
        read_decisions(tmp_path / "missing.csv")


def test_decisions_change_labels_statuses_and_classes_of_the_manifest() -> None:
    photos = manifest()
    decisions = [
        Decision("ash/1.jpg", "keep"),
        Decision("ash/2.jpg", "relabel", "birch", "leaves"),
        Decision("cedar/1.jpg", "drop"),
        Decision("elm/1.jpg", "drop"),
    ]
    notes = apply_decisions(photos, decisions, Path("decisions.csv"))
    assert notes == ("decisions.csv: 1 decision about missing photos, such as elm/1.jpg",)
    assert [(e.label, e.status, e.why) for e in photos.entries] == [
        ("ash", "ok", ""),
        ("birch", "ok", "relabelled from ash by decisions.csv: leaves"),
        ("birch", "ok", ""),
        ("birch", "ok", ""),
        ("cedar", "put aside", "dropped by decisions.csv"),
    ]
    assert photos.classes == ("ash", "birch")


def test_a_decision_does_not_revive_an_unusable_photo() -> None:
    photos = manifest()
    photos.set_aside(photos.entries[0], "truncated")
    assert apply_decisions(photos, [Decision("ash/1.jpg", "relabel", "birch")], Path("decisions.csv")) == ()
    assert (photos.entries[0].label, photos.entries[0].why) == ("ash", "truncated")


def test_an_unknown_class_is_an_error_and_nothing_is_changed() -> None:
    photos = manifest()
    decisions = [Decision("ash/1.jpg", "drop"), Decision("ash/2.jpg", "relabel", "brich")]
    with pytest.raises(PhotosError, match=r"ash/2\.jpg: no class 'brich'; did you mean 'birch'\?"):
        apply_decisions(photos, decisions, Path("decisions.csv"))
    assert photos == manifest()


@pytest.mark.parametrize(
    "text",
    [
        "Datei;Decision;Why\nASH/1.JPG;drop;blurred\nbirch\\2.jpg;relabel:ash;\n",
        "path\tdecision\nC:\\garden\\ash\\1.jpg\tdrop\ngarden/birch/2.jpg\trelabel:ash\n",
        "id,decision\nash/1,drop\nbirch/2,relabel:ash\n",
    ],
)
def test_decisions_name_photos_as_tables_of_labels_do(tmp_path: Path, text: str) -> None:
    photos = manifest()
    file = tmp_path / "decisions.csv"
    file.write_bytes(text.encode("utf-16"))
    assert apply_decisions(photos, read_decisions(file), file) == ()
    assert [(e.label, e.status) for e in photos.entries] == [
        ("ash", "put aside"), ("ash", "ok"), ("birch", "ok"), ("ash", "ok"), ("cedar", "ok"),
    ]  # fmt: skip
