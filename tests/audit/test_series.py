"""Photos of the same subject are noticed where they make an accuracy look too high, and nowhere else."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from audit.test_checks import made_up
from regraft.audit.checks.series import find_series
from regraft.audit.grouping import user_groups
from regraft.audit.look_groups import close_share, look_groups
from regraft.audit.photo_order import PhotoOrder, blocks_of, natural_key, number_order, photo_orders, time_order
from regraft.audit.series import MAX_PHOTOS, SeriesEffect, SeriesTest, clearest
from regraft.audit.subject import Subject
from regraft.data.manifest import Entry
from regraft.errors import ConfigError

PHOTO = Path("photo.jpg")
CLASSES, SUBJECTS, PHOTOS, SIZE = 2, 12, 8, 24


def photos_of(effect: float, *, subjects: int = SUBJECTS, numbered: bool = True, seed: int = 0):
    """Return entries, features and labels of two classes, whose subjects differ by ``effect`` in all features."""
    draw = np.random.default_rng(seed)
    entries, rows, labels = [], [], []
    for label in range(CLASSES):
        for subject in range(subjects):
            center = effect * draw.normal(size=SIZE)
            for photo in range(PHOTOS):
                number = subject * PHOTOS + photo
                name = f"IMG_{number:04}" if numbered else "".join(chr(97 + int(digit)) for digit in f"{number * 7919}")
                entries.append(Entry(f"{label}/{name}.jpg", PHOTO, f"{label}{number:04}".zfill(64), str(label)))
                rows.append(center + draw.normal(size=SIZE) + 1.2 * label * (np.arange(SIZE) == 0))
                labels.append(label)
    return entries, np.array(rows, dtype=np.float32), np.array(labels, dtype=np.int64)


def effects_of(entries, features, labels, times=None, units=None):
    times = [math.nan] * len(entries) if times is None else times
    units = [entry.content for entry in entries] if units is None else units
    return SeriesTest(entries, times, features, labels, units, C=0.01).effects()


@pytest.mark.parametrize("seed", range(3))
def test_subjects_are_noticed_by_the_numbers_of_their_photos(seed):
    effect = clearest(effects_of(*photos_of(1.5, seed=seed)))
    assert effect is not None and effect.rule == "number" and effect.loss > 0.1
    assert effect.as_dict()["clear"] and effect.as_dict()["group_by"] == "number"


@pytest.mark.parametrize("seed", range(6))
def test_photos_of_as_many_subjects_give_no_alarm(seed):
    effects = effects_of(*photos_of(0.0, seed=seed))
    assert [effect.rule for effect in effects] == ["number"]
    assert clearest(effects) is None


def test_the_loss_in_blocks_is_that_on_new_subjects():
    entries, features, labels = photos_of(1.0, subjects=20)
    effect = clearest(effects_of(entries, features, labels))
    subject = [f"{label} {i // PHOTOS}" for i, label in enumerate(labels)]
    order = np.random.default_rng(3).permutation(len(entries))
    shuffled = [
        Entry(f"{e.label}/{k}.jpg", PHOTO, e.content, e.label) for k, e in zip(order.argsort(), entries, strict=True)
    ]
    grouped = effects_of(shuffled, features, labels, units=subject)
    assert effect is not None and effect.blocks == pytest.approx(grouped[0].blocks, abs=0.05)


def test_capture_times_show_subjects_that_names_do_not():
    entries, features, labels = photos_of(1.5, numbered=False)
    assert {effect.rule for effect in effects_of(entries, features, labels)} <= {"look"}
    times = [60.0 * i for i in range(len(entries))]
    effect = clearest(effects_of(entries, features, labels, times))
    assert effect is not None and effect.rule == "time"


def test_views_of_a_subject_are_noticed_without_names_and_times():
    entries, features, labels = photos_of(4.0, numbered=False)
    features[:, 1:] += 3 * np.random.default_rng(1).normal(size=(1, SIZE - 1)).astype(np.float32)
    effect = clearest(effects_of(entries, features, labels))
    assert effect is not None and effect.rule == "look"
    names = [entry.label for entry in entries]
    assert close_share(features, names) > 0.5
    groups = look_groups(features, names)
    subjects = [i // PHOTOS for i in range(len(entries))]
    assert all(len({subjects[i] for i in range(len(groups)) if groups[i] == name}) == 1 for name in set(groups))


def test_units_that_keep_subjects_together_leave_nothing_to_warn_of():
    entries, features, labels = photos_of(1.5)
    subject = [f"{label} {i // PHOTOS}" for i, label in enumerate(labels)]
    assert clearest(effects_of(entries, features, labels, units=subject)) is None


def test_few_photos_are_not_tested():
    entries, features, labels = photos_of(1.5, subjects=3)
    assert effects_of(entries, features, labels) == []
    entries, features, labels = photos_of(1.5)
    few = [i for i in range(len(labels)) if labels[i] == 0 or i % 12 == 0]
    assert effects_of([entries[i] for i in few], features[few], labels[few]) == []


def test_many_photos_are_tested_on_whole_runs():
    entries, features, labels = photos_of(1.5, subjects=150)
    effect = clearest(effects_of(entries, features, labels))
    assert effect is not None and effect.n <= MAX_PHOTOS and effect.loss > 0.03


def test_the_largest_loss_by_metadata_comes_before_look():
    def effect(rule, loss, z=5.0):
        return SeriesEffect(rule, 100, 0.9, 0.9 - loss, z, 0.01)

    best = clearest([effect("time", 0.03), effect("number", 0.05), effect("look", 0.2)])
    assert best is not None and best.rule == "number"
    assert clearest([effect("time", 0.3, z=1.8), effect("number", 0.01)]) is None
    only_look = clearest([effect("number", 0.01), effect("look", 0.2)])
    assert only_look is not None and only_look.rule == "look"


def test_numbers_in_names_count_as_numbers():
    names = ["a/img10.jpg", "a/img9.jpg", "a/img9b.jpg", "b/img1.jpg"]
    assert sorted(names, key=natural_key) == ["a/img9.jpg", "a/img9b.jpg", "a/img10.jpg", "b/img1.jpg"]
    assert number_order([Entry("a/rose.jpg", PHOTO, "0", "a")] * 3) is None


def test_photos_without_a_time_come_last_and_few_times_give_no_order():
    entries = [Entry(f"a/{c}.jpg", PHOTO, c, "a") for c in "abcdefghij"]
    order = time_order(entries, [9.0, 8.0, 7.0, 6.0, math.nan, 5.0, 4.0, 3.0, 2.0, 1.0])
    assert order is not None and order.positions.tolist() == [9, 8, 7, 6, 5, 3, 2, 1, 0, 4]
    assert time_order(entries, [1.0] * 5 + [math.nan] * 5) is None
    assert time_order(entries, [1.0] * 10) is None
    assert photo_orders(entries, [math.nan] * 10) == []


def test_blocks_end_where_the_photos_change():
    _, features, labels = photos_of(3.0, subjects=9)
    one_class = features[labels == 0]
    order = PhotoOrder("number", np.arange(len(one_class)))
    names = blocks_of(order, ["ant"] * len(one_class), one_class)
    ends = [i for i in range(1, len(names)) if names[i] != names[i - 1]]
    assert len(set(names)) >= 8 and sum(end % PHOTOS == 0 for end in ends) >= 6


def test_group_rules_of_series_need_what_they_group_by():
    subject = made_up({"ant": 30, "bee": 30})
    with pytest.raises(ConfigError, match="expects a capture time in its Exif in nine of ten photos"):
        user_groups("time", subject.entries, subject.photo_stats, features=subject.features)
    groups = user_groups("number", subject.entries, subject.photo_stats, features=subject.features)
    assert len(groups) == 60 and groups["ant/0.jpg"] == groups["ant/1.jpg"] and len(set(groups.values())) == 20
    looks = user_groups("look", subject.entries, subject.photo_stats, features=subject.features)
    assert len(looks) == 60


def test_the_finding_names_the_grouping_and_the_option():
    subject = made_up({"ant": 3, "bee": 3})
    effect = SeriesEffect("number", 100, 0.949, 0.844, 6.0, 0.02)
    with_series = Subject(*[getattr(subject, name) for name in subject.__dataclass_fields__][:-1], [effect])
    (finding,) = find_series(with_series)
    assert (finding.kind, finding.level, finding.photos) == ("series", "warning", ())
    assert "94.9 %" in finding.words and "84.4 %" in finding.words and "--group-by number" in finding.words
    assert find_series(subject) == []
