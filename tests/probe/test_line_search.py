"""The line search against the Wolfe conditions on an independent objective, and against SciPy."""

import numpy as np
import pytest
from scipy import optimize

from regraft.probe import line_search
from regraft.probe.line_search import Bracket, LineSearch
from regraft.probe.logistic_problems import Point
from textbook_logistic import only, problems_of_folds

C = 0.3


def start(problems, seed=1):
    draw = np.random.default_rng(seed)
    p, k = problems.present.shape
    return Point(draw.normal(0, 0.5, (p, k, problems.features.d)), draw.normal(0, 0.5, (p, k)))


def flat(point, i):
    return np.concatenate([point.weight[i].ravel(), point.bias[i]])


def downhill(problems, alone, at, scale):
    """Return ``scale`` times minus the gradient of each problem at the point ``at``."""
    p, k, d = at.weight.shape
    ways = [-scale * alone(i, C).gradient(flat(at, i)) for i in range(p)]
    return Point(np.stack([w[: k * d].reshape(k, d) for w in ways]), np.stack([w[k * d :] for w in ways]))


def line_of(problems, alone, at, way):
    """Return the line from ``at`` along ``way``, with slopes from the textbook's gradient."""
    logits = problems.logits(at)
    loss, _ = problems.loss_and_residual(logits, np.arange(len(at.bias)))
    slope = np.array([alone(i, C).gradient(flat(at, i)) @ flat(way, i) for i in range(len(at.bias))])
    penalty_slope = (at.weight * way.weight).sum(axis=(1, 2))
    change = problems.features.logits(way.weight, way.bias)
    return LineSearch(problems, C, logits, loss, change, slope, penalty_slope, (way.weight**2).sum(axis=(1, 2)))


def lengths_downhill(scale):
    """Yield for each problem the length found along `downhill`, its textbook form, the point and the direction."""
    problems, alone = problems_of_folds()
    at = start(problems)
    way = downhill(problems, alone, at, scale)
    found = line_of(problems, alone, at, way).run()
    for i, length in enumerate(found.length):
        textbook, here, direction = alone(i, C), flat(at, i), flat(way, i)
        yield length, textbook, here, direction


@pytest.mark.parametrize("scale", [1e-3, 0.03, 0.3, 3.0, 1e3])
def test_the_length_fulfills_the_wolfe_conditions(scale):
    for length, textbook, here, direction in lengths_downhill(scale):
        slope = textbook.gradient(here) @ direction
        there = here + length * direction
        assert textbook.value(there) <= textbook.value(here) + 1e-4 * length * slope
        assert textbook.gradient(there) @ direction >= 0.9 * slope


def test_the_result_has_the_loss_and_the_residual_at_the_length():
    problems, alone = problems_of_folds()
    at = start(problems)
    way = downhill(problems, alone, at, 3.0)
    found = line_of(problems, alone, at, way).run()
    there = Point(at.weight + found.length[:, None, None] * way.weight, at.bias + found.length[:, None] * way.bias)
    loss, residual = problems.loss_and_residual(problems.logits(there), np.arange(len(at.bias)))
    assert len(set(found.length)) == len(found.length)  # no problem got the length of another
    assert found.loss == pytest.approx(loss, rel=1e-12)
    assert found.residual == pytest.approx(residual, abs=1e-12)


def test_value_and_slope_along_the_line_are_the_textbooks():
    problems, alone = problems_of_folds()
    at = start(problems)
    way = downhill(problems, alone, at, 0.5)
    line, lengths = line_of(problems, alone, at, way), np.array([0.3, 2.0])
    value, slope, _ = line._evaluate(lengths, np.array([3, 1]))
    for place, i in enumerate((3, 1)):
        textbook, here, direction = alone(i, C), flat(at, i), flat(way, i)
        there = here + lengths[place] * direction
        assert value[place] == pytest.approx(textbook.value(there) - textbook.value(here), rel=1e-9)
        assert slope[place] == pytest.approx(textbook.gradient(there) @ direction, rel=1e-9)


@pytest.mark.parametrize("scale", [0.01, 0.1])
def test_it_gains_about_as_much_as_scipys(scale):
    for length, textbook, here, direction in lengths_downhill(scale):
        theirs, *_ = optimize.line_search(textbook.value, textbook.gradient, here, direction, c1=1e-4, c2=0.9)
        gains = [textbook.value(here) - textbook.value(here + t * direction) for t in (length, theirs)]
        assert gains[0] >= 0.5 * gains[1] > 0


def test_a_length_of_one_is_taken_if_it_is_good():
    problems, alone = problems_of_folds()
    at = start(problems)
    found = line_of(problems, alone, at, downhill(problems, alone, at, 0.05)).run()
    assert found.length.tolist() == [1, 1, 1, 1]


def test_each_problem_is_searched_as_if_alone():
    problems, alone = problems_of_folds()
    at = start(problems)
    way = downhill(problems, alone, at, 1.0)
    way.weight *= np.array([1.0, 30.0, 0.01, 300.0])[:, None, None]
    way.bias *= np.array([1.0, 30.0, 0.01, 300.0])[:, None]
    together = line_of(problems, alone, at, way).run()
    for i in range(4):
        one = slice(i, i + 1)
        here, there = Point(at.weight[one], at.bias[one]), Point(way.weight[one], way.bias[one])
        found = line_of(only(problems, i), lambda _, C, i=i: alone(i, C), here, there).run()
        assert found.length[0] == pytest.approx(together.length[i], rel=1e-9)
        assert found.loss[0] == pytest.approx(together.loss[i], rel=1e-9)


def test_a_direction_far_too_short_ends_at_the_largest_length():
    problems, alone = problems_of_folds()
    at = start(problems)
    found = line_of(problems, alone, at, downhill(problems, alone, at, 1e-9)).run()
    assert (found.length > line_search.MAX_LENGTH).all()
    assert (found.length <= 10 * line_search.MAX_LENGTH).all()


def test_at_the_optimum_rounding_errors_do_not_prolong_the_search(monkeypatch):
    problems, alone = problems_of_folds(dtype=np.float32)
    at = start(problems)
    for i in range(4):
        solved = optimize.minimize(alone(i, C).value, flat(at, i), jac=alone(i, C).gradient, options={"gtol": 1e-9}).x
        at.weight[i], at.bias[i] = alone(i, C).split(solved)
    draw = np.random.default_rng(0)
    for i in range(4):  # a step away that changes the objective by less than float32 resolves
        at.weight[i] += 1e-5 * draw.normal(size=at.weight[i].shape)
    evaluations = []
    plain = problems.loss_and_residual
    monkeypatch.setattr(problems, "loss_and_residual", lambda *given: evaluations.append(1) or plain(*given))
    line = line_of(problems, alone, at, downhill(problems, alone, at, 0.1))
    evaluations.clear()
    found = line.run()
    assert len(evaluations) <= 3
    assert (found.length <= 2).all()


def slope_of_a_steep_wall(length):
    """A slope that is nearly constant before its root at 0.99 and very steep behind it: regula falsi hardly moves."""
    return -1.0 if length <= 0 else -1.0 + (length / 0.99) ** 12


def slope_of_a_steep_start(length):
    """The same wall seen from behind: it is the low end that hardly moves."""
    return -slope_of_a_steep_wall(2 - length)


def narrowed(slope, first, steps):
    bracket, length = Bracket(np.array([slope(0.0)])), first
    for _ in range(steps):
        length = bracket.next_length(0, length, slope(length))
    return length


SLOPES = [slope_of_a_steep_wall, slope_of_a_steep_start, lambda t: np.tanh(t - 3), lambda t: t - 7]


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("first", [0.5, 1.0, 2.0])
def test_the_bracket_closes_on_the_root_that_brentq_finds(slope, first):
    root = optimize.brentq(slope, 0, 20)
    assert narrowed(slope, first, line_search.MAX_STEPS) == pytest.approx(root, rel=1e-4)


def test_without_a_high_end_the_length_grows_by_at_least_half_and_at_most_tenfold():
    assert narrowed(lambda t: -1.0, 1.0, 1) == 10.0  # no curvature: the secant has no root
    assert narrowed(lambda t: t - 1.2, 1.0, 1) == 1.5  # the secant's root is nearer
    assert narrowed(lambda t: t - 5.0, 1.0, 1) == pytest.approx(5.0)
