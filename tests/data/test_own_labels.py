"""Labels that are stored with the photos: shards of WebDataset, and exports of CVAT as folders and archives."""

from __future__ import annotations

import json

import pytest

from data.labeled import folder_of, labels_of, photo, tar_of, zip_of
from regraft.data.manifest import scan
from regraft.data.selection import PhotoSelection
from regraft.data.source import find_photos, select_photos
from regraft.errors import ConfigError, PhotosError


def shard(path, count=4, start=0, **more):
    members = {}
    for i in range(start, start + count):
        members[f"{i:05}.jpg"] = photo(i)
        members[f"{i:05}.cls"] = str(i % 2).encode()
    return tar_of(path, members | more)


def test_a_shard_of_webdataset_has_its_classes(tmp_path):
    source = find_photos(shard(tmp_path / "train.tar"))
    assert labels_of(source) == {"00000.jpg": "0", "00001.jpg": "1", "00002.jpg": "0", "00003.jpg": "1"}
    assert [len(entry.content) for entry in scan(source, workers=0).usable] == [64] * 4


def test_a_class_may_be_in_json(tmp_path):
    members = {f"{i}.png": photo(i) for i in range(2)}
    members |= {f"{i}.json": json.dumps({"label": f"class {i}", "width": 8}).encode() for i in range(2)}
    assert labels_of(find_photos(tar_of(tmp_path / "a.tar", members))) == {"0.png": "class 0", "1.png": "class 1"}


def two_fields(tmp_path):
    members = {f"{i}.jpg": photo(i) for i in range(2)}
    members |= {f"{i}.cls": b"7" for i in range(2)}
    members |= {f"{i}.json": json.dumps({"species": f"s{i}", "genus": "g"}).encode() for i in range(2)}
    return tar_of(tmp_path / "a.tar", members)


def test_the_user_names_the_field_of_the_class(tmp_path):
    source = select_photos(PhotoSelection(two_fields(tmp_path), label_column="species"))
    assert labels_of(source) == {"0.jpg": "s0", "1.jpg": "s1"}


def test_two_fields_that_could_be_the_class_are_named(tmp_path):
    members = {"0.jpg": photo(0), "0.json": json.dumps({"label": "a", "class": "b"}).encode()}
    with pytest.raises(
        PhotosError, match=r"of 0\.json could be in 'class' or 'label'\n  --label-column NAME says which"
    ):
        find_photos(tar_of(tmp_path / "a.tar", members))


def test_keys_and_extensions_with_dots(tmp_path):
    """Periods in keys were lost elsewhere: webdataset#237, datasets#7144."""
    members = {"22.05.png": photo(0), "22.05.cls": b"a", "22.06.png": photo(1), "22.06.cls": b"b"}
    members |= {"x.input.jpg": photo(2), "x.cls": b"a"}
    source = find_photos(tar_of(tmp_path / "a.tar", members))
    assert labels_of(source) == {"22.05.png": "a", "22.06.png": "b", "x.input.jpg": "a"}


def test_two_photos_of_one_class_are_refused(tmp_path):
    members = {"0.left.jpg": photo(0), "0.right.jpg": photo(1), "0.cls": b"a", "1.jpg": photo(2), "1.cls": b"b"}
    with pytest.raises(PhotosError, match=r"1 sample has several photos: 0\.cls \(0\.left\.jpg, 0\.right\.jpg\)"):
        find_photos(tar_of(tmp_path / "a.tar", members))


def test_members_of_one_name_are_refused(tmp_path):
    import io
    import tarfile

    path = shard(tmp_path / "a.tar")
    with tarfile.open(path, "a") as file:
        member = tarfile.TarInfo("00000.jpg")
        member.size = len(photo(9))
        file.addfile(member, io.BytesIO(photo(9)))
    with pytest.raises(PhotosError, match=r"1 name of several members: 00000\.jpg"):
        find_photos(path)


def test_a_photo_without_a_class_is_listed_and_can_be_left_out(tmp_path):
    path = tar_of(
        tmp_path / "a.tar", {"0.jpg": photo(0), "0.cls": b"a", "1.jpg": photo(1), "1.cls": b"b", "2.jpg": photo(2)}
    )
    with pytest.raises(PhotosError, match=r"photo 3: no label\n .*2 other rows are right.*--skip-missing"):
        find_photos(path)
    source = select_photos(PhotoSelection(path, skip_missing=True))
    assert len(source.photos) == 2
    assert "1 row is left out (--skip-missing)" in " ".join(source.notes)


def test_a_shard_that_was_cut_off_loses_no_photo_silently(tmp_path):
    path = shard(tmp_path / "a.tar", count=8)
    path.write_bytes(path.read_bytes()[: 5 * 512 + 40])
    with pytest.raises(PhotosError, match=r"a\.tar: the shard is cut off"):
        find_photos(path)


def test_a_folder_of_shards_is_one_data_set(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    shard(folder / "photos-000000.tar", count=2)
    shard(folder / "photos-000001.tar", count=2, start=2)
    (folder / "index.json").write_text("{}")
    source = find_photos(folder)
    assert labels_of(source) == {
        "photos-000000.tar/00000.jpg": "0",
        "photos-000000.tar/00001.jpg": "1",
        "photos-000001.tar/00002.jpg": "0",
        "photos-000001.tar/00003.jpg": "1",
    }
    assert not source.given_sides
    assert all(entry.status == "ok" for entry in scan(source, workers=0).entries)


def test_shards_named_like_sides_are_sides(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    shard(folder / "flowers-train-000000.tar", count=2)
    shard(folder / "flowers-train-000001.tar", count=2, start=2)
    shard(folder / "flowers-val-000000.tar", count=2, start=4)
    assert find_photos(folder).given_sides == {"train", "validation"}


def test_shards_may_be_named_one_by_one(tmp_path):
    a, b = shard(tmp_path / "a.tar", count=2), shard(tmp_path / "b.tar", count=2, start=2)
    source = select_photos(PhotoSelection(a, (b,)))
    assert [photo.name for photo in source.photos] == [
        "a.tar/00000.jpg",
        "a.tar/00001.jpg",
        "b.tar/00002.jpg",
        "b.tar/00003.jpg",
    ]


def test_a_shard_and_a_folder_of_classes_do_not_mix(tmp_path):
    folder_of(tmp_path / "photos", ["ant/1.jpg", "bee/2.jpg"])
    with pytest.raises(PhotosError, match=r"a\.tar has labels with its photos, and photos has none"):
        select_photos(PhotoSelection(shard(tmp_path / "a.tar"), (tmp_path / "photos",)))


def test_a_plain_archive_has_the_classes_of_its_folders(tmp_path):
    path = tar_of(tmp_path / "a.tar", {"ant/1.jpg": photo(1), "bee/2.jpg": photo(2), "ant/1.txt": b"caption"})
    assert set(labels_of(find_photos(path)).values()) == {"ant", "bee"}


def test_options_of_tables_are_refused_for_a_folder_of_classes(tmp_path):
    folder_of(tmp_path / "photos", ["ant/1.jpg", "bee/2.jpg"])
    zip_of(tmp_path / "photos.zip", {"ant/1.jpg": photo(1), "bee/2.jpg": photo(2)})
    for root in (tmp_path / "photos", tmp_path / "photos.zip"):
        with pytest.raises(ConfigError, match="label_column applies only with labels"):
            select_photos(PhotoSelection(root, label_column="species"))


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><name>insects</name></task></meta>
  <image id="0" name="a/1.jpg" width="8" height="8"><tag label="ant" source="manual"></tag></image>
  <image id="1" name="a/2.jpg" width="8" height="8">
    <box label="bee" xtl="1" ytl="1" xbr="2" ybr="2"/>
    <tag label="bee" source="manual"><attribute name="x">1</attribute></tag>
  </image>
  <image id="2" name="3.jpg" width="8" height="8"></image>
</annotations>"""


@pytest.mark.parametrize("packed", [True, False])
def test_an_export_of_cvat_for_images(tmp_path, packed):
    members = {f"images/{name}": photo(i) for i, name in enumerate(["a/1.jpg", "a/2.jpg", "3.jpg"])}
    root = zip_of(tmp_path / "job.zip", {**members, "annotations.xml": CVAT.encode()})
    if not packed:
        root = tmp_path / "job"
        for name, data in {**members, "annotations.xml": CVAT.encode()}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
    source = find_photos(root)
    assert labels_of(source) == {"images/a/1.jpg": "ant", "images/a/2.jpg": "bee"}
    assert "annotations.xml: 1 picture has no tag, and are left out" in source.notes
    assert "annotations.xml: 1 shape is not used; classes are those of tags" in source.notes
    assert len(scan(source, workers=0).usable) == 2


def test_the_xml_may_be_the_table_of_photos_elsewhere(tmp_path):
    folder_of(tmp_path / "photos", ["a/1.jpg", "a/2.jpg", "3.jpg"])
    (tmp_path / "insects.xml").write_text(CVAT)
    assert labels_of(find_photos(tmp_path / "photos", tmp_path / "insects.xml")) == {"a/1.jpg": "ant", "a/2.jpg": "bee"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((' source="manual"></tag>', '/><tag label="bee"/>'), r"1 picture has several tags: a/1\.jpg \(ant, bee\)"),
        (("<tag ", "<polygon "), "none of the 3 pictures has a tag, but 3 shapes"),
        (("</annotations>", ""), "the XML is damaged or cut off"),
    ],
)
def test_what_is_wrong_in_an_export_of_cvat_is_said(tmp_path, change, message):
    folder_of(tmp_path / "photos", ["a/1.jpg", "a/2.jpg", "3.jpg"])
    (tmp_path / "insects.xml").write_text(
        CVAT.replace(*change).replace("</tag>", "</polygon>" if "<polygon " in change else "</tag>")
    )
    with pytest.raises(PhotosError, match=message):
        find_photos(tmp_path / "photos", tmp_path / "insects.xml")


def test_an_export_in_the_format_of_imagenet_leaves_pictures_without_a_class_out(tmp_path):
    members = {"ant/1.jpg": photo(1), "bee/2.jpg": photo(2), "no_label/3.jpg": photo(3)}
    source = find_photos(zip_of(tmp_path / "a.zip", {**members, "synsets.txt": b"ant\nbee\n"}))
    assert set(labels_of(source).values()) == {"ant", "bee"}
    assert ("no_label/3.jpg", "it has no class in CVAT") in source.skipped
    assert "no_label" in labels_of(find_photos(zip_of(tmp_path / "b.zip", members))).values()


def datumaro(names, labels=("ant", "bee")):
    items = [
        {
            "id": name.removesuffix(".jpg"),
            "annotations": [] if i is None else [{"id": 0, "type": "label", "label_id": i}],
            "image": {"path": name, "size": [8, 8]},
        }
        for name, i in names.items()
    ]
    return json.dumps(
        {"info": {}, "categories": {"label": {"labels": [{"name": n, "parent": ""} for n in labels]}}, "items": items}
    )


def test_an_export_of_datumaro_has_a_file_for_each_subset(tmp_path):
    members = {
        f"images/{side}/{name}.jpg": photo(i)
        for i, (side, name) in enumerate([("train", 1), ("train", 2), ("val", 1), ("val", 3)])
    }
    members["annotations/train.json"] = datumaro({"1.jpg": 0, "2.jpg": 1}).encode()
    members["annotations/val.json"] = datumaro({"1.jpg": 1, "3.jpg": None}).encode()
    source = find_photos(zip_of(tmp_path / "job.zip", members))
    assert labels_of(source) == {"images/train/1.jpg": "ant", "images/train/2.jpg": "bee", "images/val/1.jpg": "bee"}
    assert source.given_sides == {"train", "validation"}
