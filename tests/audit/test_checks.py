"""Each kind of finding is found where it is, and not where it is not."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.conftest import no_copies, save, scene, subject_of
from regraft.audit.checks import bias, classes, files, labels
from regraft.audit.finding import Finding, findings_at_least
from regraft.audit.photo_stats import PhotoStats, measure_photo
from regraft.audit.subject import Subject
from regraft.data.decode import read_photo
from regraft.data.manifest import Entry, Manifest


def made_up(counts: dict[str, int], **of_class) -> Subject:
    """Return a subject without files: entries of given classes, with equal stats except for ``of_class``."""
    draw = np.random.default_rng(0)
    entries, photo_stats = [], []
    for label, n in counts.items():
        for i in range(n):
            said = {"size": int(draw.integers(50_000, 90_000)), "width": 640, "height": 480} | of_class.get(label, {})
            entries.append(Entry(f"{label}/{i}.jpg", Path("photo.jpg"), f"{label}{i}".encode().hex().zfill(64), label))
            gray = draw.integers(0, 255, (64, 64), dtype=np.uint8)
            rgb = (100.0, 100.0, 100.0)
            sides = said["size"], said["width"], said["height"]
            stats = PhotoStats(*sides, "JPEG", "RGB", 1, False, 0.0, rgb, f"{label}{i}".encode(), gray)
            photo_stats.append(stats)
    manifest = Manifest(None, tuple(sorted(counts)), entries)
    features = draw.normal(size=(len(entries), 8)).astype(np.float32)
    return Subject(manifest, list(counts), entries, photo_stats, features, no_copies(entries))


@pytest.mark.parametrize(
    "names", [("Rose", "rose"), ("café", unicodedata.normalize("NFD", "café")), ("STRASSE", "straße"), ("oak", "oak ")]
)
def test_class_names_that_are_one_to_a_person(names):
    (found,) = classes.find_similar_class_names(made_up(dict.fromkeys((*names, "elm"), 3)))
    assert found.level == "warning" and set(found.measure["classes"]) == set(names)


@pytest.mark.parametrize("names", [("rose", "roses"), ("café", "cafe"), ("red oak", "redoak"), ("ash", "a sh", "oak")])
def test_other_class_names_are_different_names(names):
    assert not classes.find_similar_class_names(made_up(dict.fromkeys(names, 3)))


def test_classes_that_are_small_or_uneven():
    found = classes.find_imbalance(made_up({"ash": 300, "birch": 25, "cedar": 12, "fir": 4}))
    assert [(f.kind, f.level) for f in found] == [
        ("small class", "info"), ("small class", "warning"), ("uneven classes", "warning")
    ]  # fmt: skip
    assert "'ash' has 300 pictures, 'fir' has 4" in found[-1].words
    assert not classes.find_imbalance(made_up({"ash": 40, "birch": 25}))


def test_a_shortcut_is_named_and_measured_against_chance():
    found = bias.find_shortcuts(made_up({"ash": 60, "birch": 60}, ash={"width": 800}))
    (finding,) = (f for f in found if f.measure["property"] == "dimensions")
    assert finding.level == "warning" and finding.measure["accuracy"] == 1.0 and finding.measure["interval"][0] > 0.3
    assert not bias.find_shortcuts(made_up({"ash": 60, "birch": 60}))


def test_wrong_labels_are_ranked_by_how_sure_the_probe_is():
    p = np.array([[0.9, 0.1], [0.02, 0.98], [0.4, 0.6], [0.2, 0.8], [0.1, 0.9], [0.001, 0.999]])
    y = np.array([0, 0, 0, 1, 1, 0])
    assert labels.rank_by_suspicion(p, y)[:3].tolist() == [5, 1, 2]
    assert labels.suspect_rows(p, y) == [5, 1]
    subject = made_up({"ash": 3, "birch": 3})
    q = np.where(np.arange(6)[:, None] < 3, [0.95, 0.05], [0.05, 0.95])
    q[1] = [0.01, 0.99]
    finding, *others = labels.find_suspect_labels(Subject(**{**subject.__dict__, "probabilities": q}))
    assert not others and finding.photos == ("ash/1.jpg",) and finding.suggestion == "birch"
    assert finding.level == "warning" and "labeled ash, looks like birch (99 %)" in finding.words
    assert labels.find_suspect_labels(subject) == []


def test_an_outlier_is_like_no_other():
    subject = made_up({"ash": 60, "birch": 60})
    features = np.random.default_rng(1).normal(size=(120, 6)).astype(np.float32) * 0.1
    features[:60, 0] += 3
    features[60:, 1] += 3
    features[17] = [-2, -2, 9, 9, 9, 9]
    found = bias.find_outliers(Subject(**{**subject.__dict__, "features": features}))
    assert found[0].photos == ("ash/17.jpg",)
    assert bias.find_outliers(made_up({"ash": 5, "birch": 5})) == []


def test_files_turned_tiny_and_long(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(scene(1), tmp_path / "a" / "turned.jpg", exif=exif)
    save(scene(2, (40, 50)), tmp_path / "a" / "small.png")
    save(scene(3, (700, 100)), tmp_path / "b" / "long.png")
    save(scene(4), tmp_path / "b" / "plain.png")
    subject = subject_of(tmp_path)
    assert [(f.photos, f.measure) for f in files.find_exif_rotated(subject)] == [
        (("a/turned.jpg",), {"orientation": 6})
    ]
    assert [(f.kind, f.photos) for f in files.find_odd_sizes(subject)] == [
        ("tiny", ("a/small.png",)), ("extreme shape", ("b/long.png",))
    ]  # fmt: skip


def test_unusable_files_have_a_kind_by_their_reason():
    reasons = {
        "damaged: the data of its picture end too early": "damaged",
        "damaged after 40 %": "damaged",
        "truncated after 40 %": "truncated",
        "too large: 90,000 × 90,000 pixels": "too large",
        "not a photo: text": "not a photo",
        "cannot be decoded: bad": "unreadable",
    }
    entries = [Entry(why, Path("photo.jpg"), "", "ash", status="put aside", why=why) for why in reasons]
    subject = Subject(Manifest(None, (), entries), [], [], [], np.empty((0, 1), np.float32), no_copies([]))
    assert {f.photos[0]: f.kind for f in files.find_damaged(subject)} == reasons
    assert {f.level for f in files.find_damaged(subject)} == {"error"}


def test_unpacked_stats_equal_the_packed_ones(tmp_path):
    save(scene(1), tmp_path / "a" / "one.jpg")
    save(scene(2).convert("CMYK"), tmp_path / "b" / "two.jpg")
    for stats in subject_of(tmp_path).photo_stats:
        again = PhotoStats.unpack(stats.pack())
        assert again is not None and (again.gray == stats.gray).all()
        same = [name for name in PhotoStats.__slots__ if name not in ("gray", "captured_at", "mean_color")]
        assert all(getattr(again, name) == getattr(stats, name) for name in same)
        assert np.allclose(again.mean_color, stats.mean_color, atol=1e-4) and np.isnan(again.captured_at)
    assert PhotoStats.unpack(np.zeros(7, dtype=np.float32)) is None


def test_a_placeholder_is_told_by_its_pixels_or_its_name(tmp_path):
    sorry = Image.new("RGB", (300, 300), (247, 247, 247))
    sorry.paste((60, 60, 60), (60, 110, 240, 135))
    save(sorry, tmp_path / "a" / "x.gif")
    save(scene(1), tmp_path / "a" / "Image_Not_Found.png")
    save(scene(2), tmp_path / "b" / "notes foundry.png")
    save(Image.new("RGB", (300, 300)), tmp_path / "b" / "blank.png")
    found = files.find_placeholders(subject_of(tmp_path))
    assert [f.photos[0] for f in found] == ["a/Image_Not_Found.png", "a/x.gif"]


def test_the_placeholder_among_the_real_photos_is_named(photos_root):
    photo_stats = {}
    root = photos_root / "hymenoptera" / "train" / "ants"
    for name in ("imageNotFound.gif", "0013035.jpg"):
        data = (root / name).read_bytes()
        image = read_photo(data)
        photo_stats[name] = measure_photo(data, image, np.asarray(image)).gray
    assert files.dominant_gray_share(photo_stats["imageNotFound.gif"]) > files.PLACEHOLDER_SHARE
    assert files.dominant_gray_share(photo_stats["0013035.jpg"]) < files.PLACEHOLDER_SHARE


def test_levels_are_ordered():
    findings = [Finding("k", level, (), "") for level in ("info", "error", "warning")]
    assert [f.level for f in findings_at_least("warning", findings)] == ["error", "warning"]
