"""The shim against torchvision packages that are whole, broken in the known way, and broken in other ways.

All of them run in one process of its own, since what is declared to torch stays declared.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import regraft

pytestmark = pytest.mark.slow  # several processes, each of which imports torch

REGISTERS = 'import torch\ntorch.library.register_fake("torchvision::nms", lambda *a: None)\n'
PACKAGES = {
    "whole": "mark = 'whole'\n",
    "older": "raise ImportError('libjpeg.so.62: cannot open shared object file')\n",
    "dependent": "import a_module_that_is_not_there\n",
    "other": "raise RuntimeError('operator torchvision::roi_align does not exist')\n",
    "mismatched": f"from torchvision import inner\n{REGISTERS}mark = 'mismatched'\n",
    "hopeless": "raise RuntimeError('operator torchvision::nms does not exist')\n",
}
SCRIPT = """
import importlib, json, sys
import torch
from regraft.models.timm_import import import_torchvision

def declared():
    return all(hasattr(torch.ops.torchvision, name) for name in ("nms", "qnms"))

def attempt():
    try:
        import_torchvision()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "ok"

found = {}
root = sys.argv[1]
for case in ("absent", *sys.argv[2:]):
    for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    sys.path[:] = [p for p in sys.path if not p.startswith(root)]
    hidden = [p for p in sys.path if importlib.machinery.PathFinder.find_spec("torchvision", [p])]
    kept = list(sys.path)
    sys.path[:] = [p for p in sys.path if p not in hidden] if case == "absent" else [f"{root}/{case}", *sys.path]
    importlib.invalidate_caches()
    outcome = attempt()
    mark = getattr(sys.modules.get("torchvision"), "mark", None)
    sys.path[:] = kept
    found[case] = {"outcome": outcome, "mark": mark, "declared": declared()}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, dict[str, object]]:
    root = tmp_path_factory.mktemp("torchvisions")
    for name, text in PACKAGES.items():
        package = root / name / "torchvision"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(text)
        (package / "inner.py").write_text("")
    source = Path(regraft.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(source)!r})\n{SCRIPT}", str(root), *PACKAGES],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_missing_torchvision_is_left_to_timm(outcomes):
    assert outcomes["absent"] == {"outcome": "ok", "mark": None, "declared": False}


def test_a_whole_torchvision_is_not_touched(outcomes):
    assert outcomes["whole"] == {"outcome": "ok", "mark": "whole", "declared": False}


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        ("older", "ImportError: libjpeg.so.62: cannot open shared object file"),
        ("dependent", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("other", "RuntimeError: operator torchvision::roi_align does not exist"),
    ],
)
def test_other_failures_are_raised_as_they_are(outcomes, case, outcome):
    assert outcomes[case] == {"outcome": outcome, "mark": None, "declared": False}


def test_a_torchvision_for_another_device_imports(outcomes):
    assert outcomes["mismatched"] == {"outcome": "ok", "mark": "mismatched", "declared": True}


def test_a_failure_that_remains_is_raised(outcomes):
    assert outcomes["hopeless"]["outcome"] == "RuntimeError: operator torchvision::nms does not exist"


def test_timm_is_imported_only_when_a_network_is_built():
    source = Path(regraft.__file__).parent.parent
    code = (
        f"import sys; sys.path.insert(0, {str(source)!r})\n"
        "import regraft.models.model_file, regraft.models.zoo, regraft.features.extract, regraft.models.freeze_ledger\n"
        "assert 'timm' not in sys.modules and 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


USER = """
import sys
{first}
import {then}
print({then}.__name__, "regraft" in sys.modules)
"""


@pytest.fixture
def mismatched(tmp_path) -> dict[str, str]:
    """Return an environment whose torchvision fails as a build for another device does."""
    for name, text in (("torchvision", PACKAGES["mismatched"]), ("timm", "import torchvision\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    (tmp_path / "torchvision" / "inner.py").write_text("")
    source = str(Path(regraft.__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), source])}


def users_script(environment: dict[str, str], first: str, then: str) -> subprocess.CompletedProcess[str]:
    code = USER.format(first=first, then=then)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)


def test_without_regraft_the_users_own_import_fails(mismatched):
    broken = users_script(mismatched, "", "timm")
    assert "operator torchvision::nms does not exist" in broken.stderr


@pytest.mark.parametrize("then", ["timm", "torchvision"])
def test_import_regraft_first_repairs_the_users_own_import(mismatched, then):
    repaired = users_script(mismatched, "import regraft", then)
    assert (repaired.stdout, repaired.stderr) == (f"{then} True\n", "")


@pytest.mark.parametrize(("then", "found"), [
    ("raise ImportError('undefined symbol: x')", "ImportError: undefined symbol: x"),
    ("raise RuntimeError('operator torchvision::roi_align does not exist')", "RuntimeError: operator torchvision::roi"),
])  # fmt: skip
def test_a_torchvision_that_does_not_fit_is_a_users_mistake(mismatched, then, found):
    folder = Path(mismatched["PYTHONPATH"].split(os.pathsep)[0])
    (folder / "torchvision" / "__init__.py").write_text(then + "\n")
    code = "from regraft.models.timm_import import import_timm\nimport_timm()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=mismatched, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"regraft.errors.BackboneError: timm cannot be imported ({found}")
    assert "expected timm, and builds of torch and torchvision that match, found torch 2" in last
    assert last.endswith(
        "pip install --force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/cpu"
    )


def test_the_repair_leaves_other_modules_alone_and_is_installed_once():
    from regraft.models.timm_import import _Finder, install_torchvision_repair

    install_torchvision_repair()
    assert [type(finder) for finder in sys.meta_path].count(_Finder) == 1
    assert _Finder().find_spec("torch", None) is None
    spec = importlib.util.find_spec("torchvision")
    assert spec is None or (spec.origin or "").endswith("__init__.py")
