"""Regret of the choices of `auto`: `python benchmarks/choice_regret.py PHOTOS --folders flowers5 cells --sizes 80 160`.

The test accuracy of the best of its own candidates (probe, upper blocks, their mix) minus that of the kept one. Each
choice uses the evidence of the other folders only. Cuts are trained once, as by `evidence.py`, and kept in
`--predictions FOLDER`; the folders are those of `evidence.py`. Other rules are compared on the same candidates.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from _candidates import Cut, load, measure, save
from _synthetic_folders import KINDS
from evidence import PHOTOS, TEST, source

from regraft.measure.metrics import log_losses
from regraft.measure.paired import log_loss_difference
from regraft.recipes.steps import outlook as outlooks
from regraft.recipes.steps.candidates import Candidate, measured_gain
from regraft.recipes.steps.evidence import Situation, read_evidence
from regraft.recipes.steps.gain import NO_GAIN
from regraft.recipes.steps.mixing import WORTHWHILE, mixing_share
from regraft.recipes.steps.outlook import Outlook
from regraft.recipes.steps.prior_gain import fit_gain_model


def main() -> None:
    """Print a row for each cut, and the mean and the worst regret of each rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--folders", nargs="*", default=[*PHOTOS, *KINDS])
    parser.add_argument("--sizes", type=int, nargs="*", default=[80, 160])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="of the upper blocks; the recipe's own number without it")
    parser.add_argument("--predictions", type=Path, default=Path(tempfile.gettempdir()) / "regraft-evidence")
    parser.add_argument("--only-stored", action="store_true", help="measure nothing; read the stored predictions")
    given = parser.parse_args()
    given.predictions.mkdir(parents=True, exist_ok=True)
    cuts = [Cut(f, n, TEST, s) for s in range(given.seeds) for n in given.sizes for f in given.folders]
    for cut in [] if given.only_stored else cuts:
        path = given.predictions / f"{cut.name}.npz"
        if not path.exists():
            options = {} if given.epochs is None else {"epochs": given.epochs}
            with tempfile.TemporaryDirectory() as place:
                save(measure(source(cut.folder, given.photos, Path(place)), cut, seed=cut.seed, **options), path)
    wanted = (
        sorted(given.predictions.glob("*.npz"))
        if given.only_stored
        else [given.predictions / f"{cut.name}.npz" for cut in cuts]
    )
    regrets: dict[str, list[float]] = {}
    for path in wanted:
        accuracy, kept = choices(path)
        best = max(accuracy.values())
        for rule, candidate in kept.items():
            regrets.setdefault(rule, []).append(best - accuracy[candidate])
        shown = "  ".join(f"{name} {value:.1f}" for name, value in accuracy.items())
        print(f"{path.stem:24} {shown}   kept {kept['auto']}, regret {best - accuracy[kept['auto']]:.1f}")
    for rule, values in regrets.items():
        print(f"{rule:24} regret: mean {np.mean(values):.2f}, worst {max(values):.2f} points, n = {len(values)}")


def choices(path: Path) -> tuple[dict[str, float], dict[str, str]]:
    """Return the test accuracy of each candidate in per cent, and the candidate that each rule keeps."""
    arrays, facts = load(path)
    folder = path.stem.split("-")[0]
    y, labels = arrays["y_test"], arrays["y_validation"]
    share = mixing_share(arrays["validation_0"], arrays["validation_1"], labels)
    probe = Candidate("probe", arrays["validation_0"], labels, share_of_probe=1.0)
    tuned = Candidate("tuned", arrays["validation_1"], labels)
    mix = Candidate("mix", (1 - share) * probe.predicted + share * tuned.predicted, labels, share_of_probe=1 - share)
    test = {
        "probe": arrays["test_refit"],
        "tuned": arrays["test_1"],
        "mix": (1 - share) * arrays["test_refit"] + share * arrays["test_1"],
    }
    accuracy = {name: 100 * float((p.argmax(axis=1) == y).mean()) for name, p in test.items()}
    old = log_loss_difference(probe.probabilities, tuned.probabilities, labels)
    factor = 1 + min(1.0, 50 / len(labels))
    return accuracy, {
        "auto": by_expectation(folder, arrays, facts, probe, tuned, mix),
        "one standard error": "tuned" if old.value > factor * old.standard_error else "probe",
        "always the probe": "probe",
        "always fine-tuning": "tuned",
        "always the mix": "mix",
    }


def by_expectation(
    folder: str, arrays: dict[str, Any], facts: dict[str, Any], probe: Candidate, tuned: Candidate, mix: Candidate
) -> str:
    """Return the candidate that `auto` keeps, as its recipe decides, without evidence of the folder itself."""
    oof, y = arrays["oof"], arrays["y_oof"]
    error = (int((oof.argmax(axis=1) != y).sum()) + 1) / (len(y) + 2)
    log_loss = min(float(log_losses(oof, y).mean()), float(np.log(facts["classes"])))

    def model(step: str) -> Any:
        rows = [row for row in read_evidence() if row.step == step and row.folder.split("-")[0] != folder]
        return fit_gain_model(rows)

    with mock.patch.object(outlooks, "gain_model", model):
        outlook = Outlook("fine-tuning", Situation(facts["train"], error, log_loss), len(probe.labels))
        if not outlook.pays:
            return "probe"
        gain = outlook.prior.updated(measured_gain(probe, tuned, outlook))
        best, lead = (tuned, NO_GAIN) if gain.accuracy > 0 else (probe, gain)
        mixing = outlook.of("mixing")
        mixed = mixing.prior.updated(measured_gain(tuned, mix, mixing)).plus(lead)
        return mix.title if mixed.points(error)[0] > WORTHWHILE else best.title


if __name__ == "__main__":
    main()
