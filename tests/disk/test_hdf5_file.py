"""HDF5 files of regraft, of its earlier versions, of other programs and of Keras, and damaged ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from regraft.disk import hdf5_file
from regraft.disk.hdf5_file import read_hdf5, write_hdf5
from regraft.disk.safetensors_file import Block
from regraft.errors import ModelFileError

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)


def values(block: Block) -> np.ndarray:
    assert block.dtype == "F32"
    return np.frombuffer(block.data, dtype=np.float32).reshape(block.shape)


def test_tensors_and_texts_come_back(tmp_path: Path) -> None:
    blocks = {
        "conv1.weight": Block("F32", (3, 4), WEIGHT.tobytes()),
        "half": Block("BF16", (2,), b"\x80\x3f\x00\x40"),
        "count": Block("I64", (), (7).to_bytes(8, "little")),
        "empty": Block("F32", (0, 5), b""),
        "mask": Block("BOOL", (2,), b"\0\1"),
    }
    write_hdf5(tmp_path / "m.h5", blocks, {"classes": "é" * 100_000, "none": ""})
    found, metadata = read_hdf5(tmp_path / "m.h5")
    assert {name: (b.dtype, b.shape, bytes(b.data)) for name, b in found.items()} == {
        name: (b.dtype, b.shape, bytes(b.data)) for name, b in blocks.items()
    }
    assert metadata == {"classes": "é" * 100_000, "none": ""}


def test_a_file_of_an_earlier_version_is_read() -> None:
    """Its seal holds a table of the tensors, which that version read by itself."""
    found, metadata = read_hdf5(Path(__file__).parent / "data" / "weights_with_table.h5")
    assert metadata["format"] == "regraft-weights"
    assert {"0.weight", "0.bias", "1.num_batches_tracked"} <= set(found)
    assert found["0.weight"].shape == (3, 4)


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"chunks": (1, 4)}, {"dtype": ">f4"}])
def test_a_file_of_another_program_is_read(tmp_path: Path, options: dict[str, object]) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("conv1/weight", data=WEIGHT, **options)
        file["bias"] = np.float32(3)
    found, metadata = read_hdf5(tmp_path / "m.h5")
    assert sorted(found) == ["bias", "conv1.weight"] and metadata == {}
    assert np.array_equal(values(found["conv1.weight"]), WEIGHT) and values(found["bias"]) == 3


@pytest.mark.parametrize("name", ["layers/dense/vars/0", "model_weights/dense/dense/kernel"])
def test_a_file_of_keras_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        file[name] = WEIGHT
    with pytest.raises(ModelFileError, match=r"m.weights.h5 cannot be loaded: Keras wrote it(.|\n)*torch.save\("):
        read_hdf5(tmp_path / "m.weights.h5")


def test_what_real_keras_writes_is_known_as_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ModelFileError, match="Keras wrote it"):
        read_hdf5(tmp_path / "m.weights.h5")


def test_what_is_no_weights_is_refused(tmp_path: Path) -> None:
    def refused(make: object, match: str) -> None:
        with h5py.File(tmp_path / "m.h5", "w") as file:
            make(file)  # type: ignore[operator]
        with pytest.raises(ModelFileError, match=match):
            read_hdf5(tmp_path / "m.h5")

    refused(lambda file: file.create_dataset("names", data=["a", "b"]), "data set names contains object; expected")
    refused(
        lambda file: file.create_dataset("x", (3,), "f4", external=[("/etc/hosts", 0, 12)]), "refers to other files"
    )
    refused(lambda file: file.create_dataset("x", (10**10,), "f4", chunks=(1000,)), "claim 40,000,000,000 bytes")


def test_damage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    write_hdf5(path, {"weight": Block("F32", (3, 4), WEIGHT.tobytes())}, {"format": "regraft-weights"})
    whole = path.read_bytes()
    for at in (100, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ModelFileError, match=r"m.h5 is damaged: its content does not match its checksum"):
            read_hdf5(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFileError, match=r"m.h5 is damaged, or not an HDF5 file of weights: .*truncated"):
        read_hdf5(path)
    path.write_bytes(whole[:-48])  # without its seal
    with pytest.raises(ModelFileError, match="changed by another program: its checksum is missing"):
        read_hdf5(path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(ModelFileError, match=r"damaged, or not an HDF5 file of weights: .*file signature not found"):
        read_hdf5(path)


def test_a_crash_of_the_library_is_an_error_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that reads the file ends by a signal; this one does not."""
    run = subprocess.run
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr(hdf5_file.subprocess, "run", lambda command, **options: run([*command[:2], crash], **options))
    (tmp_path / "m.h5").write_bytes(b"\x89HDF")
    with pytest.raises(ModelFileError, match=r"m.h5 is damaged, .*: HDF5's library ended its process \(SIGSEGV\)"):
        read_hdf5(tmp_path / "m.h5")
