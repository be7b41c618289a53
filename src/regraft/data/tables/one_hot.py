"""Labels that a table writes as one column per class, with a single 1 in each row, as in many competitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from regraft.data.tables.cells import column_key
from regraft.data.tables.column_words import GROUP_NAMES, LABEL_RANKS, PATH_RANKS, PREDICTED_NAMES, SPLIT_NAMES
from regraft.data.tables.table import Row, Table
from regraft.text import shorten

_YES, _NO = frozenset({"1", "1.0", "true", "yes", "x"}), frozenset({"0", "0.0", "false", "no", ""})
_OTHERS = PATH_RANKS.keys() | SPLIT_NAMES | GROUP_NAMES | PREDICTED_NAMES


def with_label_column(table: Table) -> Table:
    """Return the table with a column ``label`` if it has one column per class instead, and otherwise as it is."""
    keys = [column_key(name) for name in table.header]
    if any(key in LABEL_RANKS for key in keys):
        return table
    columns = [i for i, key in enumerate(keys) if key and key not in _OTHERS]
    rows = [fields for _, fields in table.rows if len(fields) == len(keys)]
    if len(columns) < 2 or not rows or not all(_one_yes(fields, columns) for fields in rows):
        return table
    names = [table.header[i].strip() for i in columns]
    others = [i for i in range(len(keys)) if i not in columns]
    note = f"{table.name}: labels from the columns {shorten(names)}, with one 1 in each row"
    labeled: list[Row] = [
        (line, [*(fields[i] for i in others), _label(fields, columns, names)] if len(fields) == len(keys) else fields)
        for line, fields in table.rows
    ]
    header = [*(table.header[i] for i in others), "label"]
    return replace(table, header=header, rows=labeled, notes=(*table.notes, note))


def _one_yes(fields: Sequence[str], columns: Sequence[int]) -> bool:
    cells = [fields[i].strip().casefold() for i in columns]
    return sum(cell in _YES for cell in cells) == 1 and all(cell in _YES | _NO for cell in cells)


def _label(fields: Sequence[str], columns: Sequence[int], names: Sequence[str]) -> str:
    return next(name for i, name in zip(columns, names, strict=True) if fields[i].strip().casefold() in _YES)
