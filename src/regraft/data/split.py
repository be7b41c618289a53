"""The split into train, validation and test, which depends only on the content of each photo.

**The rule.** Exact duplicates, and photos that share a group, form one *unit*. A unit without a group draws
``fraction("split", seed, content)``, a unit with groups ``fraction("split", seed, "group", name)``. If near-duplicates
join several contents to one unit, the smallest content hash is used; among several groups, the smallest name. The draw
is compared with the fractions: low draws are train, then validation, then test. So a photo keeps its side when others
are added, removed, renamed or moved.

**Filling.** A class of at least three units has at least one on every side whose fraction is not 0; a class of one or
two units has at least one in train. A class of fewer than 100 units has its full share on every side, rounded down:
of 40 units, 4 are test and 4 validation (draws alone leave 1 to 8). A missing unit is taken from the class's lowest
draws on sides that can spare one: train is filled first, then test, then validation. This is the one exception to the
rule above: such a unit moves back when a later photo fills the side.

**Precedence.** A side from the folder or the CSV takes precedence over a side kept from an earlier run, and both over
the draw. If a new photo shows that photos kept on different sides belong together, all of them move to the side of the
smallest content hash.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from regraft.data.manifest import Entry
from regraft.data.photo import SIDES, Side
from regraft.data.split_units import Unit, make_units
from regraft.errors import ConfigError
from regraft.text import counted

DEFAULT_SHARES = (0.8, 0.1, 0.1)
"""Shares of train, validation and test if the user gives none."""

STRATIFIED_BELOW = 100
"""Units of a class below which its sides are filled up to their shares; more units have them nearly, by chance."""

_HELD_OUT_FIRST: tuple[Side, ...] = ("test", "validation", "train")
_FILL_ORDER: tuple[Side, ...] = ("train", "test", "validation")


@dataclass(frozen=True)
class Split:
    """The side of every photo.

    Attributes:
        sides: content hash to side.
        notes: remarks to print for the user: sides that had to be filled, conflicting sides.
    """

    sides: dict[str, Side]
    notes: tuple[str, ...] = ()


def split_by_content(
    entries: Sequence[Entry],
    *,
    seed: int,
    fractions: tuple[float, float, float] = DEFAULT_SHARES,
    keep: Mapping[str, Side] | None = None,
    groups: Mapping[str, str] | None = None,
) -> Split:
    """Return the side of every photo; see the rule at the top of this file.

    Args:
        entries: usable photos.
        seed: seed of the draws.
        fractions: expected shares of train, validation and test; they sum to 1, and train's is not 0.
        keep: sides of an earlier run by content hash.
        groups: content hash to the id of a group that must share a side, such as near-duplicates. The ids themselves do
            not matter. The user's groups are in the entries.

    Raises:
        ConfigError: the fractions are invalid.
    """
    _check_fractions(fractions)
    fixed, notes = _fixed_sides(entries, keep or {})
    units = make_units(entries, groups or {}, ("split", seed))
    from_user = {entry.content for entry in entries if entry.given_side is not None}
    moved = _reconcile_kept(units, fixed, from_user)
    if moved:
        change = counted(moved, "photo changes side", "photos change sides")
        notes.append(f"{change}: new photos show that photos kept on different sides belong together")
    division = _SideAssignment(units, dict(zip(SIDES, fractions, strict=True)), fixed)
    return Split(division.sides(), (*notes, *division.notes))


def carve_validation(
    entries: Sequence[Entry], *, seed: int, fraction: float, groups: Mapping[str, str] | None = None
) -> set[str]:
    """Return the contents of a validation part of ``entries``, by the rule of `split_by_content` with other draws.

    Args:
        entries: photos of the train side.
        seed: seed of the draws.
        fraction: the part's expected share, in [0, 1).
        groups: as for `split_by_content`.

    Raises:
        ConfigError: the fraction is invalid.
    """
    shares = (1 - fraction, fraction, 0.0)
    _check_fractions(shares)
    units = make_units(entries, groups or {}, ("carve", seed))
    sides = _SideAssignment(units, dict(zip(SIDES, shares, strict=True)), {}).sides()
    return {content for content, side in sides.items() if side == "validation"}


def _check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != 3 or not all(0 <= f <= 1 for f in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError(f"a split is three shares that sum to 1 (such as 80/10/10), not {fractions}")
    if fractions[0] == 0:
        raise ConfigError("a split needs a share for train")


def _fixed_sides(entries: Sequence[Entry], keep: Mapping[str, Side]) -> tuple[dict[str, Side], list[str]]:
    """Return the sides that are not drawn, by content, and notes on them."""
    user_sides: dict[str, set[Side]] = defaultdict(set)
    for entry in entries:
        if entry.given_side is not None:
            user_sides[entry.content].add(entry.given_side)
    fixed = {entry.content: keep[entry.content] for entry in entries if entry.content in keep}
    fixed |= {content: next(s for s in _HELD_OUT_FIRST if s in sides) for content, sides in user_sides.items()}
    twice = sum(len(sides) > 1 for sides in user_sides.values())
    notes = [f"{counted(twice, 'photo is', 'photos are')} on two sides of your split: held out from training"]
    return fixed, notes if twice else []


def _reconcile_kept(units: Sequence[Unit], fixed: dict[str, Side], from_user: set[str]) -> int:
    """Make kept sides agree within each unit, in ``fixed``; return the number of contents that change sides."""
    moved = 0
    for unit in units:
        settled = [content for content in unit.contents if content in fixed]
        if len({fixed[content] for content in settled}) < 2:
            continue
        side = next((fixed[content] for content in settled if content in from_user), fixed[settled[0]])
        for content in settled:
            if content not in from_user and fixed[content] != side:
                fixed[content] = side
                moved += 1
    return moved


@dataclass
class _SideAssignment:
    """Assigns a side to each unit, and records the classes whose sides had to be filled."""

    units: Sequence[Unit]
    shares: Mapping[Side, float]
    fixed: Mapping[str, Side]
    filled: dict[Side, list[str]] = field(default_factory=lambda: defaultdict(list))
    straddling: int = 0

    def __post_init__(self) -> None:
        self._side = [self._first_side(unit) for unit in self.units]
        members: dict[str, list[int]] = defaultdict(list)
        for i, unit in enumerate(self.units):
            for label in unit.labels:
                members[label].append(i)
        for label in sorted(members):
            self._fill(label, sorted(members[label], key=lambda i: (self.units[i].draw, self.units[i].contents)))

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks to print for the user."""
        notes = []
        if self.straddling:
            groups = counted(self.straddling, "group is", "groups are")
            notes.append(f"{groups} on more than one side, in your split or an earlier run")
        for side, classes in self.filled.items():
            few = ", ".join(classes[:5]) + (f" and {len(classes) - 5:,} more" if len(classes) > 5 else "")
            notes.append(f"{side} had no photo of {few}: the photo with the lowest hash of each class was moved there")
        return tuple(notes)

    def sides(self) -> dict[str, Side]:
        """Return the side of every content."""
        return {
            content: self.fixed.get(content, side)
            for unit, side in zip(self.units, self._side, strict=True)
            for content in unit.contents
        }

    def _first_side(self, unit: Unit) -> Side:
        settled = [self.fixed[content] for content in unit.contents if content in self.fixed]
        if settled:
            self.straddling += len(set(settled)) > 1
            return settled[0]
        end = 0.0
        for side in SIDES:
            end += self.shares[side]
            if unit.draw < end and self.shares[side] > 0:
                return side
        return next(side for side in reversed(SIDES) if self.shares[side] > 0)

    def _fill(self, label: str, members: Sequence[int]) -> None:
        """Move units so that the class has enough on each required side; ``members``: its units, lowest draw first."""
        least = self._least_units(len(members))
        for side in _FILL_ORDER if len(members) > 2 else _FILL_ORDER[:1]:
            counts = Counter(self._side[i] for i in members)
            empty = not counts[side]
            for i in self._movable(members):
                if counts[side] >= least[side]:
                    break
                origin = self._side[i]
                if origin != side and (counts[origin] > least[origin] or (side == "train" and not counts[side])):
                    self._side[i] = side
                    counts.update({side: 1, origin: -1})
            if empty and counts[side]:
                self.filled[side].append(label)

    def _least_units(self, units: int) -> dict[Side, int]:
        """Return how many of a class's ``units`` must be on each side."""
        share = self.shares if units < STRATIFIED_BELOW else dict.fromkeys(SIDES, 0.0)
        least = {side: math.floor(share[side] * units + 1e-9) for side in SIDES}
        for side in ("validation", "test"):
            least[side] = max(int(self.shares[side] > 0), least[side])
        least["train"] = max(1, min(least["train"], units - least["validation"] - least["test"]))
        return least

    def _movable(self, members: Iterable[int]) -> list[int]:
        """Return the units that are not fixed and belong to one class only."""
        return [
            i
            for i in members
            if len(self.units[i].labels) == 1 and not any(c in self.fixed for c in self.units[i].contents)
        ]


def parse_shares(value: Any) -> tuple[float, float, float]:
    """Return shares that sum to 1 from ``"80/10/10"``, ``(80, 10, 10)`` or ``(0.8, 0.1, 0.1)``.

    Raises:
        ValueError: the value has another form, or train's share is 0.
    """
    if isinstance(value, str):
        try:
            value = [float(part) for part in value.split("/")]
        except ValueError:
            raise ValueError(f"expected train/validation/test such as 80/10/10, found {value!r}") from None
    numbers = isinstance(value, (list, tuple)) and all(isinstance(v, (int, float)) for v in value)
    if not numbers or len(value) != 3:
        raise ValueError(f"expected train/validation/test such as 80/10/10, found {value!r}")
    total = float(sum(value))
    if min(value) < 0 or value[0] <= 0 or not (math.isclose(total, 1.0) or math.isclose(total, 100.0)):
        raise ValueError(f"expected three parts of 100 with train above 0, found {'/'.join(f'{v:g}' for v in value)}")
    whole = 100.0 if total > 1.5 else 1.0
    train, validation, test = (float(v) / whole for v in value)
    return train, validation, test
