"""`ImageFolder` prepares photos that use few of 16 bits as a run does, and the network keeps that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import regraft as rg
from recorded_screen import RecordedScreen
from regraft.data.agreement import check_agreement
from regraft.data.decoding.rendering import Rendering
from regraft.errors import ConfigError

TWELVE_BITS = Rendering(4095)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for label in ("dark", "light"):
        (tmp_path / label).mkdir()
        for i in range(6):
            values = np.linspace(0, 1500 if label == "dark" else 4000, 40 * (40 + i)).reshape(40, 40 + i)
            Image.fromarray(values.astype(np.uint16)).save(tmp_path / label / f"{i}.png")
    return tmp_path


def network() -> rg.Backbone:
    return rg.build_backbone("test_resnet", pretrained=False, size=32)


def test_the_highest_value_of_the_folder_is_nearly_white(root: Path) -> None:
    screen = RecordedScreen()
    photos = rg.ImageFolder(root, size=32, screen=screen)
    assert photos.preprocessing.rendering == TWELVE_BITS
    assert photos.validation is not None and photos.validation.preprocessing == photos.preprocessing
    brightest = max(float(x.max()) for x, _ in photos)
    assert brightest > 0.7  # -0.88 with the full range of 16 bits
    assert any("16-bit gray uses 12 bits" in text for text in screen.texts)


def test_an_untrained_backbone_and_its_classifier_keep_the_level(root: Path) -> None:
    backbone = network()
    photos = rg.ImageFolder(root, network=backbone)
    classifier = rg.Classifier(backbone, photos.classes)
    assert classifier.preprocessing.rendering == TWELVE_BITS
    assert check_agreement(photos.preprocessing, photos.classes, classifier) == ""
    for path in root.rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(path)) // 8).save(path)
    later = rg.ImageFolder(root, network=backbone)
    assert later.preprocessing == photos.preprocessing == backbone.preprocessing


def test_a_classifier_and_the_users_preprocessing_keep_their_level_and_dark_photos_are_reported(root: Path) -> None:
    classifier = rg.Classifier(network(), ["dark", "light"])
    for chosen in ({"network": classifier}, {"preprocessing": rg.Preprocessing(height=32, width=32)}):
        screen = RecordedScreen()
        photos = rg.ImageFolder(root, screen=screen, **chosen)
        assert photos.preprocessing.rendering == Rendering()
        assert any("has values up to 4,000" in text and "white_level=4095" in text for text in screen.texts)
    suitable = rg.Preprocessing(height=32, width=32, white_level=4095)
    assert not any("16-bit" in note for note in rg.ImageFolder(root, preprocessing=suitable).notes)
    with pytest.raises(ConfigError, match="white_level: 65535 for the network, 4095 in the data set"):
        check_agreement(suitable, classifier.classes, classifier)


def test_ordinary_photos_are_prepared_as_before(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for i in range(3):
            Image.new("RGB", (40, 40 + i), (90, 40 * i, 20)).save(tmp_path / label / f"{i}.png")
    backbone = network()
    before = backbone.preprocessing
    assert rg.ImageFolder(tmp_path, network=backbone).preprocessing == before == backbone.preprocessing
