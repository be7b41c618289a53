"""The ladder of `auto`: what is tried, in which order, how much of it fits into a budget, and when the climb ends."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import regraft as rg
from making import make_photos
from regraft.context.parts import Parts
from regraft.recipes import auto
from regraft.recipes.steps import budget, candidates, mixing
from regraft.recipes.steps.gain import Gain
from regraft.recipes.steps.outlook import Outlook
from regraft.recipes.steps.tuning_plan import Plan
from regraft.screen import QuietScreen
from regraft.workflows.train import train


class Screen(QuietScreen):
    def __init__(self) -> None:
        self.said: list[str] = []

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        self.said.append(f"{label} {text} {note}".strip())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("hard"), {"ash": 70, "birch": 70, "cedar": 70}, size=32, noise=220.0)


Climb = tuple[Any, list[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def climbs(photos: Path, tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Climb]:
    """Return a function that returns what `climb` does for some gains; each climb happens once for all tests."""

    @cache
    def climbed(*gains: float) -> Climb:
        with pytest.MonkeyPatch.context() as patch:
            return climb(photos, tiny, tmp_path_factory.mktemp("climb") / "run", list(gains), patch)

    return climbed


def climb(
    photos: Path,
    tiny: dict[str, Any],
    out: Path,
    gains: list[float],
    monkeypatch: pytest.MonkeyPatch,
    mix: float | None = None,
    **options: Any,
) -> Climb:
    """Train by `auto` where each rung and the mix gain these shares of the mistakes; return run, screen and events.

    Without ``mix``, the mix gains if the first rung does.
    """
    left = iter(gains)
    mixed = max(gains, default=0.0) if mix is None else mix

    def measured(best: Any, rung: Any, outlook: Any) -> Gain:
        assert best.probabilities.shape == rung.probabilities.shape == (len(best.labels), 3)
        return Gain(np.full(2, mixed if outlook.step == "mixing" else next(left)), 1e-6 * np.eye(2))

    monkeypatch.setattr(candidates, "measured_gain", measured)
    monkeypatch.setattr(mixing, "measured_gain", measured)
    monkeypatch.setattr(Outlook, "pays", True)
    monkeypatch.setattr(Outlook, "expects", lambda self, points: False)  # the probe is the plain one
    screen = Screen()
    more = {"recipe": "auto", "split": "60/20/20", "epochs": 1, **tiny, **options}
    run = train(photos, out=out, screen=screen, **more)
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    return run, screen.said, events


@pytest.mark.parametrize(
    ("gains", "chosen", "trained"),
    [
        ([-0.1], "linear-probe", None),
        ([0.1, -0.1], "fine-tune", "upper 2 blocks"),
        ([0.1, 0.1], "fine-tune", "all blocks"),
    ],
)
def test_the_climb_goes_on_while_there_is_a_gain_and_the_best_is_kept(
    climbs: Callable[..., Climb], gains: list[float], chosen: str, trained: str | None
) -> None:
    run, said, events = climbs(*gains)
    assert run.metrics["chosen"] == chosen
    assert run.metrics["training"].get("trained") == trained
    compared = [event["rung"] for event in events if event["event"] == "compared"]
    assert compared.pop() == f"{trained or 'upper 2 blocks'} mixed with the linear probe"
    assert compared == ["upper 2 blocks", "all blocks"][: len(gains)]
    plan = [line for line in said if "2. upper 2 blocks" in line or "3. all blocks" in line]
    assert len(plan) == 2 and all("about" in line for line in plan)
    assert said.index(plan[0]) < min(i for i, line in enumerate(said) if line.startswith("kept"))
    ledger = json.loads((run.folder / "freeze.json").read_text())["blocks"]
    changed = {row["block"] for row in ledger if row["before"] != row["after"]}
    blocks = {row["block"] for row in ledger} - {"head"}
    assert len(changed - {"head"}) == {None: 0, "upper 2 blocks": 2, "all blocks": len(blocks)}[trained]
    rates = {None: None, "upper 2 blocks": 3e-5, "all blocks": 0.3 * 3e-5}  # few steps; what goes on is not undone
    assert run.metrics["training"].get("learning_rate") == pytest.approx(rates[trained])
    rows = (run.folder / "history.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == compared  # one epoch each


def test_all_blocks_go_on_from_the_upper_ones(
    climbs: Callable[..., Climb], photos: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a learning rate that moves nothing, the second rung ends where the first did."""
    first, _, _ = climbs(0.1, -0.1)
    tune = auto.fine_tune

    def still(sized: Any, plan: Plan, *more: Any, **named: Any) -> Any:
        return tune(sized, plan if plan.unfreeze != "all" else auto.replace(plan, lr=1e-30), *more, **named)

    monkeypatch.setattr(auto, "fine_tune", still)
    second, _, _ = climb(photos, tiny, tmp_path / "second", [0.1, 0.1], monkeypatch)
    a, b = (safetensors.torch.load_file(run.folder / "model.safetensors") for run in (first, second))
    assert second.metrics["training"]["trained"] == "all blocks"
    assert all(torch.allclose(a[name], b[name], atol=1e-6) for name in a)


@pytest.mark.slow
def test_what_a_person_asks_for_is_the_only_rung(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, said, _ = climb(photos, tiny, tmp_path / "run", [0.1], monkeypatch, unfreeze=1)
    assert run.metrics["training"]["trained"] == "upper 1 block"
    assert not any("all blocks" in line for line in said)
    run, said, _ = climb(photos, tiny, tmp_path / "fresh", [0.1], monkeypatch, views=0)
    assert run.metrics["training"]["trained"] == "all blocks"


def test_a_rung_that_is_not_expected_to_pay_is_skipped_and_the_reason_is_said(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pays = iter([True, False])
    monkeypatch.setattr(auto.Outlook, "pays", property(lambda self: next(pays)))
    monkeypatch.setattr(auto.Outlook, "expects", lambda self, points: False)
    for module, gain in ((candidates, 0.1), (mixing, 0.5)):
        measured = Gain(np.full(2, gain), 1e-6 * np.eye(2))
        monkeypatch.setattr(module, "measured_gain", lambda *_, measured=measured: measured)
    screen = Screen()
    run = train(photos, out=tmp_path / "run", screen=screen, recipe="auto", split="60/20/20", epochs=1, **tiny)
    assert run.metrics["training"]["trained"] == "upper 2 blocks"
    assert any(line.startswith("skipped all blocks is expected to add") for line in screen.said)
    choice, mix = run.metrics["training"]["choices"]
    assert choice["discarded"] == "linear probe"
    low, high = choice["expected_interval"]
    assert low < choice["expected_points"] < high
    assert (mix["kept"], mix["discarded"]) == ("upper 2 blocks mixed with the linear probe", "linear probe")


@pytest.mark.parametrize("gains", [[0.1], [-0.1]])
def test_the_mix_with_the_probe_is_the_model_if_it_gains(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gains: list[float]
) -> None:
    """The model file predicts the weighted mean of the probabilities of the two networks."""
    run, said, _ = climb(photos, tiny, tmp_path / "run", gains, monkeypatch, mix=0.5, unfreeze=1)
    mixed = rg.Ensemble.load(run.folder)
    share = run.metrics["training"]["share_of_fine_tuned"]
    assert mixed.weights == pytest.approx((1 - share, share))
    predictor = rg.Predictor.load(run.folder)
    members = [rg.Predictor(member) for member in mixed.members]
    paths = [row["path"] for row in csv.DictReader((run.folder / "predictions.csv").open())]
    files = [photos / path for path in paths]
    for whole, probe, tuned in zip(*(p.predict(files) for p in (predictor, *members)), strict=True):
        expected = (1 - share) * dict(probe.top)[whole.label] + share * dict(tuned.top)[whole.label]
        assert whole.probability == pytest.approx(expected)
    assert len(files) > 10
    assert any("mixed with the linear probe" in line for line in said)


def test_a_run_says_what_it_discarded_and_what_that_may_have_cost(climbs: Callable[..., Climb]) -> None:
    run, said, events = climbs(-0.1)
    choice, _ = run.metrics["training"]["choices"]
    event, _ = [event for event in events if event["event"] == "compared"]
    assert choice.items() <= event.items()
    assert {"rung", "gain", "standard_error", "kept"} < set(event)
    assert choice["discarded"] == "upper 2 blocks" and choice["expected_points"] > 0
    assert any("linear probe · " in line and "points expected" in line for line in said)


class Context:
    """A run without a folder: of the network, its blocks; of the decisions, what `choose` returns."""

    device = torch.device("cpu")
    config = type("Config", (), {"unfreeze": None, "epochs": None, "views": None})

    def __init__(self, blocks: int = 0, choose: Any = lambda make: make()) -> None:
        self.left: float | None = None
        self.backbone = type("Backbone", (), {"blocks": range(blocks)})
        self.decisions = type("Decisions", (), {"choose": staticmethod(lambda what, why, make: choose(make))})


def test_the_upper_half_is_trained_where_the_budget_leaves_it_most_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(context: Any, plan: Plan) -> float:
        assert isinstance(plan.unfreeze, int)
        return 0.005 * plan.unfreeze

    monkeypatch.setattr(budget, "_photo_step_seconds", step)
    monkeypatch.setattr(budget, "_cuttable", lambda context, plan: True)
    monkeypatch.setattr(budget, "photo_seconds", lambda context: 0.004)
    monkeypatch.setattr(budget, "upper_plan", lambda config, photos, blocks: Plan(blocks, 8, None, 32))
    monkeypatch.setattr(budget, "budget_left", lambda context, parts: context.left)
    context, found = Context(blocks=8), []
    for context.left in (10.0, 100.0, 180.0, 250.0, None):
        found.append(budget._upper(context, parts_of(1000, 100)).unfreeze)  # type: ignore[arg-type]
    assert found == [2, 2, 4, 4, 4]


def parts_of(train: int, choose: int) -> Parts:
    return Parts([None] * train, [None] * choose, [], "test", [])  # type: ignore[list-item]


def test_a_rung_is_cut_to_the_budget_and_dropped_where_even_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(2, 8, None, 32)
    rung, parts = budget.Rung("upper", None, plan), parts_of(1000, 100)
    context = Context(choose=lambda make: 0.01)
    monkeypatch.setattr(budget, "budget_left", lambda context, parts: context.left)
    monkeypatch.setattr(budget, "photo_seconds", lambda context: 0.004)
    whole = budget.fit_to_budget(context, rung, parts)  # type: ignore[arg-type]
    assert whole is not None and whole.plan == plan
    expected = 0.85 * 0.004 * 8100 + 8 * (10 + 100 * 0.01 / 3) + 3 * 100 * 0.01 / 3
    assert whole.seconds == pytest.approx(expected)
    found = {}
    for context.left in np.linspace(1, 200, 2000).tolist():
        fits = budget.fit_to_budget(context, rung, parts)  # type: ignore[arg-type]
        if fits is not None:
            assert fits.seconds is not None
            assert fits.seconds * budget.RESERVE <= context.left
            found[context.left] = (fits.plan.views, fits.plan.epochs)
    assert list(found.values()) == sorted(found.values())  # more time never gives less
    assert set(found.values()) == {(2, 2), (2, 4), (4, 4), (4, 6), (8, 6), (8, 7), (8, 8)}
    context.left = 15.0
    assert budget.fit_to_budget(context, rung, parts) is None  # type: ignore[arg-type]


def test_nothing_is_timed_where_the_probe_is_all_that_comes(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timed(*_: Any) -> Any:
        raise AssertionError("timed")

    monkeypatch.setattr(auto, "MIN_TRAIN", 10_000)
    monkeypatch.setattr(budget, "training_step_seconds", timed)
    run, said, _ = climb(photos, tiny, tmp_path / "run", [], monkeypatch)
    assert run.metrics["chosen"] == "linear-probe"
    assert any("too few to fine-tune on" in line for line in said)


def test_all_blocks_are_not_even_timed_where_they_cannot_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(make: Any) -> Any:
        raise AssertionError("measured")

    monkeypatch.setattr(budget, "budget_left", lambda context, parts: 15.0)
    monkeypatch.setattr(budget, "photo_seconds", lambda context: 0.004)
    context = Context(choose=measured)
    rung = budget.Rung("all blocks", None, Plan("all", 4, None, 32))
    assert budget.fit_to_budget(context, rung, parts_of(1000, 100)) is None  # type: ignore[arg-type]


def test_the_last_rung_takes_what_would_not_do_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_photo_step_seconds", lambda context, plan: 0.04 if plan.unfreeze == "all" else 0.01)
    monkeypatch.setattr(budget, "_cuttable", lambda context, plan: True)
    monkeypatch.setattr(budget, "photo_seconds", lambda context: 0.004)
    monkeypatch.setattr(budget, "plan_from_options", lambda config: Plan("all", 4, None, 32))
    monkeypatch.setattr(budget, "upper_plan", lambda config, photos, blocks: Plan(blocks, 8, None, 32))
    monkeypatch.setattr(budget, "budget_left", lambda context, parts: context.left)
    context, parts, found = Context(blocks=4), parts_of(1000, 100), {}
    for context.left in (60.0, 130.0, 150.0, 200.0, 250.0, 300.0, None):
        climb = budget.rungs(context, parts)  # type: ignore[arg-type]
        fits = budget.fit_to_budget(context, climb[0], parts)  # type: ignore[arg-type]
        assert fits is not None and fits.seconds is not None
        assert context.left is None or fits.seconds * budget.RESERVE <= context.left
        found[context.left] = ([rung.title for rung in climb], fits.plan.epochs)
    upper, both = ["upper 2 blocks"], ["upper 2 blocks", "all blocks"]
    assert found == {
        60.0: (upper, 4), 130.0: (upper, 8), 150.0: (upper, 10), 200.0: (upper, 10), 250.0: (upper, 10),
        300.0: (both, 8), None: (both, 8),
    }  # fmt: skip
