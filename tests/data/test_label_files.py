"""Files of labels that are no tables: exports of Label Studio, JSON and JSON lines; and files in place of a folder."""

from __future__ import annotations

import json

import pytest

from data.labeled import folder_of, labels_of, photo
from regraft.data.photo_places import photo_places
from regraft.data.selection import PhotoSelection
from regraft.data.source import find_photos, select_photos
from regraft.errors import ConfigError, PhotosError


def task(number, photo, *answers, **more):
    annotations = [
        {
            "id": 10 * number + i,
            "completed_by": i,
            "was_cancelled": False,
            "ground_truth": False,
            "result": [{"type": "choices", "from_name": "kind", "to_name": "image", "value": {"choices": [answer]}}],
        }
        for i, answer in enumerate(answers)
    ]
    return {"id": number, "data": {"image": photo}, "annotations": annotations, "predictions": [], **more}


def labels(tmp_path, value, **options):
    file = tmp_path / "export.json"
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    return select_photos(PhotoSelection(tmp_path / "photos", labels=file, **options))


@pytest.fixture
def photos(tmp_path):
    return folder_of(tmp_path / "photos", ["ants/a 1.jpg", "b.jpg", "c.jpg", "100%25+c.jpg"])


ADDRESSES = [
    ("/data/upload/3/ab12cd34-b.jpg", "b.jpg"),
    ("/data/upload/ab12cd34-b.jpg", "b.jpg"),
    ("/data/local-files/?d=ants%2Fa%201.jpg", "ants/a 1.jpg"),
    ("/data/local-files/?d=photos/ants/a%201.jpg", "ants/a 1.jpg"),
    ("http://localhost:8080/data/local-files/?d=ants/a 1.jpg", "ants/a 1.jpg"),
    ("/data/local-files/?d=100%2525+c.jpg", "100%25+c.jpg"),
    ("s3://bucket/somewhere/b.jpg", "b.jpg"),
    ("https://example.org/pictures/b.jpg?size=3", "b.jpg"),
    ("C:\\photos\\b.jpg", "b.jpg"),
]


@pytest.mark.parametrize(("address", "name"), ADDRESSES)
def test_addresses_of_label_studio_mean_photos(tmp_path, photos, address, name):
    source = labels(tmp_path, [task(1, address, "ant"), task(2, "c.jpg", "bee")])
    assert labels_of(source) == {name: "ant", "c.jpg": "bee"}


def test_annotators_that_agree_count_once(tmp_path, photos):
    source = labels(tmp_path, [task(1, "b.jpg", "ant", "ant"), task(2, "c.jpg", "bee")])
    assert labels_of(source) == {"b.jpg": "ant", "c.jpg": "bee"}


def test_annotators_that_disagree_are_refused_with_a_way_out(tmp_path, photos):
    value = [task(1, "b.jpg", "ant", "bee"), task(2, "c.jpg", "ant")]
    with pytest.raises(
        PhotosError, match=r"disagree about 1 task: task 1 \(ant, bee\)\n  mark the right annotation .* as ground truth"
    ):
        labels(tmp_path, value)
    value[0]["annotations"][1]["ground_truth"] = True
    assert labels_of(labels(tmp_path, value)) == {"b.jpg": "bee", "c.jpg": "ant"}


def test_canceled_annotations_and_open_tasks_are_left_out(tmp_path, photos):
    value = [task(1, "b.jpg", "ant"), task(2, "c.jpg", "bee"), task(3, "ants/a 1.jpg", "bee"), task(4, "ants/a 1.jpg")]
    value[2]["annotations"][0]["was_cancelled"] = True
    source = labels(tmp_path, value)
    assert labels_of(source) == {"b.jpg": "ant", "c.jpg": "bee"}
    assert "export.json: 2 tasks have no annotation, or only canceled ones, and are left out" in source.notes


def test_several_choices_in_one_annotation_are_refused(tmp_path, photos):
    value = [task(1, "b.jpg", "ant"), task(2, "c.jpg", "bee")]
    value[0]["annotations"][0]["result"][0]["value"]["choices"] = ["ant", "bee"]
    with pytest.raises(PhotosError, match=r"1 annotation has several choices: task 1 \(ant, bee\)"):
        labels(tmp_path, value)


def test_the_user_says_which_of_several_choices_is_the_class(tmp_path, photos):
    value = [task(1, "b.jpg", "ant"), task(2, "c.jpg", "bee")]
    for one, quality in zip(value, ["good", "bad"], strict=True):
        one["annotations"][0]["result"].append(
            {"type": "choices", "from_name": "quality", "value": {"choices": [quality]}}
        )
    with pytest.raises(PhotosError, match=r"several choices: kind, quality\n  --label-column NAME says which"):
        labels(tmp_path, value)
    assert set(labels_of(labels(tmp_path, value, label_column="quality")).values()) == {"good", "bad"}


def test_the_user_says_which_of_several_photos_is_meant(tmp_path, photos):
    value = [task(1, "b.jpg", "ant"), task(2, "c.jpg", "bee")]
    for one in value:
        one["data"]["reference"] = "ants/a 1.jpg"
    with pytest.raises(PhotosError, match=r"several photos: image, reference\n  --path-column NAME says which"):
        labels(tmp_path, value)
    assert labels_of(labels(tmp_path, value, path_column="image")) == {"b.jpg": "ant", "c.jpg": "bee"}


def small(number, photo, choice, annotator=1, **more):
    return {
        "image": photo,
        "id": number,
        "kind": choice,
        "annotator": annotator,
        "annotation_id": number,
        "lead_time": 1.5,
        **more,
    }


def test_the_small_format_of_label_studio(tmp_path, photos):
    value = [small(1, "/data/upload/1/ab12cd34-b.jpg", "ant"), small(1, "b.jpg", "ant", 2), small(2, "c.jpg", "bee")]
    assert labels_of(labels(tmp_path, value)) == {"b.jpg": "ant", "c.jpg": "bee"}
    value[1]["kind"] = {"choices": ["ant", "bee"]}
    with pytest.raises(PhotosError, match=r"several choices: task 1 \(ant, bee\)"):
        labels(tmp_path, value)


def test_the_csv_of_label_studio_is_a_table(tmp_path, photos):
    file = tmp_path / "export.csv"
    rows = ["image,id,choice,annotator,annotation_id,created_at,lead_time"]
    rows += ["/data/upload/1/ab12cd34-b.jpg,1,ant,1,1,2024,3.1", "/data/upload/1/ff12cd34-c.jpg,2,bee,1,2,2024,3.1"]
    file.write_text("\n".join(rows))
    assert labels_of(find_photos(photos, file)) == {"b.jpg": "ant", "c.jpg": "bee"}


def test_an_export_without_answers_is_refused(tmp_path, photos):
    with pytest.raises(PhotosError, match="none of the 1 tasks has a choice"):
        labels(tmp_path, [task(1, "b.jpg")])


def test_a_damaged_export_is_refused(tmp_path, photos):
    with pytest.raises(PhotosError, match="the export of Label Studio is damaged"):
        labels(tmp_path, [task(1, "b.jpg", "ant"), {"id": 2}])


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_json_has_an_object_for_each_photo(tmp_path, photos, suffix):
    rows = [{"file_name": "b.jpg", "label": "ant", "box": [1, 2]}, {"file_name": "c.jpg", "label": "bee", "box": []}]
    file = tmp_path / f"metadata{suffix}"
    file.write_text(json.dumps(rows) if suffix == ".json" else "\n".join(map(json.dumps, rows)))
    assert labels_of(find_photos(photos, file)) == {"b.jpg": "ant", "c.jpg": "bee"}


def test_a_problem_names_the_object(tmp_path, photos):
    value = [{"path": "b.jpg", "label": "ant"}, {"path": "gone.jpg", "label": "bee"}, {"path": "c.jpg", "label": "bee"}]
    with pytest.raises(PhotosError, match=r"object 2: no such file: gone\.jpg"):
        labels(tmp_path, value)


@pytest.mark.parametrize("text", ["{}", "[1, 2]", '{"images": [], "annotations": []}', "no JSON"])
def test_other_json_is_refused(tmp_path, photos, text):
    with pytest.raises(PhotosError, match=r"no labels of photos that regraft knows\n  expected   a list of objects"):
        labels(tmp_path, text)


@pytest.mark.parametrize("name", ["labels.csv", "labels.jsonl"])
def test_a_file_of_labels_in_place_of_a_folder_is_its_folder(tmp_path, photos, name):
    text = (
        "path,label\nb.jpg,ant\nc.jpg,bee\n"
        if name.endswith("csv")
        else '{"path": "b.jpg", "label": "ant"}\n{"path": "c.jpg", "label": "bee"}'
    )
    (photos / name).write_text(text)
    assert photo_places((photos / name,)) == ((photos,), photos / name)


def test_a_file_of_labels_stands_alone(tmp_path, photos):
    (photos / "labels.csv").write_text("path,label\n")
    with pytest.raises(ConfigError, match=r"labels\.csv is a file of labels; expected it alone"):
        photo_places((photos / "labels.csv", photos))


def test_the_xml_of_cvat_in_place_of_a_folder_is_its_export(tmp_path):
    (tmp_path / "annotations.xml").write_text("<?xml version='1.0'?><annotations></annotations>")
    assert photo_places((tmp_path / "annotations.xml",)) == ((tmp_path,), None)


def test_a_photo_at_an_address_is_read_there(tmp_path):
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    memory = fsspec.filesystem("memory")
    for name in ("ants/1.jpg", "bees/2.jpg"):
        memory.pipe_file(f"/labels-test/{name}", photo(1))
    value = [{"path": f"memory://labels-test/{name}", "label": name[:3]} for name in ("ants/1.jpg", "bees/2.jpg")]
    (tmp_path / "photos").mkdir()
    source = labels(tmp_path, value)
    assert labels_of(source) == {"labels-test/ants/1.jpg": "ant", "labels-test/bees/2.jpg": "bee"}
