"""Runs on photos that have few of 16 bits, that are drawn in white, or that all look the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import regraft as rg
from recorded_screen import RecordedScreen
from regraft.data.decoding.rendering import Rendering
from regraft.errors import PhotosError
from regraft.workflows.train import train


def folder(root: Path, picture: Callable[[str, int], Image.Image]) -> Path:
    """Write twelve pictures of each of two classes."""
    for label in ("bar", "disc"):
        (root / label).mkdir(parents=True)
        for i in range(12):
            picture(label, i).save(root / label / f"{i}.png")
    return root


def ten_bits(label: str, i: int) -> Image.Image:
    """Return stripes across or along, with values up to 1,023, in 16 bits."""
    wave = 511.5 + 511.5 * np.sin(np.arange(64) * (0.3 + 0.02 * i))
    across = np.broadcast_to(wave, (64, 64))
    return Image.fromarray((across if label == "bar" else across.T).round().astype(np.uint16))


def white_drawing(label: str, i: int) -> Image.Image:
    """Return a white bar or disc on transparent ground."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    box = (4 + i, 20, 30 + i, 46) if label == "disc" else (4 + i, 4, 12 + i, 60)
    (draw.ellipse if label == "disc" else draw.rectangle)(box, fill="white")
    return image


@pytest.mark.parametrize(
    ("picture", "rendering", "note"),
    [
        (ten_bits, Rendering(1023), "16-bit gray uses 10 bits (highest value 1,023): 1,023 becomes white"),
        (white_drawing, Rendering(ground="visible"), "on black if nothing would be left of the picture"),
    ],
)
def test_the_rendering_is_printed_and_kept_with_the_model(
    picture, rendering, note, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    photos, screen = folder(tmp_path / "photos", picture), RecordedScreen()
    run = train(photos, out=tmp_path / "run", screen=screen, recipe="feature-extraction", epochs=1, **tiny)
    assert any(note in text for text in screen.texts)
    predictor = rg.Predictor.load(run.folder)
    assert predictor.classifier.backbone.spec.preprocessing.rendering == rendering
    path = photos / "disc" / "3.png"
    from_file = predictor.predict(path)
    from_image = predictor.predict(Image.open(path))
    assert from_file.top == from_image.top


@pytest.mark.parametrize(
    ("color", "content"),
    [("white", r" \(white everywhere\)"), ("black", r" \(black"), ((90, 20, 200), r" \(one color")],
)
def test_photos_that_look_the_same_are_refused_with_what_to_do(
    color, content, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    photos = folder(tmp_path / "photos", lambda label, i: Image.new("RGB", (64, 64), color))
    with pytest.raises(PhotosError, match=rf"all 24 photos look the same to the network{content}.*\n.*regraft check"):
        train(photos, out=tmp_path / "run", screen=RecordedScreen(), recipe="linear-probe", **tiny)


def test_a_class_of_one_picture_is_reported(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    noise = np.random.default_rng(0)
    photos = folder(
        tmp_path / "photos",
        lambda label, i: Image.fromarray(noise.integers(0, 255 if label == "bar" else 1, (64, 64, 3), dtype=np.uint8)),
    )
    screen = RecordedScreen()
    train(photos, out=tmp_path / "run", screen=screen, recipe="linear-probe", **tiny)
    (text,) = (text for text in screen.texts if "the same picture" in text and "all 12 photos" in text)
    assert text.startswith("all 12 photos of class disc are the same picture")
