"""Importing timm leaves torch's compiler alone, and everything that needs it later finds it whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # a process of its own, which imports torch and all of timm

SCRIPT = """
import json, sys
import torch
from regraft.models.timm_import import import_timm
before = "torch._dynamo" in sys.modules
timm = import_timm()
said = {"before": before, "loaded": "torch._dynamo" in sys.modules}
from timm.models.naflexvit import NaFlexRopeIterator
said["deferred"] = type(NaFlexRopeIterator.__next__).__name__
torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))]).zero_grad()
import torch._dynamo
from torch._dynamo.utils import is_compile_supported
said["whole"] = torch._dynamo.disable.__module__
said["supported"] = bool(is_compile_supported("cpu"))
said["compiled"] = torch.compile(lambda x: 2 * x, backend="eager")(torch.ones(2)).tolist()
print(json.dumps(said))
"""
STAND_IN = """
import sys
import torch
from regraft.models.timm_import import lazy_dynamo

with lazy_dynamo():
    @torch.compiler.disable
    def plain(x):
        return x + 1
    @torch.compiler.disable(recursive=False)
    def called(x):
        return x + 2
    from torch._dynamo.utils import is_compile_supported
    assert "sympy" not in sys.modules
assert "torch._dynamo" not in sys.modules
assert (plain(1), called(1), plain.__name__) == (2, 3, "plain")
assert "torch._dynamo" in sys.modules and is_compile_supported("cpu") in (True, False)
assert torch._dynamo.is_compiling() is False
with lazy_dynamo():  # it is there now
    assert torch._dynamo.disable.__module__.startswith("torch")
print("ok")
"""
OTHERS = """
import sys
import torch
from regraft.models.timm_import import lazy_dynamo

with lazy_dynamo():
    import torch._dynamo
    assert torch._dynamo.config.recompile_limit > 0  # was not foreseen: the real one comes
assert torch._dynamo.is_compiling() is False
print("ok")
"""


FORKS = """
import json, os, sys, traceback
import torch

for script in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        try:
            exec(script, {})
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """The lines that the three scripts print, each in a process that has imported torch and nothing else."""
    scripts = [SCRIPT, STAND_IN, OTHERS]
    programs = [[FORKS, json.dumps(scripts)]] if hasattr(os, "fork") else [[script] for script in scripts]
    lines = []
    for program in programs:
        done = subprocess.run(
            [sys.executable, "-c", *program], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0 and not done.stderr, done.stderr
        lines += done.stdout.splitlines()
    return lines


def test_timm_comes_without_the_compiler_which_is_whole_afterwards(printed):
    said = json.loads(printed[0])
    assert said["before"] or not said["loaded"]
    assert said["whole"].startswith("torch._dynamo") and said["compiled"] == [2.0, 2.0]


def test_what_is_put_off_is_done_when_it_is_needed(printed):
    assert printed[1:] == ["ok", "ok"]
