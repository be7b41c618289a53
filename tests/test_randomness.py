"""Random draws are pure functions of their keys: the same ones in every process and in every version of regraft."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.randomness import derive, fraction, fractions, generator, permutation

PARTS = st.lists(st.one_of(st.text(), st.integers(), st.binary()), max_size=4)


def test_draws_are_pinned():
    assert derive("order", 0, 3) == 225584453444919608982805696130662515779
    assert fraction("split", 0, "photo") == 0.5431981155452872
    assert permutation(8, "order", 0, 3).tolist() == [6, 3, 7, 5, 0, 4, 1, 2]
    assert generator("view", 0, 1, "photo").random(2).tolist() == [0.8838658424864185, 0.1408050187620462]


@given(PARTS, PARTS)
def test_other_parts_give_another_key(one, other):
    same = [(type(part), part) for part in one] == [(type(part), part) for part in other]
    assert (derive(*one) == derive(*other)) == same


@given(PARTS)
def test_a_fraction_is_below_one(parts):
    assert 0 <= fraction(*parts) < 1


@pytest.mark.parametrize("part", [True, 1.5, None])
def test_a_part_of_another_type_is_refused(part):
    with pytest.raises(TypeError, match=f"str, int or bytes, not {type(part).__name__}"):
        derive("order", part)


def test_many_fractions_are_the_fractions_of_their_keys():
    draw = fractions("split", 7)
    assert [draw(part) for part in ("a", 3, b"x")] == [fraction("split", 7, part) for part in ("a", 3, b"x")]
