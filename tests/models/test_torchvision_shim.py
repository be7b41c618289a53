"""The shim against torchvision packages that are whole, broken in the known way, and broken in other ways.

All of them run in one process of its own, since what is declared to torch stays declared.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import regraft

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
from regraft.models.torchvision_shim import ensure_timm_imports

def declared():
    return all(hasattr(torch.ops.torchvision, name) for name in ("nms", "qnms"))

def attempt():
    try:
        ensure_timm_imports()
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
        "import regraft.models.file, regraft.models.zoo, regraft.features.extract, regraft.models.ledger\n"
        "assert 'timm' not in sys.modules and 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
