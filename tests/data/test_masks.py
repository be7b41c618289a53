"""Masks of a segmentation are left out of the photos; photos of people with masks are not."""

from __future__ import annotations

import pytest

from data.odd_files import encoded, picture
from regraft.data.folders.masks import MASK, mask_names
from regraft.data.source import find_photos
from regraft.errors import PhotosError


def written(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encoded(picture((20, 20)), "PNG"))
    return root


@pytest.mark.parametrize(
    ("photos", "masks"),
    [
        (["benign/benign (1).png"], ["benign/benign (1)_mask.png", "benign/benign (1)_mask_1.png"]),
        (["a/ISIC_12.jpg"], ["a/ISIC_12_segmentation.png"]),
        (["covid/images/1.png", "covid/images/2.png"], ["covid/masks/1.png", "covid/masks/2_mask.png"]),
        (["imgs/1.png"], ["GT/1.png"]),
        (["images/ash/1.png", "images/elm/1.png"], ["masks/ash/1.png", "masks/elm/1_mask.png"]),
        (["x/photos/ash/may/1.png"], ["x/Masks/ash/may/1.png"]),
        (["images/ash/1.png", "masks/elm/1.png"], []),
        (["with_mask/with_mask_1.jpg", "without_mask/without_mask_1.jpg"], []),
        (["mask/1.jpg", "no_mask/1.jpg", "Mask/a/2.jpg"], []),
        (["images/1.png", "masks/2.png", "gas-mask.png", "x_mask.png"], []),
    ],
)
def test_only_files_next_to_their_photo_are_masks(photos, masks):
    assert mask_names([*photos, *masks]) == set(masks)


def test_classes_have_their_photos_without_masks(tmp_path):
    names = [f"{c}/images/{i}.png" for c in ("covid", "normal") for i in range(3)]
    written(tmp_path, [*names, *(name.replace("images", "masks") for name in names)])
    source = find_photos(tmp_path)
    assert [photo.name for photo in source.photos] == names and source.classes == ("covid", "normal")
    assert [why for _, why in source.skipped] == [MASK] * 6
    (note,) = source.notes
    assert note.startswith("masks of photos with the same names are left out: 6 files, such as covid/masks/0.png")


def test_photos_and_their_masks_are_no_two_classes(tmp_path):
    written(tmp_path, [f"{folder}/{i}.png" for folder in ("images", "masks") for i in range(3)])
    with pytest.raises(PhotosError, match="has one class only: images"):
        find_photos(tmp_path)
