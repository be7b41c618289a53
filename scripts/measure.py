"""Size and structure of the source tree: `make measure`.

python scripts/measure.py [--walk PHOTOS] [--json]

Prints files, lines, functions, classes, imports between modules, and duplicated constants. With ``--walk`` it also
trains on PHOTOS by ``--recipe fine-tune`` and counts the modules that this run enters.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parent.parent
SOURCE = TREE / "src" / "regraft"

WALK = """
import json, sys, threading
files = set()
def enter(frame, event, argument):
    name = frame.f_code.co_filename
    if "/regraft/" in name: files.add(name)
sys.setprofile(enter); threading.setprofile(enter)
from regraft.cli.main import regraft
try: regraft(sys.argv[2:])
finally: open(sys.argv[1], "w").write(json.dumps(sorted(files)))
"""


def main() -> None:
    """Print the measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--walk", type=Path, metavar="PHOTOS", help="folder of labelled photos to fine-tune on")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    modules = {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(SOURCE.rglob("*.py"))}
    figures = _files(modules) | _functions(modules) | _classes(modules) | _imports(modules)
    if arguments.walk:
        figures |= _walk(arguments.walk.resolve())
    if arguments.json:
        print(json.dumps(figures, indent=1))
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:{width}}  {value}")


def _files(modules: dict[Path, ast.Module]) -> dict[str, Any]:
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in modules}
    ordinary = {file: n for file, n in lines.items() if file.name != "__init__.py"}
    longest = max(ordinary, key=lambda file: ordinary[file])
    return {
        "files": len(ordinary),
        "lines": sum(lines.values()),
        "lines of a file, median": statistics.median(ordinary.values()),
        "lines of a file, most": f"{ordinary[longest]} ({_name(longest)})",
        "files over 300 lines": sum(n > 300 for n in ordinary.values()),
        "files of at most 50 lines": sum(n <= 50 for n in ordinary.values()),
    }


def _functions(modules: dict[Path, ast.Module]) -> dict[str, Any]:
    sizes = {
        f"{_name(file)}:{node.lineno} {node.name}": _code_lines(node)
        for file, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    longest = max(sizes, key=lambda name: sizes[name])
    return {
        "functions": len(sizes),
        "lines of a function without docstring, median": statistics.median(sizes.values()),
        "lines of a function without docstring, most": f"{sizes[longest]} ({longest})",
    }


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 1


def _classes(modules: dict[Path, ast.Module]) -> dict[str, Any]:
    fields, methods = Counter[str](), Counter[str]()
    for file, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                name = f"{_name(file)} {node.name}"
                fields[name] = len(_attributes(node))
                methods[name] = sum(isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)) for part in node.body)
    return {
        "classes": len(fields),
        "fields of a class, most": "  ".join(f"{n} ({name})" for name, n in fields.most_common(3)),
        "methods of a class, most": "  ".join(f"{n} ({name})" for name, n in methods.most_common(3)),
    }


def _attributes(node: ast.ClassDef) -> set[str]:
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


def _imports(modules: dict[Path, ast.Module]) -> dict[str, Any]:
    names = {_module(file) for file in modules}
    out = {_module(file): set(_imported(tree, names)) - {_module(file)} for file, tree in modules.items()}
    into = Counter(target for targets in out.values() for target in targets)
    return {
        "imports between modules": sum(map(len, out.values())),
        "modules with one importer": sum(n == 1 for n in into.values()),
        "imports into a module, most": "  ".join(f"{n} ({name})" for name, n in into.most_common(3)),
        "imports of a module, most": "  ".join(
            f"{len(targets)} ({name})" for name, targets in sorted(out.items(), key=lambda pair: -len(pair[1]))[:3]
        ),
    }


def _imported(tree: ast.Module, names: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in names:
            within = {f"{node.module}.{alias.name}" for alias in node.names} & names
            yield from within or {node.module}


def _walk(photos: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="measure-") as place:
        found = Path(place) / "files.json"
        train = [
            "train",
            str(photos),
            "--recipe",
            "fine-tune",
            "--unfreeze",
            "2",
            "--epochs",
            "1",
            "-o",
            f"{place}/run",
        ]
        setting = os.environ | {"PYTHONPATH": str(TREE / "src"), "REGRAFT_CACHE": f"{place}/cache"}
        subprocess.run([sys.executable, "-c", WALK, str(found), *train], env=setting, check=True, capture_output=True)
        files = json.loads(found.read_text(encoding="utf-8"))
    packages = Counter(Path(file).relative_to(SOURCE).parts[0] for file in files)
    return {
        "modules entered by train --recipe fine-tune": len(files),
        "of them by package": "  ".join(
            f"{name} {n}" for name, n in packages.most_common() if not name.endswith(".py")
        ),
    }


def _name(file: Path) -> str:
    return str(file.relative_to(SOURCE))


def _module(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


if __name__ == "__main__":
    main()
