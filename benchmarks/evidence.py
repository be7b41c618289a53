"""Gains for `evidence.csv` from the table of ways: `python benchmarks/evidence.py TABLE OUT.csv`.

TABLE is the folder that `candidate_table.py` wrote. Each step of `auto` is measured on photos that no choice has used.
Rows of OUT.csv from another source than this script stay.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.measure.metrics import log_losses
from regraft.recipes.steps.mixing import usual_share

SOURCE = "benchmarks/evidence.py"
COLUMNS = (
    "folder", "kind", "step", "classes", "photos", "seed", "error", "log_loss", "accuracy_before", "accuracy_after",
    "log_loss_before", "log_loss_after", "accuracy_error", "log_loss_error", "test", "seconds", "source",
)  # fmt: skip


@dataclass(frozen=True)
class Cut:
    """A measured cut: the arrays and facts of `candidate_table.py`.

    Attributes:
        arrays: probabilities and labels, by name.
        facts: the facts.
    """

    arrays: dict[str, NDArray[Any]]
    facts: dict[str, Any]

    def base(self, networks: int, part: str) -> NDArray[np.float64]:
        """Return the probabilities of the probe of `auto` on one network or two; ``part`` is "oof" or "test"."""
        deep, joint = self.arrays[f"depth_{part}"], self.arrays[f"two-networks_{part}"]
        return deep if networks == 1 else (deep + joint) / 2

    def tuned(self, way: str, part: str) -> NDArray[np.float64]:
        """Return the probabilities of a fine-tuning; ``part`` is "validation" or "test"."""
        return self.arrays[f"{way}_{part}"]

    def situation(self, networks: int) -> tuple[float, float]:
        """Return error and log-loss of the probe as `auto` estimates them, out of fold; 0 networks: the plain one."""
        oof, y = self.arrays["probe_oof"] if networks == 0 else self.base(networks, "oof"), self.arrays["y_refit"]
        error = ((oof.argmax(axis=1) != y).sum() + 1) / (len(y) + 2)
        return float(error), min(float(log_losses(oof, y).mean()), float(np.log(self.facts["classes"])))


def read_cuts(table: Path) -> Iterator[Cut]:
    """Yield the measured cuts of a table, by name."""
    for path in sorted((table / "candidates").glob("*.npz")):
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files if name.partition("_")[0] not in {"lite0", "lite2"}}
        yield Cut(arrays, json.loads(str(arrays.pop("facts"))))


def rows_of(cut: Cut) -> Iterator[dict[str, Any]]:
    """Yield the rows of one cut."""
    yield _row(cut, "all depths", 0, cut.arrays["probe_test"], cut.base(1, "test"), "depth")
    yield _row(cut, "second network", 1, cut.base(1, "test"), cut.base(2, "test"), "two-networks")
    if "upper-blocks_test" not in cut.arrays:
        return
    upper = cut.tuned("upper-blocks", "test")
    for networks, more in ((1, ""), (2, ", two networks")):
        base = cut.base(networks, "test")
        share = usual_share(cut.facts["train"])
        mixed = (1 - share) * base + share * upper
        yield _row(cut, f"fine-tuning{more}", networks, base, upper, "upper-blocks")
        yield _row(cut, f"mixing{more}", networks, base, mixed, "upper-blocks")
    if "all-blocks_test" in cut.arrays:
        yield _row(cut, "all blocks", None, upper, cut.tuned("all-blocks", "test"), "all-blocks")


def _row(
    cut: Cut, step: str, networks: int | None, before: NDArray[Any], after: NDArray[Any], way: str
) -> dict[str, Any]:
    """Return a row; ``networks`` is those of the probe before, or None if the figures before are those of the test."""
    y, facts = cut.arrays["y_test"], cut.facts
    right = [(p.argmax(axis=1) == y).astype(float) for p in (before, after)]
    loss = [log_losses(p, y) for p in (before, after)]
    if networks is None:
        error, log_loss = ((1 - right[0]).sum() + 1) / (len(y) + 2), float(loss[0].mean())
    else:
        error, log_loss = cut.situation(networks)
    values = {
        "error": error,
        "log_loss": log_loss,
        "accuracy_before": right[0].mean(),
        "accuracy_after": right[1].mean(),
        "log_loss_before": loss[0].mean(),
        "log_loss_after": loss[1].mean(),
        "accuracy_error": max((right[1] - right[0]).std() / len(y) ** 0.5, 1 / len(y)),
        "log_loss_error": (loss[0] - loss[1]).std() / len(y) ** 0.5,
    }
    return {
        "folder": facts["folder"],
        "kind": facts["kind"],
        "step": step,
        "classes": facts["classes"],
        "photos": facts["refit"] if step in ("all depths", "second network") else facts["train"],
        "seed": facts["seed"],
        **{key: f"{value:.4f}" for key, value in values.items()},
        "test": len(y),
        "seconds": f"{facts['seconds'][way]:.0f}",
        "source": SOURCE,
    }


def main() -> None:
    """Write the rows of all cuts, next to those from other sources."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    table = list(csv.DictReader(given.out.open(encoding="utf-8"))) if given.out.exists() else []
    rows = [row for row in table if row["source"] != SOURCE]
    for cut in read_cuts(given.table):
        rows += rows_of(cut)
    with given.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
