"""The reader of photos in JavaScript, run by Node: orientations and the pixels of PNG files are those of regraft."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings

import numpy as np
import pytest

from odd_pictures import odd_pngs
from regraft.data.decode import open_photo, read_photo
from regraft.data.decoding.colour import exif_orientation
from regraft.data.decoding.rendering import Rendering
from regraft.export.photo_script import photo_script
from turned_files import turned_files

DRIVER = """
import { readFile } from "node:fs/promises";
import { kindOf, separated, readPng, photoPixels } from "./pixels.mjs";
const { paths, facts } = JSON.parse(await readFile(process.argv[2]));
const answers = {};
for (const path of paths) {
  const bytes = new Uint8Array(await readFile(path));
  const kind = kindOf(bytes);
  if (kind !== "png") {
    const { orientation, plain } = separated(bytes, kind);
    answers[path] = { orientation, plain: Buffer.from(plain).toString("base64") };
    continue;
  }
  const { pixels, width, height } = await photoPixels(bytes, facts, null);
  const { orientation } = await readPng(bytes, 255);
  answers[path] = { orientation, width, height, pixels: Buffer.from(pixels).toString("base64") };
}
console.log(JSON.stringify(answers));
"""


def answers_of(files, folder, facts):
    """Return what the script says about files, by their names."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node on this machine")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "pixels.mjs").write_text(photo_script(module=True))
    (folder / "driver.mjs").write_text(DRIVER)
    (folder / "job.json").write_text(json.dumps({"paths": [str(folder / name) for name in files], "facts": facts}))
    done = subprocess.run(
        [node, folder / "driver.mjs", folder / "job.json"], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    return {name: found[str(folder / name)] for name in files}


def expected_orientation(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = open_photo(path)
        if image.format == "PNG":
            image.load()
        return exif_orientation(image)


FACTS = {"at_least": [64, 64], "white_level": 65535, "ground": "white"}


def test_orientations_are_those_of_pillow(tmp_path):
    files = turned_files() | odd_pngs()
    answers = answers_of(files, tmp_path, FACTS)
    assert len(files) > 200
    expected = {name: expected_orientation(tmp_path / name) for name in files}
    assert set(expected.values()) == set(range(1, 9))
    assert {name: answers[name]["orientation"] for name in files} == expected


def test_without_its_metadata_a_file_has_the_same_pixels_and_no_orientation(tmp_path):
    import base64

    files = {name: data for name, data in turned_files().items() if not name.endswith("png")}
    upright = read_photo(turned_files()["turned 1.jpg"])
    for answer in answers_of(files, tmp_path, FACTS).values():
        photo = np.asarray(read_photo(base64.b64decode(answer["plain"]))).astype(int)
        assert np.abs(photo - np.asarray(upright)).max() < 16  # one is a JPEG


@pytest.mark.parametrize("rendering", [Rendering(), Rendering(4095, "visible")])
def test_pixels_of_a_png_are_those_of_regraft(tmp_path, rendering):
    import base64

    facts = FACTS | {"white_level": rendering.white_level, "ground": rendering.ground}
    files = odd_pngs()
    answers = answers_of(files, tmp_path, facts)
    assert len(files) > 50
    for name, answer in answers.items():
        expected = np.asarray(read_photo(files[name], rendering=rendering))
        pixels = np.frombuffer(base64.b64decode(answer["pixels"]), np.uint8)
        pixels = pixels.reshape(answer["height"], answer["width"], 3)
        np.testing.assert_array_equal(pixels, expected, err_msg=name)
