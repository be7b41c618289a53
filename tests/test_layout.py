"""The layout of the tests: folders are packages of regraft, and every error of regraft is expected with its message."""

from __future__ import annotations

import ast
from pathlib import Path

from regraft import errors

TESTS = Path(__file__).resolve().parent
SOURCE = TESTS.parent / "src" / "regraft"
ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}


def test_folders_are_packages():
    folders = {path.parent.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py") if path.parent != TESTS}
    assert len(folders) > 10
    assert folders - {"old_runs", "docs"} <= {path.parent.name for path in SOURCE.glob("*/__init__.py")}


def unchecked(file):
    """Yield every `pytest.raises` of an error of regraft that neither has `match=` nor names the error."""
    for block in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        for item in block.items if isinstance(block, ast.With) else []:
            call = item.context_expr
            if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.raises"):
                continue
            expected = {name.id for name in ast.walk(call.args[0]) if isinstance(name, ast.Name)}
            matches = any(keyword.arg == "match" for keyword in call.keywords)
            if expected & ERRORS and not matches and item.optional_vars is None:
                yield f"{file.relative_to(TESTS)}:{block.lineno}"


def test_every_expected_error_is_expected_with_its_message():
    files = sorted(TESTS.rglob("test_*.py"))
    assert len(files) > 100
    assert [place for file in files for place in unchecked(file)] == []
