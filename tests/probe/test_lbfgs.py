"""L-BFGS against the explicit BFGS matrix; problems in lockstep against each alone, SciPy and scikit-learn."""

import numpy as np
import pytest
from scipy import optimize

from regraft.probe.lbfgs import LbfgsHistory, _Iterate, minimize
from regraft.probe.logistic_problems import LogisticProblems, Point, bias_scale, prior_point, softmax
from textbook_logistic import only, problems_of_folds

linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is what the solver is compared with")


def explicit_inverse_hessian(pairs, size):
    """Return the inverse Hessian of BFGS after ``pairs``, oldest first: Nocedal and Wright 2006, (6.17) and (6.20)."""
    s, y = pairs[-1]
    H = np.eye(size) * (s @ y) / (y @ y)
    for s, y in pairs:
        rho, unit = 1 / (y @ s), np.eye(size)
        H = (unit - rho * np.outer(s, y)) @ H @ (unit - rho * np.outer(y, s)) + rho * np.outer(s, s)
    return H


def curved(p, size, steps, seed=0):
    """Return steps (steps, p, size) and the gradient changes ``y = A s`` of p quadratic functions."""
    draw = np.random.default_rng(seed)
    root = draw.normal(0, 1, (p, size, size))
    A = root @ root.transpose(0, 2, 1) + np.eye(size)
    s = draw.normal(0, 1, (steps, p, size))
    return s, np.einsum("pij,tpj->tpi", A, s)


def expected_directions(s, y, gradient, kept):
    """Return minus the explicit inverse Hessian times the gradient, from the valid ones of the last ``kept`` pairs."""
    out = []
    for i in range(s.shape[1]):
        pairs = [(a, b) for a, b in zip(s[-kept:, i], y[-kept:, i], strict=True) if a @ b > 0]
        out.append(-explicit_inverse_hessian(pairs, s.shape[2]) @ gradient[i])
    return np.stack(out)


@pytest.mark.parametrize("steps", [1, 2, 5, 6, 13])
def test_the_direction_is_that_of_the_explicit_matrix(steps):
    s, y = curved(p=3, size=8, steps=steps)
    gradient = np.random.default_rng(1).normal(0, 1, (3, 8))
    history = LbfgsHistory(3, 8, 5, np.float64)
    for t in range(steps):
        history.add(s[t], y[t])
    assert history.direction(gradient) == pytest.approx(expected_directions(s, y, gradient, 5), rel=1e-7)


def test_vectors_in_float32_change_the_direction_by_rounding_only():
    s, y = curved(p=2, size=6, steps=4)
    gradient = np.random.default_rng(1).normal(0, 1, (2, 6))
    history = LbfgsHistory(2, 6, 5, np.float32)
    for t in range(4):
        history.add(s[t], y[t])
    expected = expected_directions(s, y, gradient, 5)
    assert history.direction(gradient) == pytest.approx(expected, abs=1e-3 * np.abs(expected).max())


def test_the_last_pair_fulfills_the_secant_equation():
    s, y = curved(p=2, size=7, steps=4)
    history = LbfgsHistory(2, 7, 5, np.float64)
    for t in range(4):
        history.add(s[t], y[t])
    assert history.direction(y[-1]) == pytest.approx(-s[-1], rel=1e-8)


def test_a_pair_without_positive_curvature_is_ignored_in_its_problem_alone():
    s, y = curved(p=3, size=6, steps=4)
    y[2, 1] = -y[2, 1]
    s[3, 2] = 0.0  # a problem that did not move
    y[3, 2] = 0.0
    gradient = np.random.default_rng(1).normal(0, 1, (3, 6))
    history = LbfgsHistory(3, 6, 5, np.float64)
    for t in range(4):
        history.add(s[t], y[t])
    assert history.direction(gradient) == pytest.approx(expected_directions(s, y, gradient, 5), rel=1e-7)


def test_without_pairs_the_direction_is_the_steepest_descent():
    s, y = curved(p=1, size=4, steps=2)
    gradient = np.array([[1.0, -2.0, 3.0, 0.5]])
    history = LbfgsHistory(1, 4, 5, np.float64)
    assert np.array_equal(history.direction(gradient), -gradient)
    for t in range(2):
        history.add(s[t], y[t])
    assert not np.allclose(history.direction(gradient), -gradient)
    history.clear()
    assert np.array_equal(history.direction(gradient), -gradient)
    history.add(s[0], y[0])
    with np.errstate(all="raise"):  # nothing of the pairs before is left
        assert history.direction(gradient) == pytest.approx(expected_directions(s[:1], y[:1], gradient, 5))


def test_rescaled_pairs_are_those_of_the_problem_at_the_new_C():
    draw, weights, biases, steps = np.random.default_rng(2), 6, 2, 4
    size = weights + biases
    root = draw.normal(0, 1, (size, size))
    data = root @ root.T + np.eye(size)  # second derivative of the sum of losses
    s = draw.normal(0, 1, (steps, size))
    gradient = draw.normal(0, 1, (1, size))

    def pairs(C, scale):
        """Return the pairs in scaled variables, where the Hessian is C * data, plus 1 along each weight."""
        unit = np.concatenate([np.ones(weights), scale])
        hessian = C * data + np.diag(np.arange(size) < weights)
        return s * unit, (s @ hessian) / unit

    before, after = (0.1, np.array([0.3, 0.5])), (0.4, np.array([0.6, 0.7]))
    carried, fresh = LbfgsHistory(1, size, 5, np.float64), LbfgsHistory(1, size, 5, np.float64)
    for given, history in ((before, carried), (after, fresh)):
        for a, b in zip(*pairs(*given), strict=True):
            history.add(a[None], b[None])
    carried.rescale(after[0] / before[0], (after[1] / before[1])[None])
    assert carried.direction(gradient) == pytest.approx(fresh.direction(gradient), rel=1e-8)


def test_pairs_that_lose_their_curvature_at_the_new_C_are_removed():
    history, gradient = LbfgsHistory(1, 4, 5, np.float64), np.array([[1.0, 2.0, 3.0, 4.0]])
    s = np.array([[1.0, 0.0, 0.0, 0.0]])
    history.add(s, 0.5 * s)  # of a Hessian below 1, which no C gives: at four times the C, y' = 4 y - 3 s = -s
    history.rescale(4.0, np.ones((1, 1)))
    history.add(np.array([[0.0, 1.0, 0.0, 0.0]]), np.array([[0.0, 2.0, 0.0, 0.0]]))
    assert history.direction(gradient) == pytest.approx(-gradient / 2)


C = 0.2


def history_of(problems):
    p, k = problems.present.shape
    return LbfgsHistory(p, k * (problems.features.d + 1), 10, problems.features.dtype)


def solved(problems, C=C, tolerance=1e-8, start=None, max_iterations=500):
    return minimize(problems, C, start or prior_point(problems), history_of(problems), tolerance, max_iterations)


def test_lockstep_gives_what_each_problem_gives_alone():
    problems, _ = problems_of_folds()
    together = solved(problems)
    assert together.converged.all() and together.iterations > 5
    for i in range(4):
        alone = solved(only(problems, i))
        assert together.point.weight[i] == pytest.approx(alone.point.weight[0], abs=1e-7)
        assert together.logits[i] == pytest.approx(alone.logits[0], abs=1e-6)
        assert together.loss[i] == pytest.approx(alone.loss[0], rel=1e-9)
    others = [together.point.weight[i] - together.point.weight[0] for i in range(1, 4)]
    assert min(np.abs(other).max() for other in others) > 0.01  # four problems, not one four times


def test_lockstep_reaches_the_optima_of_scipy():
    problems, alone = problems_of_folds()
    together = solved(problems)
    for i in range(4):
        textbook = alone(i, C)
        start = np.zeros(3 * 5 + 3)
        theirs = optimize.minimize(
            textbook.value, start, jac=textbook.gradient, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-8}
        )
        weight, bias = textbook.split(theirs.x)
        ours = np.concatenate([together.point.weight[i].ravel(), together.point.bias[i]])
        assert textbook.value(ours) == pytest.approx(theirs.fun, rel=1e-10)
        assert C * together.loss[i] + 0.5 * (together.point.weight[i] ** 2).sum() == pytest.approx(theirs.fun, rel=1e-9)
        assert together.point.weight[i] == pytest.approx(weight, abs=1e-5)
        assert softmax(together.point.bias[i]) == pytest.approx(softmax(bias), abs=1e-5)


def test_lockstep_reaches_the_optima_of_scikit_learn():
    problems, alone = problems_of_folds()
    together = solved(problems)
    for i in range(4):
        textbook = alone(i, C)
        fitted = textbook.sample_weight > 0
        model = linear_model.LogisticRegression(C=C, tol=1e-10, max_iter=10_000, solver="newton-cg")
        model.fit(textbook.Z[fitted], textbook.y[fitted], textbook.sample_weight[fitted])
        assert together.point.weight[i] == pytest.approx(model.coef_, abs=1e-5)
        held_out = softmax(together.logits[i].T)[~fitted]
        assert held_out == pytest.approx(model.predict_proba(textbook.Z[~fitted]), abs=1e-5)


@pytest.mark.parametrize("C", [1e-3, 0.1, 30.0])
@pytest.mark.parametrize("tolerance", [0.1, 1e-3])
def test_the_weights_are_as_near_to_the_optimum_as_the_tolerance_says(C, tolerance):
    problems, _ = problems_of_folds()
    rough, exact = solved(problems, C, tolerance), solved(problems, C, 1e-9)
    assert exact.converged.all() and rough.iterations < exact.iterations
    for i in range(4):
        distance = np.linalg.norm(rough.point.weight[i] - exact.point.weight[i])
        assert distance <= 1.01 * tolerance * np.linalg.norm(rough.point.weight[i])


def test_the_gradient_is_the_textbooks_before_and_after_a_step():
    problems, alone = problems_of_folds()
    draw = np.random.default_rng(0)
    start = Point(draw.normal(0, 0.3, (4, 3, 5)), draw.normal(0, 0.3, (4, 3)))
    iterate, scale = _Iterate(problems, C, start), bias_scale(problems, C)

    def textbook_gradients(point):
        flat = [np.concatenate([point.weight[i].ravel(), point.bias[i]]) for i in range(4)]
        gradients = np.stack([alone(i, C).gradient(f) for i, f in enumerate(flat)])
        gradients[:, 15:] /= scale
        return gradients

    before = textbook_gradients(iterate.point)
    assert iterate.gradient == pytest.approx(before, rel=1e-9, abs=1e-12)
    step, change = iterate.step_along(-iterate.gradient)
    assert iterate.gradient == pytest.approx(textbook_gradients(iterate.point), rel=1e-9, abs=1e-12)
    assert change == pytest.approx(iterate.gradient - before, abs=1e-12)
    assert iterate.point.weight == pytest.approx(start.weight + step[:, :15].reshape(4, 3, 5))
    assert iterate.point.bias == pytest.approx(start.bias + step[:, 15:] / scale)
    assert iterate.logits == pytest.approx(problems.logits(iterate.point), abs=1e-10)


def test_the_textbooks_own_gradient_is_the_derivative_of_its_value():
    _, alone = problems_of_folds()
    at = np.random.default_rng(0).normal(0, 0.5, 18)
    assert alone(1, C).gradient(at) == pytest.approx(optimize.approx_fprime(at, alone(1, C).value, 1e-7), abs=1e-4)


def test_a_solved_problem_does_not_move_while_it_waits():
    problems, _ = problems_of_folds()
    first = solved(only(problems, 0), tolerance=1e-9).point
    start = prior_point(problems)
    start.weight[0], start.bias[0] = first.weight[0], first.bias[0]
    together = solved(problems, tolerance=1e-3, start=start)
    assert together.converged.all() and together.iterations > 2
    assert np.array_equal(together.point.weight[0], first.weight[0])


def test_a_limit_on_iterations_returns_what_is_not_solved():
    problems, _ = problems_of_folds()
    cut = solved(problems, tolerance=1e-8, max_iterations=2)
    assert cut.iterations == 2
    assert not cut.converged.any()
    assert solved(problems, max_iterations=0).point.weight == pytest.approx(np.zeros((4, 3, 5)))


def test_a_direction_that_leads_uphill_clears_the_history():
    class Misleading(LbfgsHistory):
        cleared = 0

        def direction(self, gradient):
            return super().direction(gradient) if self.cleared else gradient

        def clear(self):
            self.cleared += 1
            super().clear()

    problems, _ = problems_of_folds()
    for most in (1, 500):
        history = Misleading(4, 18, 10, np.float64)
        found = minimize(problems, C, prior_point(problems), history, 1e-8, most)
        assert history.cleared == 1
        assert np.array_equal(found.point.weight, solved(problems, max_iterations=most).point.weight)


def test_a_class_without_rows_leaves_the_others_as_if_it_did_not_exist():
    problems, _ = problems_of_folds()
    without = np.where(problems.y == 2, 0.0, problems.sample_weight)
    features = problems.features
    three = LogisticProblems.from_sample_weights(features, problems.y, without, 3)
    two = LogisticProblems.from_sample_weights(features, np.minimum(problems.y, 1), without, 2)
    start = prior_point(three)
    start.weight[:, 2] = 0.5  # of a model that knew the class
    found, expected = solved(three, start=start), solved(two)
    assert (softmax(found.logits.transpose(0, 2, 1))[:, :, 2] == 0).all()
    assert found.point.weight[:, :2] == pytest.approx(expected.point.weight, abs=1e-6)
    assert found.point.weight[:, 2] == pytest.approx(np.zeros((4, 5)), abs=1e-6)
