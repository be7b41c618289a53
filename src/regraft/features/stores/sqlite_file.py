"""One file of the feature store: an SQLite database of all entries and their last use.

SQLite uses neither shared memory nor memory mapping here. So a damaged page causes an error or a wrong value, which the
digests detect, and never a signal. SQLite locks the file during a commit only. If a process is killed during a commit,
the next process restores the file from the journal.

`error_cause` tells a damaged file from a failing disk and from a lock of another process. SQLite reports some damage as
a failure of the disk: a flipped bit in a page number makes it read or write far beyond the end of the file ("disk I/O
error") or reach its largest page number ("database or disk is full"). The extended result code decides if it is clear
(https://www.sqlite.org/rescode.html), else the structure of the file decides.
"""

from __future__ import annotations

import enum
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.features.stores.store import FeatureArray, pack, unpack

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS kinds (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, place INTEGER NOT NULL, kind INTEGER NOT NULL,
        size INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS packed (place INTEGER PRIMARY KEY, data BLOB NOT NULL)",
)
_SETTINGS = (
    "page_size = 16384",  # three rows of 1,280 numbers per page, none of them split
    "auto_vacuum = INCREMENTAL",
    "journal_mode = TRUNCATE",
    "synchronous = NORMAL",
    "mmap_size = 0",
    "cell_size_check = ON",
    "secure_delete = OFF",
    "cache_size = -8000",
)


@dataclass(frozen=True)
class EntryKind:
    """Summary of all entries of one kind.

    Attributes:
        name: description of the features and how they were computed.
        entries: number of entries.
        size: total size in bytes.
        used: last use of any of them, in hours since 1970.
    """

    name: str
    entries: int
    size: int
    used: int


class StoreFile:
    """Open file of the store. All methods raise `sqlite3.Error` if SQLite does.

    Args:
        path: path of the file; it is created if missing.
        timeout: seconds to wait while another process writes.
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        self.path = path
        if has_write_ahead_log(path):  # SQLite would map the log's index into memory
            raise sqlite3.DatabaseError(f"{path.name} is damaged: its header requires a write-ahead log")
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
        """Close the file."""
        self._db.close()

    def read(self, keys: Sequence[bytes]) -> list[tuple[bytes, int, FeatureArray | None]]:
        """Return (key, last use in hours since 1970, features) for those of ``keys`` that exist.

        The features of a damaged entry are None.
        """
        entries: list[tuple[bytes, int, FeatureArray | None]] = []
        with self._transaction("DEFERRED"):
            for key in keys:
                query = "SELECT e.used, p.data FROM entries e LEFT JOIN packed p ON p.place = e.place WHERE e.key = ?"
                for used, data in self._db.execute(query, (key,)).fetchall():
                    entries.append((key, used if isinstance(used, int) else 0, unpack(key, data)))
        return entries

    def existing(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of ``keys`` that exist, damaged or not."""
        query = "SELECT count(*) FROM entries WHERE key = ?"
        with self._transaction("DEFERRED"):
            return {key for key in keys if self._db.execute(query, (key,)).fetchone()[0]}

    def write(self, items: Iterable[tuple[bytes, FeatureArray]], kind: str, now: int) -> None:
        """Store ``items``, replacing entries with the same keys."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO kinds (name) VALUES (?)", (kind,))
            number = self._one("SELECT id FROM kinds WHERE name = ?", (kind,))
            rows = [(key, pack(key, numbers)) for key, numbers in items]
            old = "DELETE FROM packed WHERE place = (SELECT place FROM entries WHERE key = ?)"
            self._db.executemany(
                old, [(key,) for key, _ in rows]
            )  # first, because a damaged place may equal a new row's
            for key, data in rows:
                place = self._db.execute("INSERT INTO packed (data) VALUES (?)", (data,)).lastrowid
                entry = (key, place, number, len(data), now)
                self._db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", entry)

    def touch(self, keys: Sequence[bytes], now: int) -> None:
        """Record that ``keys`` are in use."""
        with self._transaction():
            self._db.executemany("UPDATE entries SET used = ? WHERE key = ?", [(now, key) for key in keys])

    def remove(self, keys: Sequence[bytes]) -> None:
        """Remove the entries of ``keys``."""
        rows = [(key,) for key in keys]
        with self._transaction():
            self._db.executemany("DELETE FROM packed WHERE place = (SELECT place FROM entries WHERE key = ?)", rows)
            self._db.executemany("DELETE FROM entries WHERE key = ?", rows)

    def keys(self, *, min_bytes: int | None = None, used_before: int | None = None) -> list[bytes]:
        """Return keys, least recently used first: entries of ``min_bytes`` in total, or those used before an hour."""
        rows = self._db.execute(
            "SELECT CAST(key AS BLOB), CAST(size AS INTEGER), CAST(used AS INTEGER) FROM entries ORDER BY used, place"
        )
        keys: list[bytes] = []
        total = 0
        with closing(rows) as cursor:
            for key, size, used in cursor:
                if (min_bytes is not None and total >= min_bytes) or (used_before is not None and used >= used_before):
                    break
                keys.append(key)
                total += size
        return keys

    def kinds(self) -> list[EntryKind]:
        """Return the kinds of entries, largest first."""
        rows = self._db.execute(
            "SELECT coalesce(k.name, '?'), count(*), CAST(total(e.size) AS INTEGER), CAST(max(e.used) AS INTEGER) "
            "FROM entries e LEFT JOIN kinds k ON k.id = e.kind GROUP BY k.name ORDER BY 3 DESC, 1"
        )
        return [EntryKind(str(name), int(n), int(size), int(used)) for name, n, size, used in rows.fetchall()]

    def size(self) -> int:
        """Return the bytes in use in the file."""
        pages = self._one("PRAGMA page_count") - self._one("PRAGMA freelist_count")
        return int(pages * self._one("PRAGMA page_size"))

    def shrink(self) -> None:
        """Return the space of removed entries to the disk."""
        with self._transaction():
            self._db.execute("DELETE FROM packed WHERE place NOT IN (SELECT place FROM entries)")
            self._db.execute("DELETE FROM kinds WHERE id NOT IN (SELECT kind FROM entries)")
        self._db.executescript("PRAGMA incremental_vacuum")  # execute() would free a single page

    def check(self) -> None:
        """Raise `sqlite3.DatabaseError` if the structure of the file is damaged."""
        damage = self._one("PRAGMA quick_check(1)")
        if damage != "ok":
            raise sqlite3.DatabaseError(damage)

    def _one(self, query: str, values: Sequence[Any] = ()) -> Any:
        with closing(self._db.execute(query, values)) as cursor:
            row = cursor.fetchone()
        if row is None:
            raise sqlite3.DatabaseError(f"no result of {query}")
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


_CERTAIN_DAMAGE = {  # by name, because older versions of SQLite lack some
    "SQLITE_IOERR_SHORT_READ",  # the file was truncated
    "SQLITE_IOERR_DELETE_NOENT",  # another process replaced the file and its journal
    "SQLITE_IOERR_CORRUPTFS",
    "SQLITE_IOERR_DATA",
    "SQLITE_IOERR_SHMOPEN",  # only write-ahead logs use shared memory; the store has none
    "SQLITE_IOERR_SHMSIZE",
    "SQLITE_IOERR_SHMLOCK",
    "SQLITE_IOERR_SHMMAP",
}
_POSSIBLE_DISK_FAILURES = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_NOLFS,
}
LOG_FILES = ("-wal", "-shm")  # suffixes of the files of a write-ahead log
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_FULL_DISK_BYTES = 64 * 10**6  # below this free space, "full" is trusted without a check of the file


class ErrorCause(enum.Enum):
    """Cause of an error: the store switches to a new file, stops writing, or stops altogether."""

    DAMAGE = "the file is damaged or replaced"
    DISK = "the disk is full, failing or read-only"
    LOCK = "another process locks the file"


def error_cause(error: Exception, path: Path, *, folder_is_writable: bool) -> tuple[ErrorCause, bool]:
    """Return the cause of ``error`` in the store's file at ``path``, and whether it is certain.

    If the error comes back, treat an uncertain cause as `ErrorCause.DISK`. Retry with a new file after
    `ErrorCause.DAMAGE`, and with the same file after `ErrorCause.DISK`: another process may have restored it from a
    journal in the meantime.
    """
    if isinstance(error, OSError):
        return ErrorCause.DISK, True
    if isinstance(error, UnicodeDecodeError):  # a damaged name in SQLite's message
        return ErrorCause.DAMAGE, True
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if not path.exists():  # another process replaced it, or it cannot be created
        return ErrorCause.DAMAGE, primary not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
    name = getattr(error, "sqlite_errorname", "")
    if primary in _LOCKED:
        return (ErrorCause.DAMAGE if has_write_ahead_log(path) else ErrorCause.LOCK), True
    if primary == sqlite3.SQLITE_READONLY:  # also if the file was moved, or needs a newer SQLite
        return (ErrorCause.DAMAGE if folder_is_writable else ErrorCause.DISK), True
    if primary not in _POSSIBLE_DISK_FAILURES or name in _CERTAIN_DAMAGE:
        return ErrorCause.DAMAGE, True
    if primary == sqlite3.SQLITE_FULL and _free(path.parent) < _FULL_DISK_BYTES:
        return ErrorCause.DISK, True
    return (ErrorCause.DISK if _is_sound(path) else ErrorCause.DAMAGE), False


def has_write_ahead_log(path: Path) -> bool:
    """Return whether the file's header requires a write-ahead log, or another process has opened such a log.

    Two damaged bytes are enough for that. A process that has opened the log blocks all processes that use none. SQLite
    reads the header here: closing a file opened by Python would release the locks of all connections of this process
    (https://www.sqlite.org/howtocorrupt.html, 2.2). Without locks it does not open the log.
    """
    if any(path.with_name(path.name + end).exists() for end in LOG_FILES):
        return True
    try:
        with closing(_connected(path, "mode=ro&nolock=1")) as database:
            database.execute("PRAGMA schema_version").fetchone()
    except (sqlite3.Error, OSError) as error:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN and os.access(path, os.R_OK)
    return False


def _is_sound(path: Path) -> bool:
    """Return whether SQLite can read the file at ``path`` and finds its structure intact."""
    try:
        with closing(_connected(path, "mode=rw")) as database:
            database.execute("PRAGMA mmap_size = 0")
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except (sqlite3.Error, OSError, OverflowError):
        return False


def _connected(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
