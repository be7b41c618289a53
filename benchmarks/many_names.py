"""Memory and time of the manifest and the split as the number of photos grows.

    python benchmarks/many_names.py [100000 1000000 10000000]

The entries are generated, without files. Each size runs in a process of its own. Printed for each step: CPU seconds,
and the peak memory of the process above that of its imports, in all and for each photo.
"""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

CLASSES = 100
SIZES = ("100000", "1000000", "10000000")


def peak_mb() -> float:
    """Return the peak memory of this process in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(count: int) -> None:
    """Make the entries, split them, write and read the manifest, and print what each step took."""
    from regraft.data.manifest import Entry, Manifest
    from regraft.data.split import split_by_content

    before = peak_mb()

    def done(step: str, begun: float) -> float:
        used, grown = os.times().user + os.times().system, peak_mb() - before
        print(f"{count:>12,}  {step:9} {used - begun:7.1f} CPU s  {grown:6.0f} MB  {1024 * grown / count:.2f} KB")
        sys.stdout.flush()
        return os.times().user + os.times().system

    begun = os.times().user + os.times().system
    root = Path("/photos")
    manifest = Manifest(root, tuple(f"class {label:03}" for label in range(CLASSES)))
    for number in range(count):
        label = manifest.classes[number % CLASSES]
        name = f"{label}/{number:010}.jpg"
        content = hashlib.sha256(name.encode()).hexdigest()
        manifest.entries.append(Entry(name, root / name, content, label))
    begun = done("entries", begun)
    manifest.assign_sides(split_by_content(manifest.usable, seed=0).sides)
    begun = done("split", begun)
    sides = Counter(entry.side for entry in manifest.entries)
    with tempfile.TemporaryDirectory() as folder:
        manifest.write(Path(folder) / "manifest.csv")
        begun = done("write", begun)
        del manifest
        found = Manifest.read(Path(folder) / "manifest.csv", root)
        done("read", begun)
    if Counter(entry.side for entry in found.entries) != sides:
        sys.exit("the manifest that was read has other sides")


def main() -> None:
    """Measure each size in a process of its own."""
    if sys.argv[1:2] == ["--one"]:
        measure(int(sys.argv[2]))
        return
    for size in sys.argv[1:] or SIZES:
        subprocess.run([sys.executable, __file__, "--one", size], check=True)


if __name__ == "__main__":
    main()
