"""Causes of the store's errors: a damaged file, a failing disk, or a file that another process holds locked.

SQLite reports some damage as a failure of the disk: a page number with a flipped bit makes it read or write far beyond
the end of the file ("disk I/O error") or reach its largest page number ("database or disk is full"). The extended
result code decides where it is clear, https://www.sqlite.org/rescode.html; where it is not, the structure of the file
decides.
"""

from __future__ import annotations

import enum
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

_CLEARLY_DAMAGE = {  # by name: an older SQLite does not have all of them
    "SQLITE_IOERR_SHORT_READ",  # the file was truncated
    "SQLITE_IOERR_DELETE_NOENT",  # another process has replaced the file, and removed its journal
    "SQLITE_IOERR_CORRUPTFS",
    "SQLITE_IOERR_DATA",
    "SQLITE_IOERR_SHMOPEN",  # shared memory belongs to write-ahead logs, which the store does not use
    "SQLITE_IOERR_SHMSIZE",
    "SQLITE_IOERR_SHMLOCK",
    "SQLITE_IOERR_SHMMAP",
}
_PERHAPS_THE_DISK = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_NOLFS,
}
LOG_FILES = ("-wal", "-shm")  # endings of the files of a write-ahead log
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NO_ROOM = 64 * 10**6  # bytes; with less than that, "full" is believed without reading the whole file


class Cause(enum.Enum):
    """Cause of an error: it decides whether the store takes a new file, stops writing, or stops altogether."""

    DAMAGE = "the file is damaged or replaced"
    DISK = "the disk is full, fails, or cannot be written to"
    LOCK = "another process holds the file locked"


def cause_of(error: Exception, path: Path, *, folder_is_writable: bool) -> tuple[Cause, bool]:
    """Return the cause of ``error`` in the store's file at ``path``, and whether it is certain.

    A cause that is not certain is `Cause.DISK` if the error comes back: with a new file after `Cause.DAMAGE`, with the
    same file after `Cause.DISK`, where another process may have restored the file from a damaged journal meanwhile.
    """
    if isinstance(error, OSError):
        return Cause.DISK, True
    if isinstance(error, UnicodeDecodeError):  # a damaged name, in SQLite's message
        return Cause.DAMAGE, True
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if not path.exists():  # another process has replaced it, or it cannot be made
        return Cause.DAMAGE, primary not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
    name = getattr(error, "sqlite_errorname", "")
    if primary in _LOCKED:
        return (Cause.DAMAGE if has_write_ahead_log(path) else Cause.LOCK), True
    if primary == sqlite3.SQLITE_READONLY:  # also where the file was moved, or its header asks for a later SQLite
        return (Cause.DAMAGE if folder_is_writable else Cause.DISK), True
    if primary not in _PERHAPS_THE_DISK or name in _CLEARLY_DAMAGE:
        return Cause.DAMAGE, True
    if primary == sqlite3.SQLITE_FULL and _free(path.parent) < _NO_ROOM:
        return Cause.DISK, True
    return (Cause.DISK if _is_sound(path) else Cause.DAMAGE), False


def has_write_ahead_log(path: Path) -> bool:
    """Return whether the header of the file asks for a write-ahead log, or a process has such a log of the file open.

    Two damaged bytes are enough for that. A process that has opened the log blocks all those that use none.
    SQLite reads the header, since closing a file of our own would release the locks of all connections of this process
    (https://www.sqlite.org/howtocorrupt.html, 2.2). Without locks it opens no log.
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
    """Return whether SQLite can read the file at ``path`` and finds its structure in order."""
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
