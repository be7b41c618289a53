"""Near-copies are found whatever was done to them, and strangers are not taken for copies."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from audit.conftest import features_of, save, scene, with_stats
from regraft.audit.alignment import align
from regraft.audit.duplicates import connected_sets, detect_duplicates
from regraft.audit.near_duplicates import match_coarsely
from regraft.audit.neighbours import nearest_neighbours

CHANGES = {
    "encoded": lambda image: image,
    "small": lambda image: image.resize((100, 75)),
    "squeezed": lambda image: image.resize((200, 200)),
    "cropped": lambda image: image.crop((20, 30, 220, 175)),
    "mirrored": ImageOps.mirror,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "flatter": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "turned": lambda image: image.rotate(4, Image.Resampling.BICUBIC, fillcolor=(0, 0, 0)),
    "bordered": lambda image: ImageOps.expand(image, 12, (255, 255, 255)),
    "gray": lambda image: image.convert("L"),
}


@pytest.fixture(scope="module")
def strangers_and_copies(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for k in range(24):
        save(scene(k), root / f"class {k % 2}" / f"{k:02} original.png")
    for k, (name, change) in enumerate(CHANGES.items()):
        save(change(scene(k)), root / f"class {k % 2}" / f"{k:02} {name}.jpg", quality=60)
    return root


def test_every_near_copy_is_found_and_nothing_else(strangers_and_copies):
    _, entries, photo_stats = with_stats(strangers_and_copies)
    found = detect_duplicates(entries, features_of(photo_stats), photo_stats, workers=0)
    names = [entry.name.split("/")[1] for entry in entries]
    pairs = {tuple(sorted((names[a][:2], names[b][:2]))) for a, b in found.near.pairs.tolist()}
    assert len(found.near.pairs) == len(CHANGES)
    assert pairs == {(f"{k:02}", f"{k:02}") for k in range(len(CHANGES))}


def test_exact_copies_by_bytes_and_by_pixels(tmp_path):
    data = io.BytesIO()
    scene(1).save(data, "PNG")
    for name in ("a/one.png", "b/two.png"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_bytes(data.getvalue())
    save(scene(1), tmp_path / "a" / "three.bmp")
    save(scene(2), tmp_path / "b" / "four.png")
    _, entries, photo_stats = with_stats(tmp_path)
    found = detect_duplicates(entries, features_of(photo_stats), photo_stats, workers=0)
    names = [entry.name for entry in entries]
    assert [{names[i] for i in members} for members in found.by_bytes] == [{"a/one.png", "b/two.png"}]
    assert [{names[i].split(".")[1] for i in members} for members in found.by_pixels] == [{"png", "bmp"}]
    assert len(found.near.pairs) == 0
    contents = {entry.content for entry in entries if "four" not in entry.name}
    assert set(found.groups) == contents and set(found.groups.values()) == {min(contents)}


def test_what_was_found_is_kept_and_the_order_of_photos_does_not_matter(strangers_and_copies):
    from regraft.features.stores.store import MemoryStore

    _, entries, photo_stats = with_stats(strangers_and_copies)
    features, store = features_of(photo_stats), MemoryStore()
    first = detect_duplicates(entries, features, photo_stats, store=store, workers=0)
    assert len(store) == 1
    back = list(range(len(entries)))[::-1]
    again = detect_duplicates(
        [entries[i] for i in back], features[back], [photo_stats[i] for i in back], store=store, workers=0
    )
    assert again.groups == first.groups


def test_aligning_gives_back_the_map():
    whole = scene(7).convert("L").resize((128, 128))
    part = whole.crop((10, 6, 118, 124))
    one, two = (np.asarray(image.resize((64, 64), Image.Resampling.BOX)) for image in (part, whole))
    start = np.array([[[0.86, 0, 0], [0, 0.86, 0]]], dtype=np.float32)
    found = align(one[None], two[None], start)
    assert found.fit[0] > 0.95 and found.overlap[0] > 0.95
    assert np.allclose(found.theta[0], [[108 / 128, 0, 0], [0, 118 / 128, 2 / 128]], atol=0.02)


def test_a_blank_photo_is_like_no_other():
    gray = np.stack([np.full((64, 64), 7, np.uint8), np.full((64, 64), 200, np.uint8)])
    rough = match_coarsely(gray, np.array([[0, 1]]))
    assert rough.likeness[0] < 0.5
    assert align(gray[:1], gray[1:], rough.theta(np.array([True]))).whole[0] < 0.5


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_few_photos_have_few_neighbours(n):
    features = np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32)
    found = nearest_neighbours(features, 10)
    assert found.index.shape == (n, max(0, min(10, n - 1)))
    assert all(i not in row for i, row in enumerate(found.index.tolist()))
    assert len(found.pairs()) == n * (n - 1) // 2


def test_neighbours_are_those_of_a_plain_search():
    features = np.random.default_rng(1).normal(size=(3000, 20)).astype(np.float32)
    found = nearest_neighbours(features, 3)
    unit = features - features.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    products = unit @ unit.T
    np.fill_diagonal(products, -2)
    assert (np.argsort(-products, axis=1)[:, :3] == found.index).mean() > 0.999


def test_sets_that_hang_together_are_joined():
    assert connected_sets(7, [(0, 1), (4, 5), (1, 4), (6,)]) == [[0, 1, 4, 5]]
    assert connected_sets(3, []) == []
