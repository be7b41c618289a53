"""Activations under a budget: view after view, and no more of them than the clock allows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from regraft.data.loading.fixed_views import FIRST_CROP
from regraft.recipes.steps.training_batches import MIN_VIEWS, _fill_views
from regraft.screen import QuietScreen


class Slow:
    """A run whose every view takes ``takes`` seconds of its budget."""

    def __init__(self, budget: float | None, takes: float, replay: dict[str, Any] | None = None) -> None:
        self.config, self.screen = SimpleNamespace(budget=budget), SimpleNamespace(warn=lambda text: None)
        self.replay, self.chosen, self.takes = replay or {}, {}, takes
        self.left, self.filled = budget, []
        self.kept: list[int] = []

    def seconds_left(self) -> float | None:
        return self.left

    def choose(self, what: str, why: str, make: Any) -> Any:
        self.chosen[what] = self.replay.get(what, make())
        return self.chosen[what]

    def missing(self, entries: list[Any], views: list[int]) -> int:
        return 0 if views[0] in self.kept else len(entries)

    def fill(self, entries: list[Any], views: list[int], bar: Any) -> int:
        self.filled += views
        if self.left is not None:
            self.left -= self.takes
        return len(entries) * len(views)


def filled(run: Slow, reserve: float) -> tuple[int, int]:
    point = SimpleNamespace(name="blocks.4", activations=run)
    context: Any = SimpleNamespace(decisions=run, config=run.config, screen=run.screen)
    with QuietScreen().progress("features", 80) as bar:
        return _fill_views(context, point, [None] * 10, 8, reserve, bar)  # type: ignore[arg-type, list-item]


@pytest.mark.parametrize(
    ("budget", "takes", "views"),
    [(100.0, 5.0, 8), (100.0, 10.0, 4), (100.0, 20.0, MIN_VIEWS), (100.0, 90.0, MIN_VIEWS)],
)
def test_views_end_where_the_next_would_take_the_time_of_the_training(budget: float, takes: float, views: int) -> None:
    run = Slow(budget, takes)
    assert filled(run, reserve=55.0) == (10 * views, views)
    assert len(run.filled) == len(set(run.filled)) == views
    again = Slow(budget, 2 * takes, replay=run.chosen)  # a repeated run has the views of the first, whatever it takes
    assert filled(again, reserve=55.0) == (10 * views, views)


def test_views_that_an_interrupted_run_has_made_are_taken_whatever_the_clock_says() -> None:
    run = Slow(100.0, 90.0)
    run.kept = [*range(FIRST_CROP, FIRST_CROP + 6)]
    assert filled(run, reserve=55.0)[1] == 6


def test_without_a_budget_all_are_made_and_nothing_is_chosen() -> None:
    run = Slow(None, 1e9)
    assert filled(run, reserve=0.0) == (80, 8)
    assert not run.chosen
