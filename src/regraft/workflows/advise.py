"""`advise`: the way of training that suits a folder, before any training."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regraft.advice.evidence import shipped_evidence
from regraft.advice.folder_figures import FolderFigures, smoothed_error
from regraft.advice.own_runs import folder_id, own_evidence
from regraft.advice.ranking import Ranking, expected_refit, rank, way_gains
from regraft.advice.ways import WAYS, Way
from regraft.context.config import TrainConfig
from regraft.context.network_features import network_features
from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.errors import PhotosError
from regraft.measure.metrics import log_losses
from regraft.models.cut import NoCutError
from regraft.probe.depth_profile import DepthProfile, depth_profile
from regraft.probe.linear_probe import Probe
from regraft.probe.loss_curve import LossCurve, loss_curve
from regraft.randomness import permutation
from regraft.recipes.steps.solve_probe import solve_probe
from regraft.screen import Screen
from regraft.workflows.steps.choose_backbone import with_chosen_backbone
from regraft.workflows.steps.features_and_split import compute_features_and_split
from regraft.workflows.steps.prepare import prepare_run
from regraft.workflows.steps.prepared_photos import PreparedPhotos
from regraft.workflows.steps.way_costs import WayCost, way_costs

DEPTH_PHOTOS = 200
"""Photos of the depth profile: they take another pass, and their number decides its time."""

MIN_PHOTOS = 20
"""Minimum photos for advice: fewer measure nothing."""

SURE = (0.02, 0.9)
"""Out-of-fold probability below which a photo's own class, and above which another one, makes its label suspicious."""


@dataclass(frozen=True)
class Advice:
    """The advice for a folder.

    Attributes:
        figures: figures of the folder that it depends on.
        curve: the learning curve of the linear probe.
        profile: the depth profile of the network; None if it has none.
        suspicious: number of photos whose label the probe contradicts with certainty.
        median_side: median of the photos' shorter sides in pixels; None if unknown.
        costs: time of each way and the command that takes it.
        ranking: the ways, with the advised one.
        own_runs: number of the user's own runs that it uses.
        seconds: seconds that all this took after the linear probe.
    """

    figures: FolderFigures
    curve: LossCurve
    profile: DepthProfile | None
    suspicious: int
    median_side: int | None
    costs: dict[Way, WayCost]
    ranking: Ranking
    own_runs: int
    seconds: float


def advise(config: TrainConfig, screen: Screen, started: float | None = None) -> Advice:
    """Return the advice for a folder of labeled photos; nothing is trained, and nothing is written but the caches.

    Args:
        config: the configuration; ``budget`` is the time that a way may take.
        screen: where progress and warnings go.
        started: start of the process, in seconds since 1970; None for now.

    Raises:
        UserError: as `regraft.workflows.train.train`; PhotosError if there are too few photos to measure anything.
    """
    started = time.time() if started is None else started
    with tempfile.TemporaryDirectory(prefix="regraft-advise-") as place:
        probe_config = config.model_copy(update={"recipe": "linear-probe", "budget": None, "out": Path(place) / "run"})
        with PreparedPhotos(probe_config, screen) as prepared:
            probe_config, _ = with_chosen_backbone(probe_config, prepared, screen, started)
            with prepare_run(probe_config, screen, prepared, started, "advise") as run:
                return _advice(compute_features_and_split(run, prepared), config)


def _advice(context: RunContext, config: TrainConfig) -> Advice:
    entries = context.parts.linear.refit
    _check_enough(entries, config)
    solved = solve_probe(context, entries, nested=True)
    begun = time.monotonic()
    context.report(solved)
    curve = _curve(context, entries, solved.probe)
    profile = _profile(context, entries)
    figures = _figures(context, entries, solved.probe, curve, profile)
    costs = way_costs(context)
    ways = [way for way in WAYS if way in costs]
    id_ = folder_id(entry.content for entry in context.dataset.usable)
    runs = own_evidence()
    here, elsewhere = [r for r in runs if r.folder == id_], [r for r in runs if r.folder != id_]
    gains = way_gains(figures, ways, [*shipped_evidence(), *elsewhere], here)
    budget = None if config.budget is None else config.budget / 60
    minutes = {way: cost.minutes for way, cost in costs.items() if cost.minutes is not None}
    ranking = rank(figures, gains, minutes, budget, expected_refit(figures, shipped_evidence()))
    suspicious = _suspicious(solved.probe, context.dataset.labels(entries))
    seconds = time.monotonic() - begun
    side = context.dataset.median_side
    return Advice(figures, curve, profile, suspicious, side, costs, ranking, len(runs), seconds)


def _check_enough(entries: Sequence[Entry], config: TrainConfig) -> None:
    if len(entries) < MIN_PHOTOS:
        raise PhotosError(
            f"{config.photos}: advice needs at least {MIN_PHOTOS} training photos, found {len(entries)}\n"
            "  with so few, take the linear probe: regraft train PHOTOS --recipe linear-probe"
        )


def _curve(context: RunContext, entries: Sequence[Entry], probe: Probe) -> LossCurve:
    return loss_curve(
        context.features.of(entries),
        context.dataset.labels(entries),
        probe,
        classes=len(context.dataset.classes),
        groups=context.dataset.units(entries),
        keys=[entry.content for entry in entries],
        seed=context.config.seed,
    )


def _profile(context: RunContext, entries: Sequence[Entry]) -> DepthProfile | None:
    """Return the depth profile of the first network on some of the photos; None if its blocks cannot be pooled."""
    chosen = permutation(len(entries), "depth profile", context.config.seed)[:DEPTH_PHOTOS]
    some = [entries[row] for row in sorted(chosen.tolist())]
    labels = context.dataset.labels(some)
    if len(np.unique(labels)) < 2:
        return None
    try:
        deep = context.backbone.with_pooled_depth().to(context.device)
    except NoCutError:
        return None
    features = network_features(
        deep,
        some,
        context.decisions,
        device=context.device,
        store=context.store,
        workers=context.workers,
        choice="engine of the depth profile",
    )
    sizes = (deep.spec.top_features, *(2 * channels for channels in deep.spec.pooled))
    top, *lower = np.split(np.asarray(features.all_depths(some)), np.cumsum(sizes)[:-1], axis=1)
    return depth_profile(
        [*lower, top],
        labels,
        classes=len(context.dataset.classes),
        groups=context.dataset.units(some),
        keys=[entry.content for entry in some],
        seed=context.config.seed,
    )


def _figures(
    context: RunContext, entries: Sequence[Entry], probe: Probe, curve: LossCurve, profile: DepthProfile | None
) -> FolderFigures:
    """Return the figures of the folder.

    Raises:
        PhotosError: no photo can be held out, because all are one group.
    """
    if probe.oof is None or not np.isfinite(probe.cv_accuracy_error):
        raise PhotosError(
            f"{context.config.photos}: all photos belong to one group, so no photo can be held out to measure\n"
            "  expected photos of several groups; see --group-by, and regraft check"
        )
    y, n = context.dataset.labels(entries), len(entries)
    return FolderFigures(
        photos=n,
        classes=len(context.dataset.classes),
        error=smoothed_error((1 - probe.cv_accuracy) * n, n),
        error_deviation=max(probe.cv_accuracy_error, 1 / n),
        log_loss=float(np.minimum(log_losses(probe.oof, y), -np.log(1e-12)).mean()),
        lead=None if profile is None else profile.lead_of_top,
        added=None if profile is None else profile.added_by_lower,
        slope=curve.slope,
    )


def _suspicious(probe: Probe, y: NDArray[np.int64]) -> int:
    """Return the number of photos whose label the probe contradicts with certainty, out of fold."""
    assert probe.oof is not None
    of_label = probe.oof[np.arange(len(y)), y]
    return int(((of_label < SURE[0]) & (probe.oof.max(axis=1) > SURE[1])).sum())
