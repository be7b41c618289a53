"""Columns of a table of labels: photos, labels, sides and groups, by their names, or by content where names are odd."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from regraft.data.side_words import side_of_value
from regraft.data.tables.cells import column_key
from regraft.data.tables.column_words import GROUP_NAMES, LABEL_RANKS, PATH_RANKS, PREDICTED_NAMES, SPLIT_NAMES
from regraft.data.tables.table import Table, rows_message
from regraft.errors import PhotosError, did_you_mean

_SAMPLE = 50
_MOST, _NEAR = 0.9, 0.7

Known = Callable[[str], bool]
"""True for a text that names a photo."""


@dataclass(frozen=True)
class ColumnNames:
    """Columns that the user names.

    Attributes:
        path: the column of photos, or None to recognize it.
        label: the column of labels, or None to recognize it.
    """

    path: str | None = None
    label: str | None = None


RECOGNIZED = ColumnNames()
"""No column is named: all are recognized."""


@dataclass(frozen=True)
class Columns:
    """Positions of the columns of a table.

    Attributes:
        path: the column of photos.
        label: the column of labels.
        split: the column of sides, or None.
        group: the column of groups, or None.
        error: the column in which ``regraft predict`` writes why a photo was not read, or None.
        header: whether the first row has names of columns; otherwise it is a photo.
        notes: remarks to print for the user.
    """

    path: int
    label: int
    split: int | None
    group: int | None
    error: int | None
    header: bool
    notes: tuple[str, ...]


def choose_columns(table: Table, named: ColumnNames, is_photo: Known) -> Columns:
    """Return the columns of a table of labels.

    Args:
        table: the table.
        named: columns that the user names.
        is_photo: returns whether a text names a photo.

    Raises:
        PhotosError: a column is missing, appears twice, or could be one of several.
    """
    keys = [column_key(name) for name in table.header]
    if named == RECOGNIZED and len(keys) == 2 and not set(keys) & (PATH_RANKS.keys() | LABEL_RANKS.keys()):
        without = _without_header(table, is_photo)
        if without is not None:
            return without
    choice = _Choice(table, keys, is_photo)
    path = choice.path(named.path)
    label = choice.label(named.label, path)
    if path is None or label is None or choice.problems:
        problems = [f"line {table.line}: {problem}" for problem in choice.problems]
        raise PhotosError(rows_message(table.title, problems, *choice.next_steps))
    split = choice.optional(SPLIT_NAMES, (path, label), _are_sides)
    group = choice.optional(GROUP_NAMES, (path, label))
    used = {path, label, split, group}
    notes = []
    if keys[path] != "path" or keys[label] != "label":
        column = f"photos from the column {table.header[path].strip()!r}, labels from {table.header[label].strip()!r}"
        notes.append(f"{table.name}: {column}")
    unused = [i for i, key in enumerate(keys) if i not in used and key and not _is_no_news(key)]
    if unused:
        names = [table.header[i].strip().casefold() for i in unused]
        few = ", ".join(map(repr, names[:6])) + (" …" if len(names) > 6 else "")
        about = f"column {few} is" if len(unused) == 1 else f"columns {few} are"
        near = len(unused) == 1 and any(SequenceMatcher(None, names[0], o).ratio() > _NEAR for o in ("split", "group"))
        hint = did_you_mean(names[0], ("split", "group")) if near else ""
        notes.append(f"{table.name}: {about} not used{hint}")
    error = keys.index("error") if "error" in keys else None
    return Columns(path, label, split, group, error, True, tuple(notes))


def _is_no_news(key: str) -> bool:
    """Return whether a column needs no note: an index, or what ``regraft predict`` writes."""
    return key.rstrip("0123456789") in (PREDICTED_NAMES | {"", "label"}) or key.startswith("unnamed:")


def _are_sides(values: Sequence[str]) -> bool:
    return all(side_of_value(value) for value in values if value.strip())


def _without_header(table: Table, is_photo: Known) -> Columns | None:
    """Return the columns of a table of two columns without names, or None if its first row is a header."""
    rows = [table.header, *(fields for _, fields in table.rows[:_SAMPLE])]
    for path in (0, 1):
        named = [len(fields) == 2 and is_photo(fields[path]) for fields in rows]
        if named[0] and sum(named) >= _MOST * len(named):
            note = f"{table.name}: no names of columns; column {path + 1} has the photos, column {2 - path} the labels"
            return Columns(path, 1 - path, None, None, None, False, (note,))
    return None


class _Choice:
    """The choice of columns, with its problems."""

    def __init__(self, table: Table, keys: Sequence[str], is_photo: Known) -> None:
        self._table, self._keys, self._is_photo = table, keys, is_photo
        self.problems: list[str] = []
        self.next_steps: list[str] = []

    def path(self, named: str | None) -> int | None:
        """Return the column of photos."""
        if named is not None:
            return self._named(named, "--path-column")
        ranked = self._ranked(PATH_RANKS)
        exact = [i for i in ranked if self._keys[i] == "path"]
        if len(exact) == 1 or len(ranked) == 1:
            return (exact or ranked)[0]
        best = max(ranked, key=self._share, default=None)  # the first of equal ones
        if best is None:
            others = [i for i, key in enumerate(self._keys) if key and self._share(i) >= _MOST]
            best = others[0] if len(others) == 1 else None
        if best is None:
            self._missing("path", "--path-column NAME names the column with the file names")
        elif self._keys.count(self._keys[best]) > 1:
            self._twice(self._keys[best])
        return best

    def label(self, named: str | None, path: int | None) -> int | None:
        """Return the column of labels."""
        if named is not None:
            return self._named(named, "--label-column")
        ranked = [i for i in self._ranked(LABEL_RANKS) if i != path]
        exact = [i for i in ranked if self._keys[i] == "label"]
        best = exact or [i for i in ranked if LABEL_RANKS[self._keys[i]] == LABEL_RANKS[self._keys[ranked[0]]]]
        taken = SPLIT_NAMES | GROUP_NAMES | PREDICTED_NAMES
        if not best:
            best = [i for i, key in enumerate(self._keys) if key and i != path and key not in taken]
            if path is None or len(best) > 1:
                best = []
        if not best:
            self._missing("label", "--label-column NAME names the column with the labels")
            return None
        if len(best) > 1:
            if len({self._keys[i] for i in best}) == 1:
                self._twice(self._keys[best[0]])
            else:
                names = " and ".join(repr(self._table.header[i].strip()) for i in best)
                self.problems.append(f"the labels could be in {names}")
                self.next_steps.append("  --label-column NAME says which")
        return best[0]

    def optional(
        self, names: frozenset[str], used: Sequence[int], valid: Callable[[Sequence[str]], bool] | None = None
    ) -> int | None:
        """Return a column with one of ``names``; one with another name than the first must have valid values."""
        for i, key in enumerate(self._keys):
            certain = key in ("split", "group")
            if key in names and i not in used and (certain or valid is None or valid(self._values(i))):
                return i
        return None

    def _ranked(self, ranks: Mapping[str, int]) -> list[int]:
        known = [i for i, key in enumerate(self._keys) if key in ranks]
        return sorted(known, key=lambda i: ranks[self._keys[i]])

    def _share(self, column: int) -> float:
        values = self._values(column)[:_SAMPLE]
        return sum(map(self._is_photo, values)) / max(1, len(values))

    def _values(self, column: int) -> list[str]:
        return [fields[column] for _, fields in self._table.rows if column < len(fields)]

    def _named(self, name: str, option: str) -> int | None:
        wanted = column_key(name)
        places = [i for i, key in enumerate(self._keys) if key == wanted]
        exact = [i for i in places if self._table.header[i].strip() == name.strip()]
        if len(exact or places) == 1:
            return (exact or places)[0]
        if places:
            self._twice(name)
            return None
        headers = [field.strip() for field in self._table.header]
        self.problems.append(f"no column {name!r} for {option}{self._present()}{did_you_mean(name, headers)}")
        return None

    def _missing(self, need: str, step: str) -> None:
        names = [field.strip().casefold() for field in self._table.header]
        self.problems.append(f"no column {need!r}{self._present()}{did_you_mean(need, names)}")
        self.next_steps.append(f"  {step}")

    def _present(self) -> str:
        return f"; its columns are {', '.join(repr(field.strip()) for field in self._table.header) or 'none'}"

    def _twice(self, name: str) -> None:
        self.problems.append(f"column {name!r} appears {self._keys.count(column_key(name))} times")
