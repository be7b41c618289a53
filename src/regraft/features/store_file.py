"""One file of the store: a database of SQLite with everything that is kept, and when it was last used.

SQLite is told to do without shared memory and without mapping the file: a damaged page then ends in an error or a wrong
value, which the digests find, and never in a signal. It locks the file for the moment of a commit, and a process that
is killed in the middle of one leaves a journal from which the next process restores the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.features.packing import Numbers, pack, unpack
from regraft.features.store_faults import has_write_ahead_log

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS kinds (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, place INTEGER NOT NULL, kind INTEGER NOT NULL,
        size INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS packed (place INTEGER PRIMARY KEY, data BLOB NOT NULL)",
)
_SETTINGS = (
    "page_size = 16384",  # three rows of 1,280 numbers a page, and none of them spread over two
    "auto_vacuum = INCREMENTAL",
    "journal_mode = TRUNCATE",
    "synchronous = NORMAL",
    "mmap_size = 0",
    "cell_size_check = ON",
    "secure_delete = OFF",
    "cache_size = -8000",
)


@dataclass(frozen=True)
class Kind:
    """Entries of one kind.

    Attributes:
        name: of what and how they were computed.
        entries: how many.
        size: bytes of their numbers.
        used: when one of them was last used, in hours since 1970.
    """

    name: str
    entries: int
    size: int
    used: int


class StoreFile:
    """An open file of the store. All methods raise `sqlite3.Error` where SQLite does.

    Args:
        path: of the file; made if it is not there.
        timeout: seconds to wait while another process writes.
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        self.path = path
        if has_write_ahead_log(path):  # SQLite would map the log's index into memory
            raise sqlite3.DatabaseError(f"{path.name} is damaged: its header asks for a write-ahead log")
        self._db = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
        self._db.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            for setting in _SETTINGS:
                self._db.execute(f"PRAGMA {setting}")
            if self._one("SELECT count(*) FROM sqlite_master") == 0:
                with self._transaction():
                    for table in _SCHEMA:
                        self._db.execute(table)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def read(self, keys: Sequence[bytes]) -> list[tuple[bytes, int, Numbers | None]]:
        """Return (key, hours since 1970 of its last use, numbers) for those of ``keys`` that are there.

        The numbers of a damaged entry are None.
        """
        found: list[tuple[bytes, int, Numbers | None]] = []
        with self._transaction("DEFERRED"):
            for key in keys:
                query = "SELECT e.used, p.data FROM entries e LEFT JOIN packed p ON p.place = e.place WHERE e.key = ?"
                for used, data in self._db.execute(query, (key,)).fetchall():
                    found.append((key, used if isinstance(used, int) else 0, unpack(key, data)))
        return found

    def among(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of ``keys`` that are there, damaged or not."""
        query = "SELECT count(*) FROM entries WHERE key = ?"
        with self._transaction("DEFERRED"):
            return {key for key in keys if self._db.execute(query, (key,)).fetchone()[0]}

    def write(self, items: Iterable[tuple[bytes, Numbers]], kind: str, now: int) -> None:
        """Keep each of ``items`` in place of what was there under its key."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO kinds (name) VALUES (?)", (kind,))
            number = self._one("SELECT id FROM kinds WHERE name = ?", (kind,))
            rows = [(key, pack(key, numbers)) for key, numbers in items]
            old = "DELETE FROM packed WHERE place = (SELECT place FROM entries WHERE key = ?)"
            self._db.executemany(old, [(key,) for key, _ in rows])  # first: a damaged place may be that of a new row
            for key, data in rows:
                place = self._db.execute("INSERT INTO packed (data) VALUES (?)", (data,)).lastrowid
                entry = (key, place, number, len(data), now)
                self._db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", entry)

    def touch(self, keys: Sequence[bytes], now: int) -> None:
        """Note that ``keys`` are in use."""
        with self._transaction():
            self._db.executemany("UPDATE entries SET used = ? WHERE key = ?", [(now, key) for key in keys])

    def remove(self, keys: Sequence[bytes]) -> None:
        """Forget ``keys``."""
        rows = [(key,) for key in keys]
        with self._transaction():
            self._db.executemany("DELETE FROM packed WHERE place = (SELECT place FROM entries WHERE key = ?)", rows)
            self._db.executemany("DELETE FROM entries WHERE key = ?", rows)

    def keys(self, *, oldest: int | None = None, used_before: int | None = None) -> list[bytes]:
        """Return keys, those used least recently first: of ``oldest`` bytes in all, or last used before an hour."""
        rows = self._db.execute(
            "SELECT CAST(key AS BLOB), CAST(size AS INTEGER), CAST(used AS INTEGER) FROM entries ORDER BY used, place"
        )
        found: list[bytes] = []
        total = 0
        with closing(rows) as cursor:
            for key, size, used in cursor:
                if (oldest is not None and total >= oldest) or (used_before is not None and used >= used_before):
                    break
                found.append(key)
                total += size
        return found

    def kinds(self) -> list[Kind]:
        """Return what is there, the most of it first."""
        rows = self._db.execute(
            "SELECT coalesce(k.name, '?'), count(*), CAST(total(e.size) AS INTEGER), CAST(max(e.used) AS INTEGER) "
            "FROM entries e LEFT JOIN kinds k ON k.id = e.kind GROUP BY k.name ORDER BY 3 DESC, 1"
        )
        return [Kind(str(name), int(n), int(size), int(used)) for name, n, size, used in rows.fetchall()]

    def size(self) -> int:
        """Return the bytes of the file that are in use."""
        pages = self._one("PRAGMA page_count") - self._one("PRAGMA freelist_count")
        return int(pages * self._one("PRAGMA page_size"))

    def shrink(self) -> None:
        """Give the space of removed entries back to the disk."""
        with self._transaction():
            self._db.execute("DELETE FROM packed WHERE place NOT IN (SELECT place FROM entries)")
            self._db.execute("DELETE FROM kinds WHERE id NOT IN (SELECT kind FROM entries)")
        self._db.executescript("PRAGMA incremental_vacuum")  # execute() would free a single page

    def check(self) -> None:
        """Raise `sqlite3.DatabaseError` where the structure of the file is damaged."""
        found = self._one("PRAGMA quick_check(1)")
        if found != "ok":
            raise sqlite3.DatabaseError(found)

    def _one(self, query: str, values: Sequence[Any] = ()) -> Any:
        with closing(self._db.execute(query, values)) as cursor:
            row = cursor.fetchone()
        if row is None:
            raise sqlite3.DatabaseError(f"no answer to {query}")
        return row[0]

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        self._db.execute(f"BEGIN {kind}")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
