"""A student's notebook or script, run from its first cell to its last in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from regraft.errors import ConfigError

MAGIC = re.compile(r"^\s*[%!?]|^\s*get_ipython\(")
"""A line for IPython only, such as ``%pip install`` or ``!ls``."""

TIME_LIMIT = 30 * 60
"""Seconds that a notebook may run."""

_LAST_LINES = 6


def code_of(file: Path) -> list[str]:
    """Return the code cells of a notebook, or a script as one cell, without the lines for IPython only.

    Raises:
        ConfigError: the file is neither a notebook nor a Python script, or is missing.
    """
    if not file.is_file():
        raise ConfigError(f"{file}: expected a notebook (.ipynb) or a script (.py), found no such file")
    if file.suffix == ".py":
        cells = [file.read_text(encoding="utf-8")]
    elif file.suffix == ".ipynb":
        cells = _notebook_cells(file)
    else:
        raise ConfigError(f"{file}: expected a notebook (.ipynb) or a script (.py), found the suffix {file.suffix!r}")
    return ["\n".join(_python_lines(cell)) for cell in cells]


def run_notebook(file: Path, *, seconds: float = TIME_LIMIT) -> str:
    """Run all code cells in the notebook's folder, in a new process; return its last lines if it fails, else "".

    The cells write their files as in Jupyter: into the folder of the notebook.

    Args:
        file: the notebook or script. It is run, so it must come from someone whom you trust.
        seconds: time limit.

    Raises:
        ConfigError: the file is neither a notebook nor a Python script.
    """
    cells = code_of(file)
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    try:
        ended = subprocess.run(  # noqa: S603 - the caller's own file
            [sys.executable, "-c", _RUN_CELLS],
            input=json.dumps(cells),
            cwd=file.parent,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it has not ended after {seconds / 60:.0f} minutes"
    if ended.returncode == 0:
        return ""
    return "\n".join(ended.stderr.strip().splitlines()[-_LAST_LINES:]) or f"exit code {ended.returncode}"


_RUN_CELLS = """
import json, linecache, sys, traceback
cells = json.load(sys.stdin)
sys.path.insert(0, "")
space = sys.modules["__main__"].__dict__
space["display"] = print
for number, cell in enumerate(cells, 1):
    name = f"<cell {number}>"
    linecache.cache[name] = (len(cell), None, cell.splitlines(True), name)
    try:
        exec(compile(cell, name, "exec"), space)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
"""
"""The program that runs cells in one name space; an error names the cell and shows its line."""


def _notebook_cells(file: Path) -> list[str]:
    try:
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{file}: expected a notebook in format 4, found another file; save it again in Jupyter"
        ) from None


def _python_lines(cell: str) -> list[str]:
    lines = cell.splitlines()
    if _is_python(cell):
        return lines  # a line that begins with % may continue an expression
    if lines and lines[0].startswith("%%") and not lines[0].startswith(("%%time", "%%capture")):
        return []  # a cell of another language, such as %%bash
    return [f"{line[: len(line) - len(line.lstrip())]}pass" if MAGIC.match(line) else line for line in lines]


def _is_python(cell: str) -> bool:
    try:
        compile(cell, "cell", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True
