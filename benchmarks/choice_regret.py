"""Regret of the choices of `auto`, replayed on the table of ways: `python benchmarks/choice_regret.py TABLE`.

The test accuracy of the best of its own candidates minus that of the kept one. The candidates are the plain probe, that
at all depths, that on two networks, and if a fine-tuning is tried the upper blocks and their mix with the probe. Each
choice uses the evidence of other folders only; cuts of the same photos count as one folder. TABLE is the folder that
`candidate_table.py` wrote.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from evidence import Cut, read_cuts

from regraft.recipes.auto import MIN_TRAIN, MIN_VALIDATION
from regraft.recipes.steps import outlook as outlooks
from regraft.recipes.steps.candidates import Candidate, measured_gain
from regraft.recipes.steps.evidence import Situation, fine_tuning_step, mixing_step, read_evidence
from regraft.recipes.steps.frozen_probes import OUT_OF_FOLD_GROWTH
from regraft.recipes.steps.mixing import mixing_share
from regraft.recipes.steps.more_features import WORTHWHILE as WORTHWHILE_FEATURES
from regraft.recipes.steps.outlook import Outlook
from regraft.recipes.steps.prior_gain import fit_gain_model


def main() -> None:
    """Print a row for each cut, and the mean and the worst regret of each rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    given = parser.parse_args()
    regrets: dict[str, list[float]] = {}
    gains: dict[str, list[float]] = {}
    for cut in (cut for cut in read_cuts(given.table) if "upper-blocks_test" in cut.arrays):
        accuracy, kept = choices(cut)
        best = max(accuracy.values())
        for rule, candidate in kept.items():
            regrets.setdefault(rule, []).append(best - accuracy[candidate])
            gains.setdefault(rule, []).append(accuracy[candidate] - accuracy["plain"])
        shown = "  ".join(f"{name} {value:.1f}" for name, value in accuracy.items())
        name = f"{cut.facts['folder']}, {cut.facts['refit']}"
        print(f"{name:18} {shown}   kept {kept['auto']}, regret {best - accuracy[kept['auto']]:.1f}")
    for rule, values in regrets.items():
        over = f"over the plain probe {np.mean(gains[rule]):+.2f} (worst {min(gains[rule]):+.1f})"
        print(
            f"{rule:24} regret: mean {np.mean(values):.2f}, worst {max(values):.2f} points; {over}; n = {len(values)}"
        )


def choices(cut: Cut) -> tuple[dict[str, float], dict[str, str]]:
    """Return the test accuracy of each candidate in per cent, and the candidate that each rule keeps."""
    facts, y, rows = cut.facts, cut.arrays["y_test"], cut.arrays["validation_rows"]
    labels, test = cut.arrays["y_refit"][rows], test_predictions(cut)
    accuracy = {name: 100 * float((p.argmax(axis=1) == y).mean()) for name, p in test.items()}

    def model(step: str) -> Any:
        photos = re.sub(r"[-\d].*", "", facts["folder"])
        rows = [row for row in read_evidence() if row.step == step and re.sub(r"[-\d].*", "", row.folder) != photos]
        return fit_gain_model(rows)

    with mock.patch.object(outlooks, "gain_model", model):
        kept = by_expectation(cut, labels, rows)
    fixed = {
        "plain": "plain",
        "upper": "upper",
        "two": "two",
        "mix with one": "mix with one",
        "mix with two": "mix with two",
    }
    return accuracy, {"auto": kept, **{f"always {name}": candidate for name, candidate in fixed.items()}}


def test_predictions(cut: Cut) -> dict[str, Any]:
    """Return the probabilities of each candidate for the test photos, shape (n, classes)."""
    arrays, facts, rows = cut.arrays, cut.facts, cut.arrays["validation_rows"]
    labels, upper = arrays["y_refit"][rows], cut.tuned("upper-blocks", "validation")
    test = {"plain": arrays["probe_test"], "one": cut.base(1, "test"), "two": cut.base(2, "test")}
    test["upper"] = cut.tuned("upper-blocks", "test")
    for number, name in ((1, "one"), (2, "two")):
        share = mixing_share(cut.base(number, "oof")[rows], upper, labels, facts["train"])
        test[f"mix with {name}"] = (1 - share) * test[name] + share * test["upper"]
    return test


def by_expectation(cut: Cut, labels: Any, rows: Any) -> str:
    """Return the candidate that `auto` keeps, as its recipe decides."""
    facts = cut.facts

    def outlook_of(networks: int) -> Outlook:
        return Outlook("fine-tuning", Situation(facts["train"], *cut.situation(networks)), len(labels))

    joining, y = outlook_of(0).of("second network").out_of_fold(len(cut.arrays["y_refit"])), cut.arrays["y_refit"]
    one, two = (Candidate("", cut.base(number, "oof"), y) for number in (1, 2))
    networks = 1
    if joining.expects(WORTHWHILE_FEATURES):
        expected = joining.prior.updated(measured_gain(one, two, joining))
        networks = 1 + (expected.points(joining.situation.error)[0] > WORTHWHILE_FEATURES)
    name = ("one", "two")[networks - 1]
    outlook = outlook_of(networks).of(fine_tuning_step(networks))
    pays = outlook.of(mixing_step(networks)).pays
    if facts["train"] < MIN_TRAIN or len(labels) < MIN_VALIDATION or not pays:
        return name
    oof, upper = cut.base(networks, "oof")[rows], cut.tuned("upper-blocks", "validation")
    probe = Candidate("", oof, labels, growth=OUT_OF_FOLD_GROWTH)
    share, mixing = mixing_share(oof, upper, labels, facts["train"]), outlook.of(mixing_step(networks))
    mix = Candidate("", (1 - share) * oof + share * upper, labels, growth=(1 - share) * OUT_OF_FOLD_GROWTH)
    mixed = mixing.prior.updated(measured_gain(probe, mix, mixing))
    return f"mix with {name}" if mixed.accuracy > 0 else name


if __name__ == "__main__":
    main()
