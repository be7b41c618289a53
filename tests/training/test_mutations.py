"""Damaged checkpoints end in a clear error or the snapshot before: 200 of the 10,000 of benchmarks/."""

from __future__ import annotations

import io
import sys
import zipfile
from collections import Counter
from pathlib import Path

import h5py
import pytest
import torch
from torch import nn

from regraft.disk.safetensors_file import HeaderError, read_header
from regraft.disk.torch_file import MoreThanTensorsError, TorchFileError, read_torch_file
from regraft.errors import ModelFileError
from regraft.training import Trainer

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux shows it")
@pytest.mark.filterwarnings("ignore:.*keras files contain weights:UserWarning")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("count", [50, pytest.param(200, marks=pytest.mark.slow)])
def test_damaged_files(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import mutated_checkpoints

    seen: Counter[str] = Counter()
    assert mutated_checkpoints.faults(count, 7, lambda name, kind: seen.update([kind])) == []
    assert sum(seen.values()) == count
    assert seen["clear error"] > 0.6 * count and seen["fallback"] > 0.02 * count  # damage is not overlooked


def trainer() -> Trainer:
    return Trainer(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), "sgd", "cross_entropy")


def test_hdf5_is_for_other_programs_too(tmp_path: Path) -> None:
    one = trainer()
    one.save_weights(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        assert torch.equal(torch.from_numpy(file["0/weight"][()]), one.module[0].weight.detach())
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file["0/weight"][0, 0] = 7.0
    with pytest.raises(ModelFileError, match=r"m.h5 is damaged.*(changed by another program|match its checksum)"):
        one.load_weights(tmp_path / "m.h5")


def test_a_plain_state_dict_is_read_and_its_bits_are_checked(tmp_path: Path) -> None:
    one, other, path = trainer(), trainer(), tmp_path / "m.pt"
    torch.save(one.module.state_dict(), path)
    other.load_weights(path)
    assert all(torch.equal(a, b) for a, b in zip(one.module.parameters(), other.module.parameters(), strict=True))
    raw = path.read_bytes()
    place = raw.index(one.module[0].weight.detach().numpy().tobytes())
    path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
    with pytest.raises(ModelFileError, match="Bad CRC-32"):
        other.load_weights(path)


def archive(pickled: bytes, path: Path) -> Path:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("m/data.pkl", pickled)
        file.writestr("m/data/0", bytes(64))
    path.write_bytes(out.getvalue())
    return path


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu%btQ"
    b"K\0(%bt(%bt\x89ccollections\nOrderedDict\n)RtR"
)


def test_what_a_pickle_claims_is_checked(tmp_path: Path) -> None:
    def read(count: bytes, shape: bytes, strides: bytes) -> object:
        return read_torch_file(archive(b"\x80\x02" + TENSOR % (count, shape, strides) + b".", tmp_path / "m.pt"))

    assert read(b"K\x10", b"K\x10", b"K\x01").shape == (16,)  # type: ignore[attr-defined]
    with pytest.raises(TorchFileError, match="data/0 is shorter than its tensors"):
        read(b"K\x11", b"K\x10", b"K\x01")
    for shape, strides in (
        (b"K\x11", b"K\x01"),
        (b"K\x10", b"K\x02"),
        (b"J\xff\xff\xff\x7f", b"K\0"),
        (b"J\xff\xff\xff\xff", b"K\1"),
    ):
        with pytest.raises(TorchFileError, match=r"does not fit into its record|invalid shape"):
            read(b"K\x10", shape, strides)


@pytest.mark.parametrize(
    "named", [b"cposix\nsystem\n", b"cbuiltins\nbytearray\n", b"ctorch\nload\n", b"ctorch\nFloatTensor\n"]
)
def test_a_pickle_names_tensors_and_nothing_else(named: bytes, tmp_path: Path) -> None:
    with pytest.raises(MoreThanTensorsError, match="which is not loaded or run"):
        read_torch_file(archive(b"\x80\x02" + named + b"(J\xff\xff\xff\x7ftR.", tmp_path / "m.pt"))


def test_nested_keys_that_take_forever_to_hash(tmp_path: Path) -> None:
    nested = b"K\0" + b"q\x01h\x01\x86" * 60
    with pytest.raises(TorchFileError, match="has invalid keys"):
        read_torch_file(archive(b"\x80\x02}" + nested + b"Ns.", tmp_path / "m.pt"))


@pytest.mark.parametrize("crowd", [b"]" * 100_000, b"(" * 100_000])
def test_a_crowd_of_containers_is_refused(crowd: bytes, tmp_path: Path) -> None:
    with pytest.raises(TorchFileError, match="more containers than its tensors need"):
        read_torch_file(archive(b"\x80\x02" + crowd + b".", tmp_path / "m.pt"))


def test_a_crowded_header_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    for header in (b'{"a":[' + b"[]," * 500_000 + b"0]}", b'{"a":' + b"[" * 2_000_000 + b"]" * 2_000_000 + b"}"):
        (tmp_path / "m").write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(HeaderError, match="longer than its tensors need"):
            read_header(tmp_path / "m")
