"""Model files of tiny networks, and photos of unusual kinds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

import regraft as rg

CLASSES = ["ant", "bee", "wasp"]


def tiny_classifier(name="test_resnet", size=64, seed=0, bounds=True):
    backbone = rg.build_backbone(name, pretrained=False, size=size)
    classifier = rg.Classifier(backbone, CLASSES)
    draw = torch.Generator().manual_seed(seed)
    features = backbone.spec.num_features
    limits = (torch.full((features,), -0.01), torch.full((features,), 0.01)) if bounds else None
    classifier.set_head(torch.randn(3, features, generator=draw), torch.randn(3, generator=draw) / 10, limits)
    return classifier


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """A model file whose head clips features."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    tiny_classifier().save(path)
    return path


@pytest.fixture(scope="session")
def odd_photos(tmp_path_factory):
    """Photos of many kinds: rotated by Exif, CMYK, gray, palette, transparent, 16 bits, with a profile, tall, tiny."""
    folder = tmp_path_factory.mktemp("odd photos")
    draw = np.random.default_rng(0)

    def noise(height, width, *bands):
        coarse = draw.integers(0, 256, (height // 8 + 1, width // 8 + 1, *bands), dtype=np.uint8)
        return np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)[:height, :width]

    plain = Image.fromarray(noise(120, 90, 3))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        plain.save(folder / f"turned {orientation}.jpg", exif=exif)
    Image.fromarray(noise(300, 400, 3)).save(folder / "large.jpg")
    Image.fromarray(noise(90, 120, 3)).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(noise(90, 120)).save(folder / "gray.png")
    Image.fromarray(noise(90, 120, 3)).quantize(32).save(folder / "palette.png")
    Image.fromarray(noise(90, 120, 4)).save(folder / "transparent.png")
    Image.fromarray(noise(90, 120).astype(np.uint16) * 257).save(folder / "deep.png")
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(noise(90, 120, 3)).save(folder / "profile.jpg", icc_profile=lab)
    Image.fromarray(noise(900, 70, 3)).save(folder / "tall.png")
    Image.fromarray(noise(1, 1, 3)).save(folder / "pixel.bmp")
    Image.fromarray(noise(90, 120, 3)).save(folder / "名字 with spaces.webp", lossless=True)
    (folder / "damaged.jpg").write_bytes((folder / "large.jpg").read_bytes()[:900])
    return folder
