"""`--backbone auto`: the network that suits the photos, by successive halving on cached features.

All networks compute the features of a few photos, and a linear probe on each is scored out of fold. The better half
goes on to twice the photos, until one is left (Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943). The
features stay in the store, so the winner's are computed once. Where there is no time or there are too few photos to
measure anything, the static order decides: the largest network whose pass fits into the budget.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.context.config import TrainConfig
from regraft.context.dataset import Dataset
from regraft.context.decisions import Decisions
from regraft.data.manifest import Entry
from regraft.errors import BackboneError, RegraftError, WeightsError
from regraft.features.engines.engine_choice import REFERENCE, choose_engine
from regraft.features.engines.engine_costs import photos_per_second
from regraft.features.extract import extract
from regraft.inference.device import pick_device
from regraft.measure.metrics import log_losses
from regraft.measure.paired import standard_error
from regraft.models.backbone import Backbone
from regraft.models.catalogue import AUTO
from regraft.models.present import present_networks
from regraft.models.zoo import build_backbone
from regraft.probe.folds import make_folds
from regraft.probe.linear_probe import fit_probe
from regraft.recipes.steps.probe_cache import get_or_solve
from regraft.recipes.steps.solve_probe import digest
from regraft.screen import Screen
from regraft.workflows.steps.prepared_photos import PreparedPhotos

VERSION = "halving1"
"""Version of the choice, part of the key of every stored one."""

FIRST_PHOTOS, MAX_PHOTOS = 64, 1024
"""Photos in the first comparison, and the limit of the photos in the last one."""

MIN_PHOTOS = 20
"""Minimum photos to compare on: with fewer, the static order decides."""

PASS_SHARE, TRIAL_SHARE = 0.5, 0.3
"""Shares of the budget that the pass of a network over all photos, and all comparisons together, may take."""

UNLIMITED = 300.0
"""Seconds that all comparisons may take without a budget."""


@dataclass(frozen=True)
class Trial:
    """The linear probe on a network's features of some photos.

    Attributes:
        network: name of the network.
        photos: number of photos.
        log_loss: out-of-fold log-loss, in nats.
        accuracy: out-of-fold accuracy.
    """

    network: str
    photos: int
    log_loss: float
    accuracy: float


@dataclass(frozen=True)
class BackboneChoice:
    """The chosen network.

    Attributes:
        network: its name.
        why: the reason, in words.
        trials: all comparisons, in their order; empty if the static order decided.
    """

    network: str
    why: str
    trials: tuple[Trial, ...] = ()

    def record(self, decisions: Decisions) -> None:
        """Record the choice and the comparisons behind it in the journal of a run."""
        decisions.choose("backbone", self.why, lambda: self.network)
        for trial in self.trials:
            decisions.note_once("backbone trial", "network", "photos", **asdict(trial))


def with_chosen_backbone(
    config: TrainConfig, prepared: PreparedPhotos, screen: Screen, started: float
) -> tuple[TrainConfig, BackboneChoice | None]:
    """Return the configuration with the network that suits the photos in place of ``auto``, and the choice.

    The choice is stored, so that the same command makes the same choice again.

    Args:
        config: the configuration.
        prepared: the photos.
        screen: where progress goes.
        started: start of the process, in seconds since 1970; the budget runs from then.

    Raises:
        BackboneError: no network is present.
        WeightsError: ``weights`` is not a folder.
    """
    if config.backbone != AUTO:
        return config, None
    names = _candidate_names(config)
    key = _key(config, prepared.dataset, names)
    stored = get_or_solve(key, lambda: _as_values(_choose(config, names, prepared, screen, started)))
    choice = _from_values(stored)
    screen.line("backbone", choice.network, f"({choice.why})")
    for trial in choice.trials:
        text = f"log-loss {trial.log_loss:.3f}, {100 * trial.accuracy:.1f} % on {trial.photos:,} photos"
        screen.line("", f"{trial.network}: {text}")
    return config.model_copy(update={"backbone": choice.network, "download": None}), choice


def _candidate_names(config: TrainConfig) -> list[str]:
    """Return the names of the networks to choose from, the largest first."""
    if config.weights is not None and not config.weights.is_dir():
        raise WeightsError(
            f"--weights: expected a folder of files that are named like networks, found {config.weights}\n"
            "  --backbone auto chooses among them; for one file, name its network with --backbone NAME"
        )
    names = [one.name for one in present_networks(config.weights, download=bool(config.download))]
    if not names:
        raise BackboneError(
            f"--backbone auto: no network is present in {config.weights or 'the installed packages'}\n"
            "  expected files such as resnet18.safetensors in --weights FOLDER, or add --download"
        )
    return names


def _key(config: TrainConfig, dataset: Dataset, names: Sequence[str]) -> str:
    photos = sorted(f"{entry.content} {entry.label}" for entry in dataset.usable)
    content = hashlib.sha256("\n".join(photos).encode("utf-8", "surrogatepass")).hexdigest()
    weights = [None if config.weights is None else _modified(config.weights, name) for name in names]
    return digest([VERSION, content, list(names), weights, config.size, config.budget, config.seed])


def _modified(folder: Path, name: str) -> list[Any]:
    """Return facts about the files of a network by which a change is noticed."""
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in sorted(folder.glob(f"{name}.*"))]


def _choose(
    config: TrainConfig, names: Sequence[str], prepared: PreparedPhotos, screen: Screen, started: float
) -> BackboneChoice:
    entries = prepared.dataset.usable
    networks = _affordable(config, names, prepared, screen, started)
    if len(networks) == 1:
        return BackboneChoice(next(iter(networks)), "the only one that is present and fits into the budget")
    largest = BackboneChoice(next(iter(networks)), "the largest that is present and fits into the budget")
    if len(entries) < MIN_PHOTOS:
        return replace(largest, why=f"{largest.why}; {len(entries)} photos are too few to compare")
    ends = time.time() + (UNLIMITED if config.budget is None else TRIAL_SHARE * config.budget)
    return _Halving(config, prepared, screen, ends).choice(networks, largest)


def _affordable(
    config: TrainConfig, names: Sequence[str], prepared: PreparedPhotos, screen: Screen, started: float
) -> dict[str, Backbone]:
    """Return the networks whose pass over all photos fits into the budget, the largest first; at least the smallest."""
    left = None if config.budget is None else config.budget - (time.time() - started)
    networks, last_error = dict[str, Backbone](), None
    seconds = dict[str, float]()
    for name in names:
        try:
            backbone = build_backbone(name, weights=config.weights, size=config.size)
        except RegraftError as error:
            last_error = error
            screen.warn(f"{name} is left out: {error}")
            continue
        backbone.render(prepared.rendering)
        networks[name] = backbone
        seconds[name] = len(prepared.dataset.usable) / max(photos_per_second(REFERENCE, backbone), 1e-3)
    if not networks:
        assert last_error is not None
        raise last_error
    fitting = [name for name in networks if left is None or seconds[name] <= PASS_SHARE * left]
    chosen = fitting or [min(networks, key=seconds.__getitem__)]
    return {name: networks[name] for name in chosen}


class _Halving:
    """Successive halving of networks on the photos of a run."""

    def __init__(self, config: TrainConfig, prepared: PreparedPhotos, screen: Screen, ends: float) -> None:
        self._config, self._prepared, self._screen, self._ends = config, prepared, screen, ends
        self._device = pick_device(config.device)
        entries = prepared.dataset.usable
        labels = prepared.dataset.manifest.classes
        y = np.array([labels.index(entry.label) for entry in entries], dtype=np.int64)
        order = np.argsort(
            make_folds(y, [e.content for e in entries], count=len(entries), seed=config.seed).rank_of_row
        )
        self._entries = [entries[row] for row in _taking_turns(y, order)]

    def choice(self, networks: dict[str, Backbone], largest: BackboneChoice) -> BackboneChoice:
        """Return the winner; the largest network if the time is over before all have been compared once."""
        trials: list[Trial] = []
        names, photos = list(networks), self._first_photos()
        while True:
            scored = self._scores({name: networks[name] for name in names}, photos)
            if scored is None:
                break
            trials += [trial for trial, _ in scored.values()]
            names = sorted(names, key=lambda name: scored[name][0].log_loss)[: max(1, -(-len(names) // 2))]
            if photos >= min(len(self._entries), MAX_PHOTOS) or len(names) == 1:
                names = [self._best_of(scored, networks)]
                break
            photos = min(2 * photos, len(self._entries), MAX_PHOTOS)
        if not trials:
            return replace(largest, why=f"{largest.why}; there was no time to compare")
        static = "" if names[0] == largest.network else f"; the static order by size would take {largest.network}"
        return BackboneChoice(names[0], f"lowest log-loss out of fold{static}", tuple(trials))

    def _first_photos(self) -> int:
        classes = len(self._prepared.dataset.classes)
        return min(max(FIRST_PHOTOS, 5 * classes), len(self._entries), MAX_PHOTOS)

    def _scores(
        self, networks: dict[str, Backbone], photos: int
    ) -> dict[str, tuple[Trial, NDArray[np.float64]]] | None:
        """Return the trial of each network and its out-of-fold log-losses; None if the time is over."""
        some, scores = self._entries[:photos], {}
        for name, backbone in networks.items():
            if time.time() >= self._ends:
                return None
            scores[name] = self._trial(name, backbone, some)
        return scores

    def _trial(self, name: str, backbone: Backbone, entries: Sequence[Entry]) -> tuple[Trial, NDArray[np.float64]]:
        store, workers = self._prepared.store, self._config.workers
        backbone.to(self._device)
        choice = choose_engine(backbone, self._prepared.dataset.usable, store, device=self._device, workers=workers)
        engine = choice.engine_for(backbone, self._device)
        with self._screen.progress(name[:8], len(entries)) as bar:
            features = extract(entries, backbone, engine, store, workers=workers, bar=bar)
        readable = [entries[row] for row in features.rows.tolist()]
        labels = sorted({entry.label for entry in readable})
        y = np.array([labels.index(entry.label) for entry in readable], dtype=np.int64)
        keys = [entry.content for entry in readable]
        probe = fit_probe(features.values, y, classes=len(labels), keys=keys, seed=self._config.seed)
        assert probe.oof is not None
        losses = log_losses(probe.oof, y)
        return Trial(name, len(y), float(losses.mean()), probe.cv_accuracy), losses

    def _best_of(self, scored: dict[str, tuple[Trial, NDArray[np.float64]]], networks: dict[str, Backbone]) -> str:
        """Return the network of the lowest log-loss, or the fastest of those within one standard error of it."""
        best = min(scored, key=lambda name: scored[name][0].log_loss)
        lowest = scored[best][1]
        tied = [
            name for name, (_, losses) in scored.items() if (losses - lowest).mean() <= standard_error(losses - lowest)
        ]
        return max([best, *tied], key=lambda name: photos_per_second(REFERENCE, networks[name]))


def _taking_turns(y: NDArray[np.int64], order: NDArray[np.int64]) -> list[int]:
    """Return the rows of ``order`` with the classes taking turns, so that the first rows have photos of all classes."""
    seen: Counter[int] = Counter()
    turns = []
    for position, row in enumerate(order.tolist()):
        label = int(y[row])
        turns.append((seen[label], position, row))
        seen[label] += 1
    return [row for _, _, row in sorted(turns)]


def _as_values(choice: BackboneChoice) -> dict[str, Any]:
    return {"network": choice.network, "why": choice.why, "trials": [asdict(trial) for trial in choice.trials]}


def _from_values(values: dict[str, Any]) -> BackboneChoice:
    trials = tuple(Trial(**trial) for trial in values["trials"])
    return BackboneChoice(values["network"], values["why"], trials)
