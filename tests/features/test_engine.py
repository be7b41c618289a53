"""A photo's features are its own: the same bits wherever it is in a batch, and those that timm computes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.data.preprocessing import normalise
from regraft.errors import ConfigError
from regraft.features.engines.engine import EagerEngine
from regraft.features.engines.processor import computes_bf16
from regraft.features.engines.trial import TRIAL_PHOTOS, is_batch_invariant
from regraft.models.backbone import Backbone
from regraft.models.zoo import build_backbone

POOL = 12


@cache
def photos(height: int, width: int) -> np.ndarray:
    """Invented photos, shape (12, H, W, 3): noise over smooth colours, one black, one white."""
    draw = np.random.default_rng(5)
    coarse = draw.integers(0, 256, (POOL, 7, 7, 3)).astype(np.float64)
    smooth = coarse.repeat(-(-height // 7), axis=1).repeat(-(-width // 7), axis=2)[:, :height, :width]
    made = np.clip(smooth + draw.normal(0, 30, smooth.shape), 0, 255).astype(np.uint8)
    made[0], made[1] = 0, 255
    return made


def sized(backbone: Backbone) -> np.ndarray:
    p = backbone.spec.preprocessing
    return photos(p.height, p.width)


@cache
def engine_of(precision: str) -> EagerEngine:
    return EagerEngine(build_backbone(), precision=precision, batch_size=4)


@cache
def alone(precision: str, photo: int) -> bytes:
    engine = engine_of(precision)
    return engine.run(sized(engine.backbone)[photo : photo + 1]).tobytes()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@settings(max_examples=12, deadline=None, derandomize=True)
@given(batch=st.lists(st.integers(0, POOL - 1), min_size=1, max_size=4))
def test_features_are_the_same_bits_in_any_company(precision, batch):
    engine = engine_of(precision)
    found = engine.run(sized(engine.backbone)[batch])
    assert found.dtype == np.float32
    for row, photo in zip(found, batch, strict=True):
        assert row.tobytes() == alone(precision, photo)


@pytest.mark.parametrize(
    "name",
    [
        "test_vit",
        "test_convnext",
        "test_efficientnet_gn",
        "test_coatnet",
        pytest.param("test_maxvit", marks=pytest.mark.slow),  # test_batch_invariance has it, at a smaller size
    ],
)
@pytest.mark.parametrize(
    ("precision", "batch_size"),
    [
        ("fp32", 5),
        ("bf16", None),
        pytest.param("fp32", None, marks=pytest.mark.slow),
        pytest.param("bf16", 5, marks=pytest.mark.slow),
    ],
)
def test_features_are_the_same_bits_in_other_families(name, precision, batch_size):
    assert strangers(build_backbone(name, pretrained=False), precision, batch_size) == []


def strangers(backbone, precision, batch_size):
    """Return each (size, batch, photo) in which a photo has other bits than alone."""
    engine, x = EagerEngine(backbone, precision=precision, batch_size=batch_size), sized(backbone)
    first = {photo: engine.run(x[photo : photo + 1])[0].tobytes() for photo in range(6)}
    size = engine.batch_size
    return [
        (size, batch, photo)
        for batch in ([4, 3, 2, 1, 0, 5, 1, 4], [0, 0, 3, 5, 5, 5, 5, 2], [5, 4, 1, 1, 2, 3, 0, 0])
        for row, photo in zip(engine.run(x[batch[:size]]), batch[:size], strict=True)
        if row.tobytes() != first[photo]
    ]


@pytest.mark.parametrize("threads", [2, 3])
def test_features_are_the_same_bits_with_several_threads(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert strangers(build_backbone("test_efficientnet_gn", pretrained=False), "fp32", None) == []
    finally:
        torch.set_num_threads(before)


MATTERS = {
    "its place": lambda y: y + torch.arange(len(y))[:, None],
    "the others": lambda y: y + y.mean(),
    "only the last": lambda y: torch.cat([y[:-1], y[-1:] * (1 + 1e-6)]),
}


@pytest.mark.parametrize("what", MATTERS)
@pytest.mark.parametrize("size", [None, 2, 3, 4])
def test_photos_are_run_one_at_a_time_where_more_than_the_photo_matters(monkeypatch, tmp_path, what, size):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "one"))
    backbone = build_backbone("test_resnet", pretrained=False, size=32)
    assert EagerEngine(backbone, batch_size=size).batch_size == (size or 8)
    kind = type(backbone.network)
    plain = kind.forward
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "other"))  # where no earlier trial is known
    monkeypatch.setattr(kind, "forward", lambda self, x: MATTERS[what](plain(self, x)))
    backbone = build_backbone("test_resnet", pretrained=False, size=32)
    assert EagerEngine(backbone, batch_size=size).batch_size == 1


def test_features_are_those_of_timm(lite0):
    x = sized(lite0)
    with torch.inference_mode():
        expected = lite0.network(normalise(x, lite0.spec.preprocessing)).numpy()
    engine = EagerEngine(lite0, batch_size=POOL)
    assert np.abs(engine.run(x) - expected).max() < 1e-5 * np.abs(expected).max()
    if not computes_bf16():
        return
    relative = np.abs(EagerEngine(lite0, precision="bf16").run(x[:8]) - expected[:8]).max() / np.abs(expected).max()
    assert relative < 0.05


def test_features_of_real_photos_are_those_of_timm(lite0, photos_root):
    from regraft.data.decode import read_photo
    from regraft.data.preprocessing import evaluation_pixels

    p = lite0.spec.preprocessing
    files = sorted((photos_root / "hymenoptera").rglob("*.jpg"))[:8]
    assert len(files) == 8
    x = np.stack([evaluation_pixels(read_photo(file), p) for file in files])
    with torch.inference_mode():
        expected = lite0.network(normalise(x, p)).numpy()
    np.testing.assert_allclose(EagerEngine(lite0).run(x), expected, rtol=1e-5, atol=1e-5)


def test_the_backbone_is_left_as_it_is(tiny):
    before, training = tiny.weights_hash(), tiny.training
    EagerEngine(tiny).run(sized(tiny)[:2])
    assert tiny.weights_hash() == before
    assert tiny.training == training
    assert next(tiny.network.parameters()).is_contiguous()


def test_changed_weights_are_taken_over_on_refresh():
    backbone = build_backbone("test_resnet", pretrained=False, size=32)
    engine, x = EagerEngine(backbone), sized(backbone)[:2]
    first, before = engine.refresh(), engine.run(x)
    assert engine.refresh() == first
    with torch.no_grad():
        next(backbone.network.parameters()).mul_(2)
    assert engine.refresh() == backbone.weights_hash() != first
    assert not np.array_equal(engine.run(x), before)


def test_a_trained_backbone_still_runs_in_inference_mode():
    backbone = build_backbone("test_resnet", pretrained=False, size=32)
    x = sized(backbone)[:2]
    expected = EagerEngine(backbone).run(x)
    backbone.unfreeze("all", norm_statistics=True)
    backbone.train()
    assert np.array_equal(EagerEngine(backbone).run(x), expected)
    assert backbone.training


def test_what_was_made_ready_is_shared_and_let_go(monkeypatch):
    import gc
    import weakref

    from regraft.features.engines import frozen_network as module

    made, plain = [], module.folded

    def folded(*arguments, **options):
        network = plain(*arguments, **options)
        made.append(weakref.ref(network))
        return network

    monkeypatch.setattr(module, "folded", folded)
    backbone = build_backbone("test_resnet", pretrained=False, size=32, seed=77)
    x = sized(backbone)[:1]
    EagerEngine(backbone).run(x)
    EagerEngine(backbone).run(x)
    EagerEngine(build_backbone("test_resnet", pretrained=False, size=32, seed=77)).run(x)
    assert len(made) == 1
    EagerEngine(build_backbone("test_resnet", pretrained=False, size=32, seed=78)).run(x)
    assert len(made) == 2
    assert made[0]() is not None
    del backbone
    gc.collect()
    assert made[0]() is None


def test_numerics_tell_engines_apart(tiny):
    texts = {
        EagerEngine(tiny).numerics,
        EagerEngine(tiny, batch_size=4).numerics,
        EagerEngine(build_backbone("test_resnet", pretrained=False, size=64)).numerics,
    }
    if computes_bf16():
        texts.add(EagerEngine(tiny, precision="bf16").numerics)
    assert len(texts) == 3 + computes_bf16()
    assert all(torch.__version__ in text for text in texts)
    before = EagerEngine(tiny).numerics
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    assert EagerEngine(tiny).numerics == before
    torch.set_num_threads(threads)


def test_wrong_arguments_are_refused(tiny):
    with pytest.raises(ConfigError, match="precision: expected 'fp32' or 'bf16', found 'fp16'"):
        EagerEngine(tiny, precision="fp16")
    with pytest.raises(ConfigError, match="batch size: expected a positive number, found 0"):
        EagerEngine(tiny, batch_size=0)
    with pytest.raises(ValueError, match="at most 2 photos, not 3"):
        EagerEngine(tiny, batch_size=2).run(sized(tiny)[:3])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_gives_the_same_bits_in_any_company(lite0):
    engine, x = EagerEngine(lite0, device="cuda"), sized(lite0)
    whole = engine.run(x)
    assert all(np.array_equal(engine.run(x[i : i + 1])[0], whole[i]) for i in range(POOL))


@pytest.mark.parametrize("size", [2, 4, 5, 8, 64])
@pytest.mark.parametrize("what", [*MATTERS, "one place"])
def test_a_trial_notices_what_matters_in_batches_of_any_size(what, size):
    photos = torch.randn(TRIAL_PHOTOS, 4, generator=torch.Generator().manual_seed(3))
    assert is_batch_invariant(lambda x: 2 * x, photos, size)
    for place in range(size) if what == "one place" else [0]:
        odd = torch.zeros(size, 1)
        odd[place] = 1e-6
        matters = MATTERS.get(what, lambda y, odd=odd: y * (1 + odd))
        assert not is_batch_invariant(lambda x, matters=matters: matters(2 * x), photos, size)


def test_one_batch_checks_a_cheaper_copy_and_its_places(monkeypatch):
    from regraft.features.engines import frozen_network as module

    sizes, run = [], module.FrozenNetwork.__call__
    monkeypatch.setattr(module.FrozenNetwork, "__call__", lambda self, x: (sizes.append(len(x)), run(self, x))[1])
    assert EagerEngine(build_backbone("test_resnet", pretrained=False, size=32, seed=99)).batch_size == 8
    assert sizes == [8]
