"""Photos that belong together are on one side of every split, whatever comes and goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.conftest import P, save, scene
from regraft.audit.grouping import check_grouping, user_groups
from regraft.audit.photo_stats import decode_with_stats
from regraft.data.manifest import Entry, scan
from regraft.data.selection import PhotoSelection
from regraft.data.source import find_photos, select_photos
from regraft.data.split import carve_validation, split_by_content
from regraft.errors import ConfigError, PhotosError
from regraft.probe.folds import make_folds


def entries_of(codes, labels, groups):
    return [
        Entry(f"{label}/{code}.jpg", Path(), f"{code:064x}", str(label), group=group)
        for code, label, group in zip(codes, labels, groups, strict=True)
    ]


@st.composite
def folders(draw):
    n = draw(st.integers(3, 30))
    codes = draw(st.lists(st.integers(0, 10**9), min_size=n, max_size=n, unique=True))
    labels = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    users = draw(st.lists(st.sampled_from([None, None, "a", "b", "c"]), min_size=n, max_size=n))
    near = draw(st.lists(st.integers(0, n), min_size=n, max_size=n))
    entries = entries_of(codes, labels, users)
    return entries, {entry.content: str(g) for entry, g in zip(entries, near, strict=True) if g < n // 2}


@settings(max_examples=40, deadline=None)
@given(folders(), st.integers(0, 5))
def test_no_group_straddles(folder, seed):
    entries, near = folder
    sides = split_by_content(entries, seed=seed, fractions=(0.6, 0.2, 0.2), groups=near).sides
    carved = carve_validation(entries, seed=seed, fraction=0.3, groups=near)
    for name in set(near.values()):
        members = [content for content, group in near.items() if group == name]
        assert len({sides[content] for content in members}) == 1
        assert len({content in carved for content in members}) == 1
    for name in {entry.group for entry in entries if entry.group}:
        assert len({sides[entry.content] for entry in entries if entry.group == name}) == 1


@settings(max_examples=40, deadline=None)
@given(folders())
def test_no_group_straddles_though_sides_are_kept_from_before_it_was_known(folder):
    entries, near = folder
    before = split_by_content(entries, seed=0, fractions=(0.6, 0.2, 0.2)).sides
    after = split_by_content(entries, seed=0, fractions=(0.6, 0.2, 0.2), keep=before, groups=near)
    for name in set(near.values()):
        assert len({after.sides[content] for content, group in near.items() if group == name}) == 1
    moved = [content for content, side in before.items() if after.sides[content] != side]
    assert bool(moved) == any(" on different sides belong together" in note for note in after.notes)


def test_new_photos_move_no_old_one_unless_they_join_two_groups():
    draw = np.random.default_rng(0)
    codes = draw.choice(10**9, 220, replace=False).tolist()
    entries = entries_of(codes, [0, 1] * 110, [None] * 220)
    near = {entries[i].content: str(i // 2) for i in range(40)}
    old = entries[:200]
    before = split_by_content(old, seed=0, groups=near).sides
    more = {**near, **{entries[200 + i].content: near[entries[2 * i].content] for i in range(10)}}
    after = split_by_content(entries, seed=0, keep=before, groups=more)
    assert all(after.sides[content] == side for content, side in before.items())
    assert not any(" on different sides belong together" in note for note in after.notes)
    joining = {content: "1" if group == "0" else group for content, group in more.items()}
    joined = split_by_content(
        entries,
        seed=0,
        keep={
            **before,
            entries[0].content: "test",
            entries[1].content: "test",
            entries[2].content: "train",
            entries[3].content: "train",
        },
        groups=joining,
    )
    assert any("2 photos change sides" in note for note in joined.notes)


@pytest.mark.parametrize("n", [40])
def test_folds_of_a_cross_validation_keep_groups_whole(n):
    y = np.arange(n) % 2
    groups = [str(i // 4) for i in range(n)]
    folds = make_folds(y, [f"{i:02}" for i in range(n)], groups)
    assert all(len(set(folds.fold_of_row[4 * g : 4 * g + 4].tolist())) == 1 for g in range(n // 4))


def usable_with_stats(root):
    entries = scan(find_photos(root), workers=0).usable
    return entries, [decode_with_stats(entry, P)[1] for entry in entries]


def test_groups_by_folder_and_by_expression(tmp_path):
    for house in ("h1", "h2"):
        for label in ("cat", "dog"):
            save(scene(hash_of(house + label)), tmp_path / label / house / f"{house}_1.png")
    entries, photo_stats = usable_with_stats(tmp_path)
    assert user_groups("parent", entries, photo_stats)["cat/h1/h1_1.png"] == "cat/h1"
    by_house = user_groups(r"/(h\d)_", entries, photo_stats)
    assert by_house["cat/h1/h1_1.png"] == by_house["dog/h1/h1_1.png"] == "h1"
    with pytest.raises(ConfigError, match="matches none of the 4 photos; expected parent, exif-burst"):
        user_groups("nothing like it", entries, photo_stats)
    with pytest.raises(ConfigError, match="is not a regular expression"):
        user_groups("(", entries, photo_stats)


def hash_of(text):
    return sum(map(ord, text))


def test_groups_by_the_time_of_the_shot(tmp_path):
    for k, (label, second) in enumerate([("cat", 0), ("cat", 4), ("cat", 40), ("dog", 2)]):
        image = scene(k)
        exif = image.getexif()
        exif.get_ifd(0x8769)[0x9003] = f"2024:05:01 10:00:{second:02}"
        save(image, tmp_path / label / f"{k}.jpg", exif=exif)
    save(scene(9), tmp_path / "dog" / "untimed.jpg")
    entries, photo_stats = usable_with_stats(tmp_path)
    groups = user_groups("exif-burst", entries, photo_stats)
    assert groups["cat/0.jpg"] == groups["cat/1.jpg"] != groups["cat/2.jpg"]
    assert groups["dog/3.jpg"] != groups["cat/0.jpg"] and "dog/untimed.jpg" not in groups


@pytest.mark.parametrize("folder", ["../photos/", "../tables/../photos/", "../elsewhere/photos/", "..\\photos\\"])
def test_groups_by_a_column_of_paths_that_lead_up(tmp_path, folder):
    for k in range(2):
        save(scene(k), tmp_path / "photos" / f"{'ab'[k]}" / f"{k}.png")
    entries, photo_stats = usable_with_stats(tmp_path / "photos")
    table = tmp_path / "tables" / "labels.csv"
    table.parent.mkdir()
    table.write_text(f"path,label,house\n{folder}a/0.png,a,h1\n{folder}b/1.png,b,h2\n")
    groups = user_groups("column:house", entries, photo_stats, PhotoSelection(tmp_path / "photos", labels=table))
    assert groups == {"a/0.png": "h1", "b/1.png": "h2"}


def test_groups_by_a_column_of_photos_outside_the_folder(tmp_path):
    for k in range(2):
        save(scene(k), tmp_path / "other" / f"{k}.png")
    (tmp_path / "photos").mkdir()
    table = tmp_path / "photos" / "labels.csv"
    table.write_text("path,label,house\n../other/0.png,a,h1\n../other/1.png,b,h2\n")
    chosen = PhotoSelection(tmp_path / "photos", labels=table)
    entries = scan(select_photos(chosen), workers=1).usable
    assert sorted(user_groups("column:house", entries, (), chosen).values()) == ["h1", "h2"]


def test_groups_by_a_column(tmp_path):
    for k in range(2):
        save(scene(k), tmp_path / f"{'ab'[k]}" / f"{k}.png")
    entries, photo_stats = usable_with_stats(tmp_path)
    table = tmp_path / "labels.csv"
    table.write_text("path,label,house\na/0.png,a,h1\nb/1.png,b,h1\n")
    chosen = PhotoSelection(tmp_path, labels=table)
    assert set(user_groups("column:house", entries, photo_stats, chosen).values()) == {"h1"}
    with pytest.raises(PhotosError, match="no column 'hous'; did you mean 'house'"):
        user_groups("column:hous", entries, photo_stats, chosen)
    with pytest.raises(ConfigError, match="needs the CSV"):
        user_groups("column:house", entries, photo_stats)


def grouped(**groups):
    """Return entries of classes, given the group of each photo: a letter, or a dot for none."""
    rows = [(label, group) for label, text in groups.items() for group in text]
    return entries_of(range(len(rows)), [label for label, _ in rows], [None if g == "." else g for _, g in rows])


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (
            grouped(ant="aaaa", bee="bbbb"),
            "all photos of classes ant, bee are in one group each, which is never divided",
        ),
        (grouped(ant="aaaa", bee="bcde"), "all photos of class ant are in one group, which is never divided"),
        (grouped(ant="aaaa", bee="aaaa"), "all 8 photos are in one group, so none can be kept for a test"),
    ],
)
def test_groups_with_which_nothing_can_be_learned_and_tested_are_refused(entries, problem):
    with pytest.raises(ConfigError) as error:
        check_grouping("parent", entries, {})
    assert str(error.value).startswith(f"--group-by parent: {problem}")
    assert "photos of one class are not a group" in str(error.value)
    by_name = {entry.name: entry.group for entry in entries}
    without = [replace(entry, group=None) for entry in entries]
    with pytest.raises(ConfigError, match="the column group of the CSV: all "):
        check_grouping(None, without, by_name)


@pytest.mark.parametrize(
    "entries", [grouped(ant="abcd", bee="efgh"), grouped(ant="aabb", bee="bbcc"), grouped(ant="a...", bee="....")]
)
def test_groups_smaller_than_the_classes_are_fine(entries):
    assert check_grouping("parent", entries, {}) == ""


def test_one_class_of_many_in_one_group_is_a_warning():
    warning = check_grouping("who", grouped(ant="abcd", bee="cdef", fly="gggg", tick="h"), {})
    assert warning.startswith("--group-by who: all photos of class fly are in one group, which is never divided, so it")
