"""The advice as plain JSON values: what `regraft advise --json` prints, and the screen shows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from regraft.advice.evidence import shipped_evidence
from regraft.advice.ranking import RankedWay
from regraft.advice.reasons import place_of, reason
from regraft.advice.ways import FACTS
from regraft.context.commands import train_command
from regraft.context.config import TrainConfig
from regraft.workflows.advise import Advice

FORMAT = 1


def advice_facts(advice: Advice, config: TrainConfig) -> dict[str, Any]:
    """Return the advice as JSON values; accuracies are in [0, 1], points in per cent.

    Args:
        advice: the advice.
        config: the configuration that it was made for.
    """
    figures, ranking, profile = advice.figures, advice.ranking, advice.profile
    place, rows = place_of(figures), shipped_evidence()
    ways = [_way(one, advice, config) for one in ranking.ways]
    advised = next(way["command"] for way in ways if way["way"] == ranking.advised)
    return {
        "format": FORMAT,
        "photos": str(config.photos),
        "figures": {**asdict(figures), "photos_a_class": figures.photos_a_class, "median_side": advice.median_side},
        "learning_curve": [asdict(point) for point in advice.curve.points],
        "depth_profile": None if profile is None else {"explained": profile.explained, "photos": profile.photos},
        "suspicious_labels": advice.suspicious,
        "size": place.size,
        "similarity": place.similarity,
        "ways": ways,
        "advised": ranking.advised,
        "toss_up": ranking.is_toss_up,
        "next": train_command(dict(config), recipe="auto") if ranking.is_toss_up else advised,
        "reason": reason(figures, ranking.advised),
        "table_of_the_lecture": place.lecture,
        "budget_minutes": None if config.budget is None else config.budget / 60,
        "evidence": {
            "measurements": len(rows),
            "folders": len({row.folder for row in rows}),
            "own_runs": advice.own_runs,
        },
        "seconds": round(advice.seconds, 2),
    }


def _way(ranked: RankedWay, advice: Advice, config: TrainConfig) -> dict[str, Any]:
    cost = advice.costs[ranked.way]
    options = {"budget": None, **cost.options}
    return {
        "way": ranked.way,
        "title": FACTS[ranked.way].title,
        "accuracy": round(ranked.accuracy, 4),
        "interval": [round(ranked.low, 4), round(ranked.high, 4)],
        "points_over_probe": round(ranked.points, 2),
        "minutes": None if ranked.minutes is None else round(ranked.minutes, 2),
        "affordable": ranked.affordable and not cost.missing,
        "probability_of_best": ranked.best,
        "expected_regret": None if ranked.regret is None else round(ranked.regret, 2),
        "command": None if cost.missing else train_command(dict(config), **options),
        "missing": cost.missing or None,
    }
