"""The table of evidence, `src/regraft/advice/ways.csv`: `python benchmarks/evidence.py OUT.csv FROZEN.csv TABLE...`.

FROZEN.csv is what `advice_table.py` measured: figures of each cut, and ways with frozen features. TABLE is a folder of
predictions that `candidate_table.py` wrote; a cut is taken from the first that has it. Cuts of a second one, which were
split into training and validation in another way, add fine-tunings of all blocks. Rows of OUT.csv from another source
stay. docs/advice.md describes the columns.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.measure.metrics import log_losses
from regraft.probe.loss_curve import loss_curve
from regraft.recipes.steps.mixing import usual_share

SOURCE, FROZEN = "benchmarks/candidate_table.py", "benchmarks/advice_table.py"
OTHER_NETWORK = "tf_efficientnet_lite2"
COLUMNS = (
    "folder", "photos_from", "kind", "classes", "photos", "photos_a_class", "seed", "split", "error", "log_loss",
    "slope", "top", "lead", "added", "way", "network", "fitted", "way_error", "way_log_loss", "over", "accuracy",
    "test_log_loss", "accuracy_error", "log_loss_error", "test", "seconds", "source",
)  # fmt: skip
FIGURES = COLUMNS[: COLUMNS.index("way")]
ONLY_SPLIT_1 = ("probe", "upper blocks", "all blocks")
"""Ways of a cut in the second table, if the first table has it too."""


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
        return self.figures(self.arrays["probe_oof"] if networks == 0 else self.base(networks, "oof"))

    def figures(self, oof: NDArray[np.float64]) -> tuple[float, float]:
        """Return error and log-loss of out-of-fold probabilities of the training photos."""
        y = self.arrays["y_refit"]
        error = ((oof.argmax(axis=1) != y).sum() + 1) / (len(y) + 2)
        return float(error), min(float(log_losses(oof, y).mean()), float(np.log(self.facts["classes"])))

    def weights(self) -> NDArray[np.float64]:
        """Return weights of the test photos, which give each class its share among the training photos."""
        y, refit = self.arrays["y_test"], self.arrays["y_refit"]
        classes = int(self.facts["classes"])
        shares, tested = (np.bincount(labels, minlength=classes) / len(labels) for labels in (refit, y))
        return np.asarray((shares / np.maximum(tested, 1e-9))[y], dtype=np.float64)


def read_cuts(table: Path) -> Iterator[Cut]:
    """Yield the measured cuts of a table, by name."""
    for path in sorted((table / "candidates").glob("*.npz")):
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files if name.partition("_")[0] != "lite2"}
        yield Cut(arrays, json.loads(str(arrays.pop("facts"))))


def name_of(facts: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the name of a cut: folder, photos of a class, and seed."""
    key = "per_class" if "per_class" in facts else "photos_a_class"
    return str(facts["folder"]), str(facts[key]), str(facts["seed"])


def rows_of(cut: Cut, figures: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one cut.

    Args:
        cut: the cut.
        figures: its values of `FIGURES`.
    """
    refit, train = cut.facts["refit"], cut.facts["train"]
    frozen = {"probe": "", "depth": "probe", "two networks": "probe", "two probes": "depth"}
    trained = {"feature extraction": "probe", "upper blocks": "depth" if figures["split"] == 2 else ""}
    trained |= {"all blocks": "upper blocks"}
    over = frozen | {way: before for way, before in trained.items() if _name_in(way, "test") in cut.arrays}
    test = {way: cut.arrays[_name_in(way, "test")] for way in over if way != "two probes"}
    test["two probes"] = cut.base(2, "test")
    if "upper blocks" in test:
        share = usual_share(train)
        for way, base in (("mix", "depth"), ("mix with two networks", "two probes")):
            test[way] = (1 - share) * test[base] + share * test["upper blocks"]
            over[way] = base
    oof = {"two probes": cut.base(2, "oof")}
    oof |= {way: cut.arrays[_name_in(way, "oof")] for way in frozen if way != "two probes"}
    for way, before in over.items():
        error, log_loss = cut.figures(oof[way]) if way in oof else ("", "")
        yield {
            **figures,
            "way": way,
            "network": OTHER_NETWORK if "two" in way else "",
            "fitted": refit if way in frozen or way == "feature extraction" else train,
            "way_error": _rounded(error),
            "way_log_loss": _rounded(log_loss),
            "over": before,
            **_measured(cut, test[way], test.get(before)),
            "seconds": _seconds(cut.facts["seconds"], way),
            "source": SOURCE,
        }


def _name_in(way: str, part: str) -> str:
    """Return the name of an array of a cut."""
    return f"{way.replace(' ', '-')}_{part}"


def _seconds(spent: Mapping[str, float], way: str) -> str:
    """Return the processor seconds of a way; a mix takes those of all its members."""
    probes = {"two probes": ["depth", "two-networks"], "mix": ["depth", "upper-blocks"]}
    parts = probes | {"mix with two networks": ["depth", "two-networks", "upper-blocks"]}
    return f"{sum(spent[part] for part in parts.get(way, [way.replace(' ', '-')])):.2f}"


def _rounded(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4f}"


def _measured(cut: Cut, p: NDArray[Any], before: NDArray[Any] | None) -> dict[str, Any]:
    """Return accuracy and log-loss, the standard errors of their differences to ``before``, and the test photos."""
    y, weight = cut.arrays["y_test"], cut.weights()
    effective = weight.sum() ** 2 / (weight**2).sum()
    values = {
        "accuracy": np.average(p.argmax(axis=1) == y, weights=weight),
        "test_log_loss": np.average(log_losses(p, y), weights=weight),
    }
    if before is not None:
        right = (p.argmax(axis=1) == y).astype(float) - (before.argmax(axis=1) == y)
        values["accuracy_error"] = max(_deviation(right, weight) / effective**0.5, 1 / effective)
        values["log_loss_error"] = _deviation(log_losses(p, y) - log_losses(before, y), weight) / effective**0.5
    return {**{name: f"{value:.4f}" for name, value in values.items()}, "test": round(effective)}


def _deviation(values: NDArray[Any], weight: NDArray[np.float64]) -> float:
    return float(np.average((values - np.average(values, weights=weight)) ** 2, weights=weight) ** 0.5)


def figures_of(cut: Cut, frozen: Sequence[Mapping[str, str]], split: int) -> dict[str, Any]:
    """Return the figures of a cut: those of ``frozen``, or the depth profile of the largest other cut of its folder."""
    same = [row for row in frozen if name_of(row) == name_of(cut.facts)]
    if same:
        return {name: same[0].get(name, "") for name in FIGURES} | {"split": split}
    y, oof, facts = cut.arrays["y_refit"], cut.arrays["probe_oof"], cut.facts
    curve = loss_curve(
        cut.arrays["lite0_refit"].astype(np.float32),
        y,
        SimpleNamespace(oof=oof),
        classes=facts["classes"],
        groups=cut.arrays["units"].tolist(),
        keys=[f"{row:05}" for row in range(len(y))],
    )
    error, log_loss = cut.situation(0)
    largest = max((row for row in frozen if row["folder"] == facts["folder"]), key=lambda row: int(row["photos"]))
    return {
        **{name: largest.get(name, "") for name in FIGURES},
        "photos": len(y),
        "photos_a_class": facts["per_class"],
        "seed": facts["seed"],
        "split": split,
        "error": f"{error:.4f}",
        "log_loss": f"{log_loss:.4f}",
        "slope": "" if curve.slope is None else f"{curve.slope:.4f}",
    }


def table_of(frozen: Sequence[Mapping[str, str]], tables: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the rows of all cuts, one for each cut and way."""
    rows: list[dict[str, Any]] = []
    seen: set[tuple[str, str, str]] = set()
    for table in tables:
        found = {name_of(cut.facts): cut for cut in read_cuts(table)}
        for name, cut in found.items():
            if name not in seen:
                rows += rows_of(cut, figures_of(cut, frozen, 2))
            elif "all-blocks_test" in cut.arrays:
                again = rows_of(cut, figures_of(cut, frozen, 1))
                rows += [row for row in again if row["way"] in ONLY_SPLIT_1]
        seen |= set(found)
    measured = {(*name_of(row), row["way"]) for row in rows}
    for row in frozen:
        if (*name_of(row), row["way"]) not in measured:
            solved = {"way_error": row["error"], "way_log_loss": row["log_loss"]} if row["way"] == "probe" else {}
            rows.append({**row, **solved, "split": 2, "fitted": row["photos"], "over": "", "source": FROZEN})
    return rows


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("frozen", type=Path)
    parser.add_argument("tables", type=Path, nargs="+")
    given = parser.parse_args()
    rows: list[Mapping[str, Any]] = [row for row in read(given.out) if row["source"] not in (SOURCE, FROZEN)]
    rows += table_of(read(given.frozen), given.tables)
    rows.sort(key=lambda row: (row["folder"], int(row["photos"]), int(row["seed"]), str(row["split"])))
    write(given.out, rows)


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table; none if it is missing."""
    return list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []


def write(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table."""
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
