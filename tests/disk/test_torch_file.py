"""Files of torch.save: wrapped weights, and the private unpickler of Python that reads them."""

from __future__ import annotations

import inspect
import pickle
import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from regraft.disk.torch_file import StridedTensor, read_torch_file, unwrap_state_dict
from regraft.errors import ModelFileError, WeightsError
from regraft.training import Trainer

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_the_private_unpickler_of_this_python_is_known() -> None:
    """`pickle._Unpickler` may change in any version of Python: each was looked at before it was added to pyproject."""
    supported = re.findall(r"Python :: 3\.(\d+)\"", PYPROJECT.read_text(encoding="utf-8"))
    assert str(sys.version_info.minor) in supported, "look at pickle._Unpickler of this Python first"
    unpickler = vars(pickle)["_Unpickler"]
    used = ("load", "persistent_load", "find_class", "pop_mark", "load_build", "load_setitem", "load_reduce")
    assert all(inspect.isfunction(getattr(unpickler, name)) for name in used)
    assert list(inspect.signature(unpickler.pop_mark).parameters) == ["self"]
    assert all(list(inspect.signature(step).parameters) == ["self"] for step in unpickler.dispatch.values())
    known = {pickle.MARK[0], pickle.REDUCE[0], pickle.BUILD[0], pickle.SETITEM[0], pickle.BINPERSID[0]}
    assert known <= set(unpickler.dispatch)


def trainer(seed: int = 0) -> Trainer:
    torch.manual_seed(seed)
    return Trainer(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), "sgd", "cross_entropy")


@pytest.mark.parametrize(
    ("prefix", "wrap"),
    [
        ("", lambda state: {"state_dict": state, "epoch": 3, "arch": "resnet50"}),  # timm's training script
        ("model.", lambda state: {"state_dict": state, "pytorch-lightning_version": "2.5", "callbacks": {}}),
        ("module.", lambda state: {"model": state, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}),
        ("module._orig_mod.", lambda state: {"model_state_dict": state}),
        ("", lambda state: {"model": {"state_dict": state}}),
    ],
)
@pytest.mark.parametrize("suffix", [".ckpt", ".pth", ".pt"])
def test_wrapped_weights_are_unwrapped(tmp_path: Path, prefix: str, wrap: object, suffix: str) -> None:
    one, other = trainer(0), trainer(1)
    state = {prefix + name: tensor for name, tensor in one.module.state_dict().items()}
    torch.save(wrap(state), tmp_path / f"m{suffix}")  # type: ignore[operator]
    other.load_weights(tmp_path / f"m{suffix}")
    assert all(torch.equal(a, b) for a, b in zip(one.module.parameters(), other.module.parameters(), strict=True))


def test_averaged_weights_come_first(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.zeros(2)}, "state_dict_ema": {"w": torch.ones(2)}}, tmp_path / "m.pt")
    found = unwrap_state_dict(read_torch_file(tmp_path / "m.pt"))
    assert isinstance(found["w"], StridedTensor) and bytes(found["w"].data) == b"\0\0\x80\x3f" * 2


def test_a_checkpoint_that_is_no_weights_says_what_to_save(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "m.pt")
    with pytest.raises(
        ModelFileError, match=r"contains no weights by name; found \['epoch', 'loss'\]\n.*torch.save\(mod"
    ):
        trainer().load_weights(tmp_path / "m.pt")
    torch.save({"state_dict": trainer().module.state_dict(), "hyper": nn.Linear(1, 1)}, tmp_path / "m.ckpt")
    with pytest.raises(ModelFileError, match=r"more than tensors(.|\n)*weights_only=False\), then torch.save\(content"):
        trainer().load_weights(tmp_path / "m.ckpt")
    torch.save(trainer().module.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(ModelFileError, match=r"before 2020\n  convert an older file with torch.save\(torch.load"):
        trainer().load_weights(tmp_path / "old.pt")


def test_other_names_below_a_prefix_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"model.weight": torch.ones(2), "model.bias": torch.ones(2)}}, tmp_path / "m.pt")
    with pytest.raises(WeightsError, match=r"model.weight: unexpected"):
        trainer().load_weights(tmp_path / "m.pt")
