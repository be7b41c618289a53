"""The programs in an exported folder answer as `regraft predict` does, for odd files too."""

from __future__ import annotations

import runpy
import shutil
import subprocess

import pytest

import regraft as rg
from conftest import REPOSITORY
from odd_pictures import odd_colors, odd_pngs
from regraft.export.export_folder import export_model
from turned_files import turned_files

MODULES = REPOSITORY / ".web" / "node_modules"
UNKNOWN_TO_SHARP = {"plain.bmp", "palette.bmp", "plain.ico"}


@pytest.fixture(scope="module")
def exported(model_file, tmp_path_factory):
    return export_model(model_file, tmp_path_factory.mktemp("out") / "onnx")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, data in (turned_files() | odd_pngs() | odd_colors()).items():
        (folder / name).write_bytes(data)
    (folder / "cut.png").write_bytes((folder / "plain.jpg").read_bytes()[:900])
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def predictions(model_file, files):
    return {one.path: one for one in rg.Predictor.load(model_file).predict(files)}


def differences(output, predictions):
    """Return the difference of the probability of each photo by its name, after checking that the label is the same."""
    lines = [line.split("\t") for line in output.splitlines()]
    assert [path for path, *_ in lines] == list(predictions)
    found = {}
    for path, label, probability, note in lines:
        name, expected = path.rsplit("/", 1)[1], predictions[path]
        if label == "":
            assert note.startswith("unreadable"), name
            found[name] = None if expected.label is None else 1.0
        else:
            assert label == expected.label, name
            found[name] = abs(float(probability) - expected.probability)
    return found


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_the_program_in_python_decodes_as_regraft_does(exported, files, predictions, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["predict.py", *map(str, files)])
    runpy.run_path(str(exported.folder / "predict.py"), run_name="__main__")
    found = differences(capsys.readouterr().out, predictions)
    assert len(found) > 240
    assert found.pop("cut.png") is None
    assert max(found.values()) < 2e-6  # six digits are printed


@pytest.mark.slow
def test_the_program_for_node_decodes_as_regraft_does(exported, files, predictions, tmp_path):
    node = shutil.which("node")
    if node is None or not (MODULES / "sharp").is_dir():
        pytest.skip(f"no Node, or no sharp in {MODULES}: sh scripts/install_web_runtime.sh")
    folder = shutil.copytree(exported.folder, tmp_path / "onnx")
    (folder / "node_modules").symlink_to(MODULES)
    run = [node, folder / "predict.mjs", *files]
    output = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    found = differences(output, predictions)
    assert found.pop("cut.png") is None
    assert {name for name, value in found.items() if value == 1.0} == UNKNOWN_TO_SHARP
    assert max(value for name, value in found.items() if name not in UNKNOWN_TO_SHARP) < 1e-3
