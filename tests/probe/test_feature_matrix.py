"""Products with features that are standardized on the fly, against the same products with standardized copies."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from regraft.probe import feature_matrix
from regraft.probe.feature_matrix import FeatureMatrix, map_in_threads, single_threaded_blas

P, K, N, D = 3, 2, 2500, 7


def given(dtype=np.float64, seed=0):
    """Return features that aren't centered, and what each problem subtracts and multiplies by."""
    draw = np.random.default_rng(seed)
    X = (draw.normal(0, 1, (N, D)) * draw.uniform(0.5, 3, D) + draw.normal(0, 4, D)).astype(dtype)
    return X, draw.normal(0, 1, (P, D)), draw.uniform(0.2, 2, (P, D))


def weights(seed=1):
    draw = np.random.default_rng(seed)
    return draw.normal(0, 1, (P, K, D)), draw.normal(0, 1, (P, K)), draw.normal(0, 1, (P, K, N))


def standardized(X, mean, scale):
    return (X.astype(np.float64) - mean[:, None, :]) * scale[:, None, :]


def expect(features, Z, rel):
    """Compare both products with those of the standardized copies ``Z``, shape (p, n, d)."""
    weight, bias, residual = weights()
    residual = residual[:, :, : Z.shape[1]].astype(features.dtype)
    logits = np.einsum("pkd,pnd->pkn", weight, Z) + bias[:, :, None]
    gradient = np.einsum("pkn,pnd->pkd", residual.astype(np.float64), Z)
    assert features.logits(weight, bias) == pytest.approx(logits, abs=rel * np.abs(logits).max())
    assert features.gradient(residual) == pytest.approx(gradient, abs=rel * np.abs(gradient).max())


@pytest.mark.parametrize("threads", [1, 3])
def test_the_products_are_those_of_standardized_copies(threads):
    X, mean, scale = given()
    expect(FeatureMatrix(X, mean, scale, np.float64, threads=threads), standardized(X, mean, scale), 1e-12)


@pytest.mark.parametrize("kept", [1 << 30, 0], ids=["converted once", "converted in each product"])
def test_rows_in_another_order_and_precision(kept, monkeypatch):
    monkeypatch.setattr(feature_matrix, "MAX_CONVERTED_BYTES", kept)
    X, mean, scale = given(np.float32)
    order = np.random.default_rng(2).permutation(N)[:1700]
    features = FeatureMatrix(X, mean, scale, np.float64, order, threads=2)
    assert (features.n, features.d) == (1700, D)
    expect(features, standardized(X[order], mean, scale), 1e-12)


def test_products_in_float32_are_exact_to_its_rounding():
    X, mean, scale = given(np.float32)
    features = FeatureMatrix(X, mean, scale, np.float32)
    assert features.logits(*weights()[:2]).dtype == np.float32
    expect(features, standardized(X, mean, scale), 1e-5)


def test_a_transposed_copy_gives_the_same_products():
    X, mean, scale = given(np.float32)
    transposed = np.ascontiguousarray(X.T)
    expect(FeatureMatrix(X, mean, scale, np.float32, transposed=transposed), standardized(X, mean, scale), 1e-5)
    wide = np.tile(X, (1, 40))  # more features than one block of them
    assert wide.shape[1] > 2 * feature_matrix.BLOCK_FEATURES
    residual = weights()[2].astype(np.float32)
    copies = [np.tile(part, (1, 40)) for part in (mean, scale)]
    plain = FeatureMatrix(wide, *copies, np.float32).gradient(residual)
    assert FeatureMatrix(wide, *copies, np.float32, transposed=wide.T.copy()).gradient(residual) == pytest.approx(
        plain, rel=1e-4, abs=1e-3
    )


def test_a_feature_with_a_scale_of_zero_is_removed():
    X, mean, scale = given()
    scale[:, 3] = 0
    X[5, 3] = 1e9
    weight, bias, residual = weights()
    features = FeatureMatrix(X, mean, scale, np.float64)
    assert not features.gradient(residual)[:, :, 3].any()
    changed = weight + 5 * (np.arange(D) == 3)
    assert np.array_equal(features.logits(changed, bias), features.logits(weight, bias))


@pytest.mark.parametrize("kept", [1 << 30, 0])
def test_the_number_of_threads_changes_no_bit(kept, monkeypatch):
    monkeypatch.setattr(feature_matrix, "MAX_CONVERTED_BYTES", kept)
    X, mean, scale = given(np.float32)
    weight, bias, residual = weights()
    with single_threaded_blas():
        results = [
            (f.logits(weight, bias), f.gradient(residual))
            for f in (FeatureMatrix(X, mean, scale, np.float64, np.arange(N), threads) for threads in (1, 2, 5))
        ]
    for logits, gradient in results[1:]:
        assert np.array_equal(logits, results[0][0])
        assert np.array_equal(gradient, results[0][1])


def test_results_come_in_the_order_of_the_items_whichever_is_first():
    second_is_done = threading.Event()

    def double(item):
        if item == 1:
            assert second_is_done.wait(60)
        elif item == 2:
            second_is_done.set()
        return 2 * item

    assert map_in_threads(double, [1, 2, 3], 2) == [2, 4, 6]
    assert map_in_threads(double, [2, 3], 1) == [4, 6]


def test_an_error_in_a_thread_is_raised():
    def fail(item):
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 1"):
        map_in_threads(fail, [1, 2], 2)


def test_the_linear_algebra_library_is_limited_to_one_thread_and_released():
    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    with threadpool_limits(2, "blas"):
        assert set(threads()) == {2}
        with single_threaded_blas():
            assert set(threads()) == {1}
        assert set(threads()) == {2}
