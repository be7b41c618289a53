"""Measure what ``torch.load(weights_only=True)`` makes of damaged and crafted files, and what regraft makes of them.

    python benchmarks/torch_load.py

Each file is loaded in a process of its own. The table gives the result, the time of the processor and the memory taken.
It is the reason for `regraft.disk.torch_file`, regraft's own reader of such files.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from regraft.disk.torch_file import read_torch_file

TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu%btQ"
    b"K\0(%bt(%bt\x89ccollections\nOrderedDict\n)RtR"
)
"""The pickle of one tensor: the items of its storage, its shape, its strides."""


def archive(path: Path, pickled: bytes) -> Path:
    """Write a file of ``torch.save`` with this pickle and one storage of 16 floats."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("m/data.pkl", b"\x80\x02" + pickled + b".")
        file.writestr("m/byteorder", b"little")
        file.writestr("m/data/0", bytes(64))
        file.writestr("m/version", b"3\n")
    return path


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield what is wrong with each file, and the file."""
    path = folder / "flipped.pt"
    weights = torch.arange(1000.0)
    torch.save({"weights": weights}, path)
    raw = path.read_bytes()
    at = raw.index(weights.numpy().tobytes()) + 5
    path.write_bytes(raw[:at] + bytes([raw[at] ^ 64]) + raw[at + 1 :])
    yield "a bit flipped in the weights", path
    claims = TENSOR % (b"K\x11", b"K\x11", b"K\x01")
    yield "17 floats claimed, 16 are there", archive(folder / "claims.pt", claims)
    crafted = {
        "bytearray of 2 GB": b"cbuiltins\nbytearray\n(J\xff\xff\xff\x7ftR",
        "key of a dict, nested 26 times": b"}K\0" + b"q\x01h\x01\x86" * 26 + b"Ns",
        "10 million empty lists": b"]" * 10_000_000,
    }
    for number, (what, pickled) in enumerate(crafted.items()):
        yield what, archive(folder / f"crafted{number}.pt", pickled)


def load(how: Callable[[Path], Any], path: Path, answer: Any) -> None:
    """Load a file in this process, and send what came of it."""
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        how(path)
        result = "loaded"
    except Exception as error:  # noqa: BLE001  (whatever it is, it is the result)
        result = f"refused: {str(error).splitlines()[0][:60]}"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    answer.send((result, time.process_time() - begun, memory / 1024))


def main() -> None:
    """Run as a command."""
    readers: dict[str, Callable[[Path], Any]] = {
        "torch.load": lambda path: torch.load(path, weights_only=True),
        "torch.load, mmap": lambda path: torch.load(path, weights_only=True, mmap=True),
        "regraft": read_torch_file,
    }
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        for what, path in files(Path(folder)):
            print(f"{what} ({path.stat().st_size:,} bytes)")
            for name, how in readers.items():
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=load, args=(how, path, theirs))
                process.start()
                theirs.close()
                try:
                    result, seconds, memory = ours.recv()
                    print(f"  {name:18} {seconds:6.1f} s {memory:7,.0f} MB  {result}")
                except EOFError:
                    print(f"  {name:18} ended without an answer")
                process.join()


if __name__ == "__main__":
    main()
