"""The solver against scikit-learn's, on awkward problems."""

import numpy as np
import pytest

from regraft.probe.solver import NotConvergedError, fit_logistic

linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is what the solver is compared with")


def random(n, d, k, seed=0, spread=1.0):
    draw = np.random.default_rng(seed)
    centres = draw.normal(0, spread, (k, d))
    y = np.concatenate([np.arange(k), draw.integers(0, k, n - k)])
    return centres[y] + draw.normal(0, 1, (n, d)), y


def sized(counts, d, seed=0):
    draw = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    return draw.normal(0, 0.6, (len(counts), d))[y] + draw.normal(0, 1, (len(y), d)), y


def constant_columns():
    X, y = random(80, 12, 3)
    X[:, 3], X[:, 7] = 0.0, 2.5
    return X, y


def duplicated_rows():
    X, y = random(30, 50, 3)
    return np.repeat(X, 3, axis=0), np.repeat(y, 3)


def correlated_columns():
    X, y = random(200, 10, 4)
    return np.hstack([X, X @ np.random.default_rng(1).normal(0, 1, (10, 30)), 20 * X[:, :3]]), y


PROBLEMS = {
    "random": random(300, 20, 4, spread=0.3),
    "nearly separable": random(200, 10, 3, spread=1.5),
    "separable": random(60, 40, 3, spread=4.0),
    "more features than rows": random(40, 300, 3),
    "constant columns": constant_columns(),
    "duplicated rows": duplicated_rows(),
    "correlated columns": correlated_columns(),
    "30 classes of 3": sized([3] * 30, 64),
    "two classes": random(100, 15, 2, spread=0.5),
    "500 against 5": sized([500, 5], 20),
    "one feature": random(50, 1, 3),
    "labels without meaning": (np.random.default_rng(5).normal(0, 1, (90, 6)), np.arange(90) % 3),
}


def objective(X, y, weight, bias, C, sample_weight):
    z = X @ weight.T + bias
    losses = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(y)), y]
    return C * (sample_weight * losses).sum() + 0.5 * (weight**2).sum()


def probabilities(X, weight, bias):
    z = X @ weight.T + bias
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def reference(X, y, C, sample_weight=None):
    """Return weights and biases of scikit-learn's optimum; its one row for two classes is split in halves."""
    two = y.max() == 1
    model = linear_model.LogisticRegression(C=2 * C if two else C, tol=1e-10, max_iter=10_000, solver="newton-cg")
    model.fit(X, y, sample_weight)
    if two:
        return np.vstack([-model.coef_, model.coef_]) / 2, np.array([-0.5, 0.5]) * model.intercept_
    return model.coef_, model.intercept_


@pytest.mark.parametrize("C", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("name", PROBLEMS)
def test_it_finds_the_optimum_of_scikit_learn(name, C):
    X, y = PROBLEMS[name]
    found = fit_logistic(X, y, C)
    weight, bias = reference(X, y, C)
    ones = np.ones(len(y))
    expected = objective(X, y, weight, bias, C, ones)
    assert found.objective == pytest.approx(objective(X, y, found.weight, found.bias, C, ones), rel=1e-12)
    assert found.objective <= expected * (1 + 1e-6)
    assert expected <= found.objective * (1 + 1e-6)
    assert np.abs(probabilities(X, found.weight, found.bias) - probabilities(X, weight, bias)).max() < 1e-4


@pytest.mark.parametrize("name", ["500 against 5", "random"])
def test_weighted_rows_equal_scikit_learns(name):
    X, y = PROBLEMS[name]
    sample_weight = len(y) / (len(np.bincount(y)) * np.bincount(y))[y]
    sample_weight = sample_weight * np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    found = fit_logistic(X, y, 0.05, sample_weight=sample_weight)
    weight, bias = reference(X, y, 0.05, sample_weight)
    expected = objective(X, y, weight, bias, 0.05, sample_weight)
    assert found.objective == pytest.approx(expected, rel=1e-6)
    assert np.abs(probabilities(X, found.weight, found.bias) - probabilities(X, weight, bias)).max() < 1e-4


def test_a_weight_of_two_is_a_row_twice():
    X, y = random(40, 6, 3)
    twice = fit_logistic(np.vstack([X, X[:10]]), np.concatenate([y, y[:10]]), 0.3)
    weighted = fit_logistic(X, y, 0.3, sample_weight=np.where(np.arange(40) < 10, 2.0, 1.0))
    assert weighted.weight == pytest.approx(twice.weight, abs=1e-5)


@pytest.mark.parametrize("name", ["random", "more features than rows", "500 against 5"])
@pytest.mark.parametrize("C", [1e-4, 1.0])
def test_the_gradient_norm_is_that_at_the_solution(name, C):
    X, y = PROBLEMS[name]
    found = fit_logistic(X, y, C, tolerance=1e-7)
    residual = probabilities(X, found.weight, found.bias) - np.eye(y.max() + 1)[y]
    gradient = C * residual.T @ X + found.weight
    assert np.linalg.norm(gradient) <= 1.01 * found.gradient_norm + 1e-12
    assert found.gradient_norm <= 1e-7 * np.linalg.norm(found.weight) + 1e-10
    assert np.abs(C * residual.sum(axis=0)).max() < 1e-6
    assert found.iterations > 0


def test_without_any_signal_the_bias_alone_is_fitted():
    y = np.array([0, 0, 0, 1])
    found = fit_logistic(np.zeros((4, 3)), y, 1.0)
    assert not found.weight.any()
    assert probabilities(np.zeros((1, 3)), found.weight, found.bias)[0] == pytest.approx([0.75, 0.25])


def test_one_class_alone_is_certain():
    found = fit_logistic(np.random.default_rng(0).normal(0, 1, (5, 3)), np.zeros(5, dtype=int), 1.0)
    assert np.abs(found.weight).max() < 1e-8
    assert found.objective == pytest.approx(0)


def test_float32_features_are_solved_in_float64():
    X, y = random(300, 40, 3, spread=0.5)
    X = X.astype(np.float32)
    a, b = fit_logistic(X, y, 0.1), fit_logistic(X.astype(np.float64), y, 0.1)
    assert a.weight.dtype == np.float64
    assert a.weight == pytest.approx(b.weight, abs=1e-12)


def test_a_start_at_the_solution_ends_at_once():
    X, y = PROBLEMS["random"]
    first = fit_logistic(X, y, 0.1)
    assert fit_logistic(X, y, 0.1, start=first).iterations == 0
    assert 0 < fit_logistic(X, y, 0.12, start=first).iterations < first.iterations + 5


def test_the_same_input_gives_the_same_bits_on_any_number_of_threads(monkeypatch):
    X, y = random(3000, 50, 4, spread=0.3)
    solutions = []
    for threads in (1, 2, 3):
        monkeypatch.setattr("regraft.probe.solver.cores", lambda threads=threads: threads)
        solutions.append(fit_logistic(X, y, 0.01).weight)
    assert np.array_equal(solutions[0], solutions[1])
    assert np.array_equal(solutions[0], solutions[2])


def test_the_iteration_limit_is_an_error_with_the_gradient_norm():
    X, y = PROBLEMS["correlated columns"]
    with pytest.raises(
        NotConvergedError, match=r"200 rows x 43 features with C = 10 did not converge: .* after 3 iterations"
    ):
        fit_logistic(X, y, 10.0, max_iterations=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros((3, 2, 1))}, r"X must be floating and of shape \(n, d\)"),
        ({"X": np.zeros((3, 2), dtype=int)}, "X must be floating"),
        ({"X": np.zeros((0, 2)), "y": np.zeros(0, dtype=int)}, "X must have at least one row, but has none"),
        ({"X": np.array([[0.0], [np.nan], [1.0]])}, "X must be finite, but row 1 is not"),
        ({"y": np.array([0, 1])}, r"y must be integer and of shape \(3,\)"),
        ({"y": np.array([0.0, 1.0, 1.0])}, "y must be integer"),
        ({"y": np.array([0, -1, 1])}, "y must be in 0 to 1, but contains -1 to 1"),
        ({"classes": 3}, r"each class needs a row .*, but classes \[2\] have none"),
        ({"sample_weight": np.array([0.0, 1.0, 1.0])}, r"each class needs a row .*, but classes \[0\] have none"),
        ({"sample_weight": np.array([-1.0, 1.0, 1.0])}, "sample_weight must be finite, not negative"),
        ({"C": 0.0}, "C must be a positive number"),
    ],
)
def test_impossible_input_is_refused(change, message):
    given = {"X": np.eye(3), "y": np.array([0, 1, 1]), "C": 1.0, **change}
    with pytest.raises(ValueError, match=message):
        fit_logistic(given.pop("X"), given.pop("y"), given.pop("C"), **given)
