"""Formats for the files of a shared feature store: Arrow IPC, Parquet and Lance, on rows as regraft stores them.

    python benchmarks/shared_store_formats.py [ROWS]

Each format writes ROWS entries of 1,280 float32 numbers (10,000 if not given) as 20 small files and as one large file,
and is then asked for all keys, for all rows, and for 100 scattered rows. Seconds are CPU seconds of this process and
its threads (medians of three); compare them within one run. Lance (`pip install pylance`) is left out if missing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

ROUNDS = 3
WIDTH = 1280


def cpu_seconds() -> float:
    """Return the CPU seconds that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(work: Callable[[], Any]) -> float:
    """Return the median CPU seconds of ``work``."""
    seconds = []
    for _ in range(ROUNDS):
        begun = cpu_seconds()
        work()
        seconds.append(cpu_seconds() - begun)
    return statistics.median(seconds)


def table_of(rows: int) -> pa.Table:
    """Return keys and entries like those of the store."""
    draw = np.random.default_rng(0)
    keys = [hashlib.sha256(b"%d" % i).digest() for i in range(rows)]
    values = np.maximum(draw.standard_normal((rows, WIDTH)), 0).astype(np.float32)
    schema = pa.schema([("key", pa.binary(32)), ("entry", pa.large_binary())])
    return pa.table([pa.array(keys, pa.binary(32)), pa.array([row.tobytes() for row in values])], schema=schema)


class Arrow:
    """Arrow IPC files."""

    name = "Arrow IPC"

    def write(self, table: pa.Table, path: Path) -> None:
        """Write a table."""
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=800)

    def keys(self, path: Path) -> int:
        """Return the number of keys, read without the entries."""
        options = pa.ipc.IpcReadOptions(included_fields=[0])
        with pa.OSFile(str(path)) as file:
            reader = pa.ipc.open_file(file, options=options)
            return sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))

    def rows(self, path: Path) -> int:
        """Return the number of bytes of all entries."""
        with pa.OSFile(str(path)) as file:
            reader = pa.ipc.open_file(file)
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
            return sum(len(entry.as_py()) for batch in batches for entry in batch.column(1))

    def some(self, path: Path, which: list[int]) -> int:
        """Return the number of bytes of some entries."""
        with pa.OSFile(str(path)) as file:
            reader = pa.ipc.open_file(file)
            batches: dict[int, Any] = {}
            total = 0
            for row in which:
                number = row // 800
                batch = batches.setdefault(number, None) or reader.get_batch(number)
                batches[number] = batch
                total += len(batch.column(1)[row - 800 * number].as_py())
            return total


class Parquet:
    """Parquet files, as their writer makes them by default (Snappy)."""

    name = "Parquet"

    def write(self, table: pa.Table, path: Path) -> None:
        """Write a table."""
        pa.parquet.write_table(table, path, row_group_size=800, write_page_checksum=True)

    def keys(self, path: Path) -> int:
        """Return the number of keys, read without the entries."""
        return int(pa.parquet.read_table(path, columns=["key"]).num_rows)

    def rows(self, path: Path) -> int:
        """Return the number of bytes of all entries."""
        return sum(len(entry.as_py()) for entry in pa.parquet.read_table(path).column(1))

    def some(self, path: Path, which: list[int]) -> int:
        """Return the number of bytes of some entries."""
        file = pa.parquet.ParquetFile(path)
        groups: dict[int, Any] = {}
        total = 0
        for row in which:
            number = row // 800
            group = groups.setdefault(number, None) or file.read_row_group(number)
            groups[number] = group
            total += len(group.column(1)[row - 800 * number].as_py())
        return total


class Lance:
    """Lance data sets."""

    name = "Lance"

    def write(self, table: pa.Table, path: Path) -> None:
        """Write a table."""
        import lance

        lance.write_dataset(table, str(path), mode="overwrite")

    def keys(self, path: Path) -> int:
        """Return the number of keys, read without the entries."""
        import lance

        return int(lance.dataset(str(path)).to_table(columns=["key"]).num_rows)

    def rows(self, path: Path) -> int:
        """Return the number of bytes of all entries."""
        import lance

        return sum(len(entry.as_py()) for entry in lance.dataset(str(path)).to_table().column(1))

    def some(self, path: Path, which: list[int]) -> int:
        """Return the number of bytes of some entries."""
        import lance

        return sum(len(entry.as_py()) for entry in lance.dataset(str(path)).take(which).column(1))


def size_of(path: Path) -> int:
    """Return the bytes of a file or of a folder."""
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def measure(store: Arrow | Parquet | Lance, table: pa.Table, folder: Path) -> list[str]:
    """Return a row of the table of results."""
    large = folder / f"{store.name} large"
    part = len(table) // 20
    small = [folder / f"{store.name} {i}" for i in range(20)]
    which = sorted(np.random.default_rng(1).choice(len(table), 100, replace=False).tolist())
    write_small = timed(lambda: [store.write(table.slice(i * part, part), path) for i, path in enumerate(small)])
    write_large = timed(lambda: store.write(table, large))
    figures = [
        f"{sum(map(size_of, small)) / 1e6:.1f}",
        f"{size_of(large) / 1e6:.1f}",
        f"{write_small:.2f}",
        f"{write_large:.2f}",
        f"{timed(lambda: [store.keys(path) for path in small]):.3f}",
        f"{timed(lambda: store.keys(large)):.3f}",
        f"{timed(lambda: store.rows(large)):.2f}",
        f"{timed(lambda: store.some(large, which)):.3f}",
    ]
    return [store.name, *figures]


def main() -> None:
    """Print a table in Markdown."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    table = table_of(rows)
    stores: list[Any] = [Arrow(), Parquet()]
    if importlib.util.find_spec("lance") is not None:
        stores.append(Lance())
    heads = ["format", "20 files, MB", "1 file, MB", "write 20, s", "write 1, s", "keys of 20, s", "keys of 1, s"]
    out = io.StringIO()
    print("|", " | ".join([*heads, "all rows, s", "100 rows, s"]), "|", file=out)
    print("|---" * 9 + "|", file=out)
    for store in stores:
        with tempfile.TemporaryDirectory() as folder:
            print("|", " | ".join(measure(store, table, Path(folder))), "|", file=out)
    print(f"{rows:,} rows x {WIDTH} float32, pyarrow {pa.__version__}\n\n{out.getvalue()}")


if __name__ == "__main__":
    main()
