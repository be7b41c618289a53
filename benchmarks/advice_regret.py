"""Regret of the advice on folders that it has not seen: `python benchmarks/advice_regret.py [--table ways.csv]`.

Each cut in the table is advised with the evidence of the other folders only; cuts that share photos are one folder. The
regret is the accuracy of the best way that fits into the budget minus that of the advised one, on the test photos of
the cut. Other rules are measured on the same cuts. The accuracy of the best way of several is a maximum of noisy
figures, so that even a rule that always takes the truly best way has a regret of a point or two. `--candidates
FOLDER` is the folder that `candidate_table.py` wrote: there the best of all ways and of all candidates of `auto` is
chosen on one half of the test photos, and the regret is measured on the other half. "Advice followed" takes the advised
way, or what `auto` keeps where the advice is a toss-up.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from choice_regret import choices, test_predictions
from evidence import Cut as MeasuredCut
from evidence import read_cuts

from regraft.advice.evidence import Evidence, cells_of, evidence_of
from regraft.advice.folder_figures import FolderFigures
from regraft.advice.ranking import Z90, Ranking, expected_refit, rank, way_gains
from regraft.advice.ways import WAYS, Way

BUDGETS = (1.0, 5.0, 20.0)
PASS_SECONDS, FIXED_SECONDS, CORES = 0.010, 5.0, 2
"""Processor seconds of a photo's pass through the default network, seconds of any training, and cores of a machine."""

PASSES = {"probe": 0.0, "depth": 1.05, "two networks": 2.3, "another network": 2.3, "larger input": 1.65}
"""Passes of each frozen way after the probe, in passes through the default network."""

SPLITS = 200

Rule = Callable[["Cut", Mapping[Way, float]], Way]


class Cut:
    """A cut of a folder: its figures, and the accuracy of each way that was measured."""

    def __init__(self, rows: Sequence[Mapping[str, str]]) -> None:
        first = rows[0]
        self.name = f"{first['folder']} {first['photos_a_class']}"
        self.family = first["photos_from"]
        self.alike = first["kind"] == "photos" and self.family != "textile3"
        self.rows = rows
        self.figures: FolderFigures = evidence_of([dict(row) for row in rows])[0].figures
        self.test = int(first["test"])
        self.accuracy: dict[Way, float] = {
            way: float(row["accuracy"]) for row in rows for way in WAYS if way == row["way"]
        }
        photos = int(first["photos"])
        seconds = {way: PASSES[way] * PASS_SECONDS * photos / CORES for way in self.accuracy if way in PASSES}
        trained = {row["way"]: float(row["seconds"]) / CORES for row in rows if row["way"] not in PASSES}
        if "all blocks" in trained:
            trained["all blocks"] += trained["upper blocks"]
        self.minutes: dict[Way, float] = {way: (FIXED_SECONDS + (seconds | trained)[way]) / 60 for way in self.accuracy}

    def fitting(self, budget: float) -> dict[Way, float]:
        """Return the accuracy of each way that fits into ``budget`` minutes."""
        return {way: self.accuracy[way] for way in self.accuracy if self.minutes[way] <= budget or way == "probe"}


def main() -> None:
    """Print the regret of each rule at each budget, and the cover of the intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--cuts", action="store_true", help="print each cut")
    parser.add_argument("--trained-only", action="store_true", help="only cuts whose trained ways were measured")
    parser.add_argument("--candidates", type=Path, help="the folder that candidate_table.py wrote")
    given = parser.parse_args()
    packaged = resources.files("regraft.advice").joinpath("ways.csv")
    text = (packaged if given.table is None else given.table).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    cuts = cuts_of(rows)
    if given.trained_only:
        cuts = [cut for cut in cuts if "upper blocks" in cut.accuracy]
    evidence = evidence_of(rows)
    rankings = {(cut.name, budget): advised(cut, evidence, budget) for cut in cuts for budget in BUDGETS}
    rules: dict[str, Rule] = {
        "always probe": lambda _cut, _fitting: "probe",
        "always fine-tune": lambda _, fitting: first(fitting, "all blocks", "upper blocks"),
        "CS231n table": table_of_the_lecture,
        "static: two networks": lambda _, fitting: first(fitting, "two networks"),
        "static: depth": lambda _, fitting: first(fitting, "depth"),
    }
    print(f"{len(cuts)} cuts of {len({cut.family for cut in cuts})} folders")
    for budget in BUDGETS:
        regrets = {"advice": [regret(cut, budget, rankings[cut.name, budget].advised) for cut in cuts]}
        for name, rule in rules.items():
            regrets[name] = [regret(cut, budget, rule(cut, cut.fitting(budget))) for cut in cuts]
        for name, values in regrets.items():
            spread = np.std(values) / len(values) ** 0.5
            print(f"{budget:4.0f} min  {name:22} mean {np.mean(values):5.2f} ± {spread:.2f}, worst {max(values):5.2f}")
    if given.candidates is not None:
        halves(cuts, evidence, rules, given.candidates)
    cover(cuts, rankings)
    toss_ups(cuts, rankings)
    if given.cuts:
        for cut in cuts:
            show(cut, rankings[cut.name, BUDGETS[-1]])


def cuts_of(rows: Sequence[dict[str, str]]) -> list[Cut]:
    """Return the cuts of a table with all frozen ways; a fine-tuning of all blocks is of the other split of its cut."""
    cells = [[row for row in cell.values() if row["way"] in WAYS] for cell in cells_of(rows)]
    other = [cell for cell in cells if cell[0]["split"] == "1"]
    more = {_name(cell): [row for row in cell if row["way"] == "all blocks"] for cell in other}
    return [Cut([*cell, *more.get(_name(cell), [])]) for cell in cells if {row["way"] for row in cell} >= set(PASSES)]


def _name(rows: Sequence[dict[str, str]]) -> tuple[str, str]:
    return rows[0]["folder"], rows[0]["photos"]


def advised(cut: Cut, evidence: Sequence[Evidence], budget: float) -> Ranking:
    """Return the ranking of a cut by the evidence of the other folders."""
    others = [row for row in evidence if row.folder != cut.family]
    gains = way_gains(cut.figures, list(cut.accuracy), others)
    return rank(cut.figures, gains, cut.minutes, budget, expected_refit(cut.figures, others))


def first(fitting: Mapping[Way, float], *ways: Way) -> Way:
    """Return the first of ``ways`` that fits, or the probe."""
    return next((way for way in ways if way in fitting), "probe")


def table_of_the_lecture(cut: Cut, fitting: Mapping[Way, float]) -> Way:
    """Return the way of the lecture's table, which judges similarity by eye."""
    if cut.figures.photos_a_class >= 50:
        return first(fitting, "all blocks", "upper blocks")
    return "probe" if cut.alike else first(fitting, "depth")


def regret(cut: Cut, budget: float, way: Way) -> float:
    """Return the points of accuracy that the best fitting way has more."""
    fitting = cut.fitting(budget)
    return 100 * (max(fitting.values()) - fitting[way])


def halves(cuts: Sequence[Cut], evidence: Sequence[Evidence], rules: Mapping[str, Rule], table: Path) -> None:
    """Print the regret of each rule on halves of the test photos that did not decide which way is the best."""
    by_name = {cut.name: cut for cut in cuts}
    regrets: dict[str, list[float]] = {}
    for measured in read_cuts(table):
        cut = by_name.get(f"{measured.facts['folder']} {measured.facts['per_class']}")
        if cut is not None and "upper-blocks_test" in measured.arrays:
            for name, value in regrets_on_halves(cut, measured, evidence, rules).items():
                regrets.setdefault(name, []).append(value)
    for name, values in regrets.items():
        spread = np.std(values) / len(values) ** 0.5
        mean, worst = np.mean(values), max(values)
        print(f"halves    {name:22} mean {mean:5.2f} ± {spread:.2f}, worst {worst:5.2f}, n = {len(values)}")


def regrets_on_halves(
    cut: Cut, measured: MeasuredCut, evidence: Sequence[Evidence], rules: Mapping[str, Rule]
) -> dict[str, float]:
    """Return the mean regret of each rule on a cut over random halves, in points."""
    y, refit = measured.arrays["y_test"], measured.arrays["y_refit"]
    weight = (np.bincount(refit) / len(refit) / np.maximum(np.bincount(y) / len(y), 1e-9))[y]
    arrays = {way: measured.arrays.get(f"{way.replace(' ', '-')}_test") for way in WAYS if way in cut.accuracy}
    ways = {way: p.argmax(axis=1) == y for way, p in arrays.items() if p is not None}
    right: dict[str, np.ndarray] = {**ways}
    right |= {f"auto: {name}": p.argmax(axis=1) == y for name, p in test_predictions(measured).items()}
    ranking = rank(
        cut.figures,
        way_gains(cut.figures, list(ways), [one for one in evidence if one.folder != cut.family]),
        cut.minutes,
        BUDGETS[-1],
    )
    kept = f"auto: {choices(measured)[1]['auto']}"
    chosen = {"advice followed": kept if ranking.is_toss_up else ranking.advised, "advised way": ranking.advised}
    chosen |= {"auto": kept} | {
        name: rule(cut, {way: cut.accuracy[way] for way in ways}) for name, rule in rules.items()
    }
    rng, differences = np.random.default_rng(0), dict[str, list[float]]()
    for _ in range(SPLITS):
        half = rng.random(len(y)) < 0.5
        one, other = (
            {way: float(np.average(hits[part], weights=weight[part])) for way, hits in right.items()}
            for part in (half, ~half)
        )
        best = max(one, key=one.__getitem__)
        for name, way in chosen.items():
            differences.setdefault(name, []).append(100 * (other[best] - other[way]))
    return {name: float(np.mean(values)) for name, values in differences.items()}


def cover(cuts: Sequence[Cut], rankings: Mapping[tuple[str, float], Ranking]) -> None:
    """Print the share of measured accuracies inside the 90 % interval, widened by the noise of the test photos."""
    inside: dict[str, list[bool]] = {}
    for cut in cuts:
        for ranked in rankings[cut.name, BUDGETS[-1]].ways:
            measured = cut.accuracy[ranked.way]
            deviation = (ranked.high - ranked.low) / 2 / Z90
            noise = measured * (1 - measured) / cut.test
            half = Z90 * (deviation**2 + noise) ** 0.5
            middle = (ranked.high + ranked.low) / 2
            inside.setdefault(ranked.way, []).append(abs(measured - middle) <= half)
    for way, values in inside.items():
        print(f"cover of the 90 % interval, {way:20} {100 * np.mean(values):5.1f} %, n = {len(values)}")
    every = [value for values in inside.values() for value in values]
    print(f"cover of the 90 % interval, all                  {100 * np.mean(every):5.1f} %, n = {len(every)}")


def toss_ups(cuts: Sequence[Cut], rankings: Mapping[tuple[str, float], Ranking]) -> None:
    """Print how often the advised way was the best, where the advice was sure and where it was a toss-up."""
    for sure in (True, False):
        chosen = [cut for cut in cuts if rankings[cut.name, BUDGETS[-1]].is_toss_up is not sure]
        if not chosen:
            continue
        right = [regret(cut, BUDGETS[-1], rankings[cut.name, BUDGETS[-1]].advised) == 0 for cut in chosen]
        promised = [rankings[cut.name, BUDGETS[-1]].of(rankings[cut.name, BUDGETS[-1]].advised).best for cut in chosen]
        label = "P(best) >= 0.6" if sure else "toss-up"
        share, said = 100 * np.mean(right), 100 * np.mean(promised)
        print(f"{label:16} best in {share:.0f} % (P(best) {said:.0f} %), n = {len(chosen)}")


def show(cut: Cut, ranking: Ranking) -> None:
    """Print a cut: measured and expected gain of each way over the probe, and the advice."""
    probe = cut.accuracy["probe"]
    gains = "  ".join(
        f"{one.way} {100 * (cut.accuracy[one.way] - probe):+.1f} ({one.points:+.1f})" for one in ranking.ways[1:]
    )
    print(f"{cut.name:16} {ranking.advised:16} {gains}")


if __name__ == "__main__":
    main()
