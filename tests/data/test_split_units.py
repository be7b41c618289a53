"""Units of a split, and the disjoint sets that they are made of, against a simple implementation."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from regraft.audit.duplicates import connected_sets
from regraft.data.manifest import Entry
from regraft.data.split_units import DisjointSets, make_units, unit_ids
from regraft.randomness import fraction

PAIRS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20)


def components(pairs: list[tuple[int, int]]) -> set[frozenset[int]]:
    """Return the connected components of 0 to 11, by merging sets until nothing changes."""
    sets = [{i} for i in range(12)]
    for a, b in pairs:
        joined = [s for s in sets if a in s or b in s]
        sets = [s for s in sets if s not in joined] + [set().union(*joined)]
    return {frozenset(s) for s in sets}


@given(PAIRS)
def test_disjoint_sets_are_the_connected_components(pairs: list[tuple[int, int]]) -> None:
    sets = DisjointSets[int]()
    for i in range(12):
        sets.add(i)
    for a, b in pairs:
        sets.join(a, b)
    members: dict[int, set[int]] = {}
    for i in range(12):
        members.setdefault(sets.root(i), set()).add(i)
    assert {frozenset(s) for s in members.values()} == components(pairs)
    found = connected_sets(12, pairs)
    assert found == sorted(sorted(s) for s in components(pairs) if len(s) > 1)


def photo(content: str, label: str = "a", group: str | None = None) -> Entry:
    return Entry(f"{label}/{content}.jpg", Path(), content, label, group=group)


def test_a_unit_has_the_draw_of_its_smallest_group_or_content() -> None:
    entries = [photo("3", group="z"), photo("1"), photo("2", "b"), photo("3", "b", group="y"), photo("4")]
    units = {unit.contents: unit for unit in make_units(entries, {"1": "near", "2": "near"}, ("split", 7))}
    assert set(units) == {("1", "2"), ("3",), ("4",)}
    assert units[("1", "2")].draw == fraction("split", 7, "1") and units[("1", "2")].labels == {"a", "b"}
    assert units[("3",)].draw == fraction("split", 7, "group", "y")


@given(st.permutations([photo("1", group="g"), photo("2", group="g"), photo("3"), photo("4"), photo("5", group="h")]))
def test_units_do_not_depend_on_the_order_of_the_photos(entries: list[Entry]) -> None:
    near = {"3": "pair", "5": "pair"}
    expected = [("1", "2"), ("3", "5"), ("4",)]
    assert [unit.contents for unit in make_units(entries, near, ("split", 0))] == expected


def test_the_id_of_a_unit_is_its_smallest_content_and_a_content_by_itself_is_not_listed() -> None:
    entries = [photo("4", group="g"), photo("2"), photo("3", group="g"), photo("1"), photo("2")]
    assert unit_ids(entries, {"1": "near", "4": "near"}) == {"1": "1", "3": "1", "4": "1"}


def test_photos_of_one_class_share_the_set_of_its_label() -> None:
    one, two, both = make_units([photo("1"), photo("2"), photo("3"), photo("3", "other")], {}, ("split", 0))
    assert one.labels is two.labels and both.labels == one.labels | {"other"}
