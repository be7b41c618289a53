"""The rendering that suits a folder: few of 16 bits fill the 8 bits, and white drawings stay visible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from regraft.data.decode import read_photo
from regraft.data.decoding.rendering import PLAIN, Rendering, measure_rendering
from regraft.data.loading.photo_task import load_plain
from regraft.data.loading.reduced_photo import LoadReduced
from regraft.data.manifest import Entry, scan
from regraft.data.preprocessing import Preprocessing
from regraft.data.source import find_photos
from regraft.errors import ConfigError


def levels(highest: int, dtype: str = "uint16") -> Image.Image:
    """Return a gray ramp from 0 to ``highest``, 64 × 64."""
    return Image.fromarray(np.linspace(0, highest, 4096).round().astype(dtype).reshape(64, 64))


def measured(root: Path, **images: Image.Image):
    """Return the rendering of a folder with these files; ``__`` in a name stands for the dot of its extension."""
    for label in ("ash", "birch"):
        (root / label).mkdir(parents=True)
    for name, image in images.items():
        image.save(root / "ash" / name.replace("__", "."))
    Image.new("RGB", (40, 30), "green").save(root / "birch" / "plain.png")
    return measure_rendering(scan(find_photos(root), workers=0).usable, workers=0)


@pytest.mark.parametrize(
    ("highest", "white"), [(200, 255), (1023, 1023), (1000, 1023), (3000, 4095), (16383, 16383), (40000, 65535)]
)
@pytest.mark.parametrize("suffix", ["png", "tif", "int32.tif"])
def test_the_white_level_is_the_highest_number_of_the_fewest_bits(tmp_path, highest, white, suffix) -> None:
    image = levels(highest, "int32" if suffix == "int32.tif" else "uint16")
    found = measured(tmp_path, **{f"dark__{suffix}": levels(highest // 3), f"bright__{suffix}": image})
    assert found.rendering == Rendering(white) and found.deep == 2 and found.highest == highest
    (entry,) = (e for e in scan(find_photos(tmp_path), workers=0).usable if "bright" in e.name)
    decoded = np.asarray(read_photo(entry.path, rendering=found.rendering))[..., 0]
    expected = np.minimum(np.asarray(image).astype(float) / white * 255, 255)
    assert np.abs(decoded - expected).max() <= 0.51
    assert bool(found.notes) == (white != 65535)


def test_one_value_for_missing_data_does_not_count(tmp_path) -> None:
    holes = np.asarray(levels(1000)).copy()
    holes[:5] = 65535
    found = measured(tmp_path, holes__png=Image.fromarray(holes))
    assert found.rendering.white_level == 1023
    assert found.notes == ("16-bit gray uses 10 bits (highest value 1,000): 1,023 becomes white",)
    assert np.asarray(read_photo(tmp_path / "ash" / "holes.png", rendering=found.rendering))[:5].min() == 255


def test_an_ordinary_folder_has_the_plain_rendering_and_the_same_names(tmp_path) -> None:
    plain = Image.new("RGB", (40, 30), "red")
    found = measured(tmp_path, a__jpg=plain, b__png=plain, c__tif=plain, d__bmp=plain, e__webp=plain)
    assert (found.rendering, found.notes) == (PLAIN, ())
    p = Preprocessing(height=64, width=64)
    assert p.rendered(PLAIN) == p and not {"white_level", "ground"} & set(p.as_dict())
    assert LoadReduced(60).id == LoadReduced(60, PLAIN).id and "white" not in LoadReduced(60).id


def test_the_rendering_is_part_of_the_names_and_is_kept() -> None:
    p = Preprocessing(height=64, width=64)
    for rendering in (Rendering(1023), Rendering(ground="visible"), Rendering(4095, "visible")):
        other = p.rendered(rendering)
        assert other.id != p.id and other.rendering == rendering
        assert Preprocessing.from_dict(other.as_dict()) == other
        assert other.rendered(PLAIN) == other
        task = LoadReduced(60, rendering)
        assert task.id != LoadReduced(60).id and LoadReduced.from_dict(task.as_dict()) == task
    with pytest.raises(ConfigError, match=r"white_level must be an integer from 1 to 65535, not 0"):
        Preprocessing(white_level=0)
    with pytest.raises(ConfigError, match=r"ground must be one of white, visible, not 'red'"):
        Preprocessing(ground="red")  # type: ignore[arg-type]


def drawing(fill: object, mode: str = "RGBA", size: int = 96) -> Image.Image:
    """Return a disc on transparent ground."""
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((size // 3, size // 3, size // 2, size // 2), fill=fill)
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("size", [96, 1500])
def test_a_white_drawing_is_visible(tmp_path, mode, size) -> None:
    found = measured(tmp_path, white__png=drawing((250, 252, 255), mode, size))
    assert found.rendering == Rendering(ground="visible") and "on black" in found.notes[0]
    path = tmp_path / "ash" / "white.png"
    assert np.asarray(read_photo(path)).min() >= 250
    (entry,) = (e for e in scan(find_photos(tmp_path), workers=0).usable if "white" in e.name)
    shown = load_plain(entry, Preprocessing(height=64, width=64).rendered(found.rendering))
    assert shown.min() == 0 and shown.max() >= 245


def test_a_large_white_drawing_is_visible_too(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("regraft.data.decode.LARGE_PIXELS", 1000)
    drawing("white").save(tmp_path / "white.png")
    shown = np.asarray(read_photo(tmp_path / "white.png", rendering=Rendering(ground="visible")))
    assert shown.min() == 0 and shown.max() == 255


@pytest.mark.parametrize("fill", ["black", "yellow", (200, 200, 200), (255, 255, 255, 0)])
def test_a_picture_that_survives_on_white_is_not_changed(tmp_path, fill) -> None:
    drawing(fill).save(tmp_path / "a.png")
    plain = np.asarray(read_photo(tmp_path / "a.png"))
    assert np.array_equal(np.asarray(read_photo(tmp_path / "a.png", rendering=Rendering(ground="visible"))), plain)


@pytest.mark.parametrize("suffix", ["png", "gif", "webp"])
def test_transparency_is_told_by_the_first_bytes(tmp_path, suffix) -> None:
    image = drawing("white")
    found = measured(tmp_path, **{f"a__{suffix}": image, "b__png": image.convert("P")})
    assert found.transparent == 2


def test_damaged_files_do_not_decide(tmp_path) -> None:
    measured(tmp_path, cut__png=levels(1023))
    path = tmp_path / "ash" / "cut.png"
    path.write_bytes(path.read_bytes()[:70])
    entry = Entry("cut.png", path, "0", "ash", traits=frozenset({"deep"}))
    assert measure_rendering([entry], workers=0).rendering == PLAIN
