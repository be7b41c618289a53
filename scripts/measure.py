"""Size and structure of the source tree: `make measure`.

python scripts/measure.py [--base COMMIT] [--walk PHOTOS] [--json]

Measures files, lines, functions, classes, imports between modules and duplicated lines. ``--base`` measures the source
of a commit too and prints both. ``--walk`` also trains on PHOTOS by ``--recipe fine-tune``, and counts the modules that
this run imports and those that have a function it calls.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

TREE = Path(__file__).resolve().parent.parent
PACKAGE = Path("src") / "regraft"

MAX_LINES, MAX_FIELDS, MAX_METHODS, MIN_DUPLICATE = 300, 12, 10, 6
"""Limits for the lines of a file, the fields and methods of a class, and equal lines in two files."""

SHOWN = 5
"""Examples per list."""

TRACE = """
import json, sys, threading
trace, package, *arguments = sys.argv[1:]
imported, called = set(), set()
def enter(frame, event, argument):
    if event == "call" and frame.f_code.co_filename.startswith(package):
        is_function = frame.f_code.co_flags & 1  # modules and classes have no fast locals
        (called if is_function else imported).add(frame.f_code.co_filename)
sys.setprofile(enter); threading.setprofile(enter)
from regraft.cli.main import regraft
try: regraft(arguments)
finally: open(trace, "w").write(json.dumps({"imported": sorted(imported), "called": sorted(called)}))
"""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Window: TypeAlias = tuple[Path, int]
"""`MIN_DUPLICATE` lines of code of a file, by the number of the first one among its lines of code."""


@dataclass
class Measures:
    """Numbers to compare, and examples that explain them."""

    numbers: dict[str, float] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def top(self, title: str, sizes: dict[str, int], *, above: int | None = None) -> None:
        """Add the largest of ``sizes`` under ``title``; with ``above``, all that are larger."""
        ranked = sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))
        chosen = [pair for pair in ranked if pair[1] > above] if above is not None else ranked[:SHOWN]
        self.examples[title] = [f"{size} ({name})" for name, size in chosen]


class Source:
    """The modules of one version of the source tree."""

    def __init__(self, tree: Path) -> None:
        self.tree, self.package = tree, tree / PACKAGE
        self.text = {path: path.read_text(encoding="utf-8") for path in sorted(self.package.rglob("*.py"))}
        self.modules = {path: ast.parse(text) for path, text in self.text.items()}

    def name(self, path: Path) -> str:
        """Return the path of a module below the package."""
        return path.relative_to(self.package).as_posix()

    def module(self, path: Path) -> str:
        """Return the dotted name of a module."""
        parts = path.relative_to(self.package.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def main() -> None:
    """Measure the working tree, and a commit to compare with."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", metavar="COMMIT", help="commit to compare with")
    parser.add_argument("--walk", type=Path, metavar="PHOTOS", help="folder of labeled photos to fine-tune on")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    photos = arguments.walk and arguments.walk.resolve()
    versions = {"now": measure(TREE, photos)}
    if arguments.base:
        with tempfile.TemporaryDirectory(prefix="measure-") as folder:
            export(arguments.base, Path(folder))
            versions = {arguments.base: measure(Path(folder), photos), **versions}
    if arguments.json:
        print(json.dumps({name: vars(measures) for name, measures in versions.items()}, indent=1))
    else:
        show(versions)


def measure(tree: Path, photos: Path | None) -> Measures:
    """Return the measures of the source below ``tree``."""
    source, measures = Source(tree), Measures()
    for add in (add_files, add_functions, add_classes, add_imports, add_duplicates):
        add(source, measures)
    if photos is not None:
        add_walk(source, photos, measures)
    return measures


def export(commit: str, folder: Path) -> None:
    """Write the sources of ``commit`` below ``folder``."""
    archive = subprocess.run(["git", "-C", str(TREE), "archive", commit, "src"], check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")


def show(versions: dict[str, Measures]) -> None:
    """Print the numbers of all versions side by side, then the examples."""
    names = list(dict.fromkeys(name for measures in versions.values() for name in measures.numbers))
    width = max(map(len, names))
    print(" " * width, *(f"{version[:10]:>10}" for version in versions))
    for name in names:
        values = [measures.numbers.get(name) for measures in versions.values()]
        print(f"{name:{width}}", *("{:>10}".format("–" if v is None else f"{v:,g}") for v in values))
    for version, measures in versions.items():
        print(f"\n{version}")
        for title, examples in measures.examples.items():
            print(f"  {title}: {' · '.join(examples) or 'none'}")


def add_files(source: Source, measures: Measures) -> None:
    """Add the number of files and their lines."""
    lines = {source.name(path): text.count("\n") for path, text in source.text.items() if path.name != "__init__.py"}
    measures.numbers |= {
        "files": len(lines),
        "lines": sum(text.count("\n") for text in source.text.values()),
        "lines of a file, median": statistics.median(lines.values()),
        f"files over {MAX_LINES} lines": sum(n > MAX_LINES for n in lines.values()),
        "files of at most 50 lines": sum(n <= 50 for n in lines.values()),
    }
    measures.top("longest files", lines)


def add_functions(source: Source, measures: Measures) -> None:
    """Add the number of functions and their lines of code."""
    sizes = {
        f"{source.name(path)}:{node.lineno} {node.name}": code_lines(node)
        for path, tree in source.modules.items()
        for node in ast.walk(tree)
        if isinstance(node, Function)
    }
    measures.numbers |= {
        "functions": len(sizes),
        "lines of a function, median": statistics.median(sizes.values()),
        "functions over 45 lines": sum(n > 45 for n in sizes.values()),
    }
    measures.top("longest functions", sizes)


def code_lines(function: Function) -> int:
    """Return the lines of the body without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 1


def add_classes(source: Source, measures: Measures) -> None:
    """Add the number of classes, the large ones, and attributes that are assigned from outside of their object."""
    fields: dict[str, int] = {}
    methods: dict[str, int] = {}
    outside = Counter[str]()
    for path, tree in source.modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                name = f"{source.name(path)} {node.name}"
                fields[name] = len(attributes(node))
                methods[name] = sum(isinstance(part, Function) for part in node.body)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                outside[source.name(path)] += not (isinstance(node.value, ast.Name) and node.value.id == "self")
    measures.numbers |= {
        "classes": len(fields),
        f"classes with over {MAX_FIELDS} fields": sum(n > MAX_FIELDS for n in fields.values()),
        f"classes with over {MAX_METHODS} methods": sum(n > MAX_METHODS for n in methods.values()),
        "attributes assigned from outside": outside.total(),
    }
    measures.top(f"classes with over {MAX_FIELDS} fields", fields, above=MAX_FIELDS)
    measures.top(f"classes with over {MAX_METHODS} methods", methods, above=MAX_METHODS)
    measures.top("files that assign to attributes of other objects", dict(outside))


def attributes(node: ast.ClassDef) -> set[str]:
    """Return the names of the attributes that a class declares or assigns to ``self``."""
    declared = {
        part.target.id for part in node.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }
    assigned = {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute)
        and isinstance(part.ctx, ast.Store)
        and isinstance(part.value, ast.Name)
        and part.value.id == "self"
    }
    return declared | assigned


def add_imports(source: Source, measures: Measures) -> None:
    """Add the imports between modules: how many a module makes (fan-out), and how many modules import it (fan-in)."""
    names = {source.module(path) for path in source.modules}
    out = {
        source.module(path): set(imported(tree, names)) - {source.module(path)} for path, tree in source.modules.items()
    }
    into = Counter(target for targets in out.values() for target in targets)
    measures.numbers |= {
        "imports between modules": sum(map(len, out.values())),
        "fan-out, most": max(map(len, out.values())),
        "fan-in, most": max(into.values()),
        "modules with one importer": sum(n == 1 for n in into.values()),
    }
    measures.top("fan-out", {name: len(targets) for name, targets in out.items()})
    measures.top("fan-in", dict(into))


def imported(tree: ast.Module, names: set[str]) -> Iterator[str]:
    """Yield the modules among ``names`` that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in names:
            within = {f"{node.module}.{alias.name}" for alias in node.names} & names
            yield from within or {node.module}


def add_duplicates(source: Source, measures: Measures) -> None:
    """Add the runs of at least six equal lines of code in two files; imports, docstrings and comments do not count.

    Translated lessons have the code of their originals, and are left out.
    """
    windows: dict[tuple[str, ...], list[Window]] = defaultdict(list)
    modules = {path: tree for path, tree in source.modules.items() if "zh_TW" not in path.parts}
    code = {path: list(code_of(source.text[path], tree)) for path, tree in modules.items()}
    for path, lines in code.items():
        for start in range(len(lines) - MIN_DUPLICATE + 1):
            windows[tuple(text for _, text in lines[start : start + MIN_DUPLICATE])].append((path, start))
    pairs = {
        (first, second)
        for places in windows.values()
        for i, first in enumerate(places)
        for second in places[i + 1 :]
        if first[0] != second[0]
    }
    runs: dict[str, set[str]] = defaultdict(set)
    for first, second in pairs:
        if (before(first), before(second)) in pairs:
            continue  # inside a longer run
        length = MIN_DUPLICATE
        while (after(first, length), after(second, length)) in pairs:
            length += 1
        text = "\n".join(line for _, line in code[first[0]][first[1] : first[1] + length])
        runs[text] |= {f"{source.name(path)}:{code[path][start][0]}" for path, start in (first, second)}
    measures.numbers[f"runs of {MIN_DUPLICATE} or more equal lines"] = len(runs)
    measures.examples["duplicates"] = [
        f"{text.count(chr(10)) + 1} lines ({' = '.join(sorted(places))})" for text, places in runs.items()
    ]


def before(window: Window) -> Window:
    """Return the window one line earlier."""
    return window[0], window[1] - 1


def after(window: Window, length: int) -> Window:
    """Return the window that ends one line after a run of ``length`` lines that starts at ``window``."""
    return window[0], window[1] + length - MIN_DUPLICATE + 1


def code_of(text: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line of code."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for number, line in enumerate(text.splitlines(), start=1):
        if number not in skipped and line.strip() and not line.strip().startswith("#"):
            yield number, line.strip()


def add_walk(source: Source, photos: Path, measures: Measures) -> None:
    """Add the modules that a fine-tuning imports and calls."""
    with tempfile.TemporaryDirectory(prefix="measure-") as folder:
        trace = Path(folder) / "trace.json"
        options = ["--recipe", "fine-tune", "--unfreeze", "2", "--epochs", "1", "-o", f"{folder}/run"]
        environment = os.environ | {"PYTHONPATH": str(source.tree / "src"), "REGRAFT_CACHE": f"{folder}/cache"}
        command = [sys.executable, "-c", TRACE, str(trace), str(source.package), "train", str(photos), *options]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        modules = {kind: set(map(Path, paths)) for kind, paths in json.loads(trace.read_text(encoding="utf-8")).items()}
    packages = Counter(source.name(path).partition("/")[0] for path in modules["called"])
    measures.numbers |= {
        "modules imported by train --recipe fine-tune": len(modules["imported"]),
        "modules called by train --recipe fine-tune": len(modules["called"]),
    }
    measures.examples["modules called, by package"] = [
        f"{n} ({name})" for name, n in packages.most_common() if not name.endswith(".py")
    ]


if __name__ == "__main__":
    main()
