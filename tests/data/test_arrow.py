"""Photos in Parquet files, and in data sets that Hugging Face ``datasets`` has saved."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
import pyarrow.parquet as pq  # noqa: E402

from data.labeled import folder_of, labels_of, photo  # noqa: E402
from regraft.data.decode import read_photo  # noqa: E402
from regraft.data.file_types import read_regular  # noqa: E402
from regraft.data.manifest import scan  # noqa: E402
from regraft.data.photo_places import photo_places  # noqa: E402
from regraft.data.selection import PhotoSelection  # noqa: E402
from regraft.data.source import find_photos, select_photos  # noqa: E402
from regraft.errors import PhotosError  # noqa: E402

NAMES = ["zebra", "ant"]
"""Names of classes that are not in the order of the alphabet: a number means a name, not a place."""


def pictures(count):
    return [{"bytes": photo(i), "path": f"photo{i}.jpg"} for i in range(count)]


def with_features(table, features):
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


FEATURES = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}


def save(folder, table, features, shards=1):
    """Write a data set as ``datasets.Dataset.save_to_disk`` does."""
    folder.mkdir(parents=True)
    rows = -(-len(table) // shards)
    files = [f"data-{i:05}-of-{shards:05}.arrow" for i in range(shards)]
    for i, name in enumerate(files):
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.slice(i * rows, rows))
    state = {"_data_files": [{"filename": name} for name in files], "_fingerprint": "0", "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def test_classes_of_a_parquet_file_have_their_names(tmp_path):
    table = with_features(pa.table({"image": pictures(4), "label": [0, 1, 0, 1]}), FEATURES)
    pq.write_table(table, tmp_path / "train.parquet", row_group_size=2)
    source = find_photos(tmp_path / "train.parquet")
    assert labels_of(source) == {"000000.jpg": "zebra", "000001.jpg": "ant", "000002.jpg": "zebra", "000003.jpg": "ant"}
    assert [read_regular(one.path) for one in source.photos] == [photo(i) for i in range(4)]
    assert {entry.status for entry in scan(source, workers=2).entries} == {"ok"}


def test_a_parquet_file_may_have_bytes_and_names_alone(tmp_path):
    pq.write_table(pa.table({"jpeg": [photo(0), photo(1)], "species": ["ant", "bee"]}), tmp_path / "a.parquet")
    assert labels_of(find_photos(tmp_path / "a.parquet")) == {"000000": "ant", "000001": "bee"}


def test_a_parquet_file_of_paths_is_a_table(tmp_path):
    photos = folder_of(tmp_path / "photos", ["1.jpg", "2.jpg"])
    pq.write_table(
        pa.table({"path": ["1.jpg", "2.jpg"], "label": ["ant", "bee"], "n": [1, 2]}), photos / "labels.parquet"
    )
    assert photo_places((photos / "labels.parquet",)) == ((photos,), photos / "labels.parquet")
    assert labels_of(find_photos(photos, photos / "labels.parquet")) == {"1.jpg": "ant", "2.jpg": "bee"}


def test_photos_without_a_class_are_left_out(tmp_path):
    table = with_features(pa.table({"image": pictures(3), "label": [0, 1, -1]}), FEATURES)
    pq.write_table(table, tmp_path / "a.parquet")
    source = find_photos(tmp_path / "a.parquet")
    assert len(source.photos) == 2
    assert "a.parquet: 1 photo has no class (-1), and are left out" in source.notes


def test_splits_of_a_saved_data_set_are_sides(tmp_path):
    for number, split in enumerate(["train", "validation"]):
        table = pa.table({"image": pictures(4), "label": [0, 1, number, 1]})
        save(tmp_path / "ds" / split, table, FEATURES, shards=2)
    (tmp_path / "ds" / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    source = find_photos(tmp_path / "ds")
    assert source.given_sides == {"train", "validation"}
    assert labels_of(source)["validation/000002.jpg"] == "ant"
    assert read_regular(tmp_path / "ds" / "validation" / "000003.jpg") == photo(3)
    assert len(scan(find_photos(tmp_path / "ds" / "train"), workers=0).usable) == 4


def test_one_column_of_named_classes_is_the_label(tmp_path):
    features = {"img": {"_type": "Image"}, "breed": {"names": NAMES, "_type": "ClassLabel"}}
    table = pa.table({"img": pictures(2), "breed": [0, 1], "weight": [3.5, 4.0]})
    source = find_photos(save(tmp_path / "ds", table, features))
    assert labels_of(source) == {"000000.jpg": "zebra", "000001.jpg": "ant"}
    assert "ds: labels from the column 'breed'" in source.notes


def test_the_user_says_which_of_two_columns_has_the_labels(tmp_path):
    kind = {"names": NAMES, "_type": "ClassLabel"}
    features = {"img": {"_type": "Image"}, "fine_label": kind, "coarse_label": kind}
    folder = save(
        tmp_path / "ds", pa.table({"img": pictures(2), "fine_label": [0, 1], "coarse_label": [1, 0]}), features
    )
    with pytest.raises(PhotosError, match=r"--label-column NAME names the column with the labels"):
        find_photos(folder)
    source = select_photos(PhotoSelection(folder, label_column="coarse_label"))
    assert labels_of(source) == {"000000.jpg": "ant", "000001.jpg": "zebra"}


def test_photos_outside_the_table_are_read_where_they_are(tmp_path):
    folder_of(tmp_path / "photos", ["1.jpg", "2.jpg"])
    rows = [{"bytes": None, "path": str(tmp_path / "photos" / f"{i}.jpg")} for i in (1, 2)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(rows, kind), "label": [0, 1]})
    source = find_photos(save(tmp_path / "ds", table, FEATURES))
    assert [read_regular(one.path) for one in source.photos] == [photo(0), photo(1)]


def test_photos_are_turned_as_their_exif_says(tmp_path):
    """Data sets keep the bytes, and ``datasets`` ignored the orientation for long: datasets#6739."""
    image = Image.fromarray(np.zeros((8, 16, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    table = pa.table({"image": [{"bytes": out.getvalue(), "path": None}] * 2, "label": [0, 1]})
    source = find_photos(save(tmp_path / "ds", table, FEATURES))
    assert read_photo(read_regular(source.photos[0].path)).size == (8, 16)


def test_two_columns_of_photos_are_refused(tmp_path):
    features = {"before": {"_type": "Image"}, "after": {"_type": "Image"}, "label": FEATURES["label"]}
    table = pa.table({"before": pictures(2), "after": pictures(2), "label": [0, 1]})
    with pytest.raises(
        PhotosError, match=r"columns 'before', 'after' have photos; expected one column\n  rename the one"
    ):
        find_photos(save(tmp_path / "ds", table, features))


def damaged_parquet(tmp_path):
    pq.write_table(pa.table({"image": pictures(2), "label": ["a", "b"]}), tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:900])
    return tmp_path / "a.parquet"


def damaged_shard(tmp_path):
    folder = save(tmp_path / "ds", pa.table({"image": pictures(20), "label": [0, 1] * 10}), FEATURES)
    file = next(folder.glob("*.arrow"))
    file.write_bytes(file.read_bytes()[:700])
    return folder


def without_photos(tmp_path):
    return save(tmp_path / "ds", pa.table({"text": ["x", "y"], "label": [0, 1]}), {"label": FEATURES["label"]})


def selected(tmp_path):
    folder = save(tmp_path / "ds", pa.table({"image": pictures(2), "label": [0, 1]}), FEATURES)
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "_indices_files": [{"filename": "indices.arrow"}]}))
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (damaged_parquet, "the Parquet file is damaged or cut off"),
        (damaged_shard, "ds: cannot be read: Expected to be able to read"),
        (without_photos, "has no column of photos; its columns are text, label"),
        (selected, r"saved with a selection of rows\n  load it, call flatten_indices"),
    ],
)
def test_what_cannot_be_read_is_an_error(tmp_path, make, message):
    with pytest.raises(PhotosError, match=message):
        find_photos(make(tmp_path))


def test_a_data_set_that_the_library_saved(tmp_path):
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is not installed")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})

    def data_set(rows):
        columns = {"image": [pictures(6)[i] for i in rows], "label": [i % 2 for i in rows]}
        table = datasets.table.InMemoryTable(pa.table(columns, schema=features.arrow_schema))
        return datasets.Dataset(table, datasets.DatasetInfo(features=features), fingerprint=str(rows))

    made, train = data_set([0, 1, 2, 3, 4, 5]), data_set([5, 1, 2])
    datasets.DatasetDict({"train": train, "test": made}).save_to_disk(tmp_path / "ds")
    made.to_parquet(tmp_path / "a.parquet")
    source = find_photos(tmp_path / "ds")
    assert [read_regular(one.path) for one in source.photos if one.split == "train"] == [photo(5), photo(1), photo(2)]
    assert [one.label for one in source.photos if one.split == "train"] == ["ant", "ant", "zebra"]
    assert labels_of(find_photos(tmp_path / "a.parquet"))["000001.jpg"] == "ant"
