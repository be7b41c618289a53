"""Time to a result, accuracy, memory, a second run, a photo more and another head, beside others on the same photos.

`python benchmarks/compare.py DATA --peers PEERS [--out docs]` with DATA/{train,val}/CLASS runs everything in turn, each
in a process of its own, and writes `docs/benchmarks.md`, `docs/benchmarks.svg` and the figures, `docs/benchmarks.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from _peers import Whole, accuracy, peer, regraft
from PIL import Image

from regraft.measure.intervals import wilson

PACKAGES = ("regraft", "torch", "timm", "onnxruntime", "openvino", "scikit-learn", "fastai", "keras", "vyntri")
OURS = "regraft"
ELSEWHERE = "Outside of it: [where regraft is behind](explanation/where-regraft-is-behind.md)."


@dataclass
class Row:
    """What was measured of one contestant."""

    name: str
    what: str
    seconds: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Contestant:
    """What is run, with which seed, and how often."""

    name: str
    what: str
    run: Callable[[int], Whole]
    times: int


def main() -> None:
    """Run all, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--repeat", type=int, default=3, help="of what takes seconds; the others run once")
    parser.add_argument("--budget", default="3m", help="of auto")
    parser.add_argument("--note", help="what a reader of the page should know, such as that the machine was not quiet")
    parser.add_argument("--only", help="contestants whose name holds this text, for a try")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        data = readable(given.data, Path(place, "photos"))
        more = one_more(data, Path(place, "one more"))
        runs = contestants(data, more, given.peers, given.budget, given.repeat, Path(place))
        if given.only:
            runs = [run for run in runs if given.only in run.name]
        rows = {run.name: Row(run.name, run.what) for run in runs}
        for turn in range(max(run.times for run in runs)):
            for run in (run for run in runs if turn < run.times):
                whole = run.run(turn)
                right = whole.found.get("accuracy")
                row = rows[run.name]
                row.seconds.append(whole.seconds)
                row.peak_mib.append(whole.peak_mib)
                row.accuracies.append(accuracy(whole.found) if right is None else float(right))
                print(f"{turn + 1} {run.name}: {row.accuracies[-1]:.4f} {whole.seconds:.1f} s", flush=True)
        photos = {side: sum(1 for _ in (data / side).rglob("*.*")) for side in ("train", "val")}
    facts = {
        "photos": given.data.name,
        "count": photos,
        "machine": machine(),
        "versions": versions(),
        "note": given.note,
    }
    write(given.out, facts, list(rows.values()))


def contestants(data: Path, more: Path, peers: Path, budget: str, times: int, place: Path) -> list[Contestant]:
    """Return all that is compared; regraft's second runs share the cache of its first."""

    def ours(*options: str, photos: Path = data, fresh: bool = False) -> Callable[[int], Whole]:
        def run(turn: int) -> Whole:
            cache = None if fresh else place / f"cache {turn}"
            return regraft(str(photos), *options, cache=cache)

        return run

    def theirs(script: str, *options: str, seed: bool = False) -> Callable[[int], Whole]:
        return lambda turn: peer(peers / script, str(data), *options, *([str(turn)] if seed else []))

    probe = ("--recipe", "linear-probe")
    own = Path(__file__).with_name("_keras_head.py")
    return [
        Contestant(f"{OURS} linear-probe", "nothing there yet: no store, no graphs", ours(*probe), times),
        Contestant(f"{OURS} linear-probe, again", "a fresh run folder, the same cache", ours(*probe), times),
        Contestant(f"{OURS} linear-probe, one photo more", "the same cache", ours(*probe, photos=more), times),
        Contestant(f"{OURS} feature-extraction, 1 view", "another head, the same cache",
                   ours("--recipe", "feature-extraction", "--views", "1"), times),
        Contestant(f"{OURS} auto --budget {budget}", "nothing there yet", ours("--budget", budget, fresh=True), 1),
        Contestant(f"{OURS} fine-tune --unfreeze 2", "upper blocks from the cut point, nothing there yet",
                   ours("--recipe", "fine-tune", "--unfreeze", "2", fresh=True), 1),
        Contestant("sceptic.py", "torch features, scikit-learn's search", theirs("sceptic.py"), times),
        Contestant("vyntri_fit.py", "frozen network, closed form", theirs("vyntri_fit.py", seed=True), times),
        Contestant("Keras 3, torch backend", "frozen network as a layer, Dense on top, 5 epochs",
                   lambda _: peer(own, str(data), str(peers)), 1),
        Contestant("tutorial_frozen.py", "the PyTorch tutorial, frozen body", theirs("tutorial_frozen.py"), 1),
        Contestant("naive_finetune.py", "the plain loop over all layers", theirs("naive_finetune.py"), 1),
        Contestant("fastai_fine_tune.py", "vision_learner(...).fine_tune(4)", theirs("fastai_fine_tune.py"), 1),
    ]  # fmt: skip


def readable(data: Path, out: Path) -> Path:
    """Link the photos of ``data`` that can be decoded: some peers stop at others."""
    for file in sorted(path for side in ("train", "val") for path in (data / side).rglob("*") if path.is_file()):
        try:
            with Image.open(file) as image:
                image.load()
        except OSError:
            continue
        link = out / file.relative_to(data)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.resolve())
    return out


def one_more(data: Path, out: Path) -> Path:
    """Return a folder of the same photos and one more."""
    shutil.copytree(data, out, symlinks=True)
    first = next(iter(sorted((out / "train").rglob("*.jpg"))))
    with Image.open(first) as image:
        image.convert("RGB").rotate(7).save(first.with_name("one more.jpg"), quality=80)
    return out


def machine() -> str:
    """Return the processor, its cores and the memory, in words."""
    name = platform.processor()
    cores = os.cpu_count()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        name = next(line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {cores} cores, {platform.system()} {platform.release().split('-')[0]}"


def versions() -> dict[str, str]:
    """Return the versions of what was run."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write(out: Path, facts: dict[str, Any], rows: list[Row]) -> None:
    """Write the page, the plot and the figures."""
    out.mkdir(parents=True, exist_ok=True)
    data = {**facts, "rows": [asdict(row) for row in rows]}
    (out / "benchmarks.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    (out / "benchmarks.md").write_text(page(facts, rows), encoding="utf-8")
    plot(out / "benchmarks.svg", rows)


def page(facts: dict[str, Any], rows: list[Row]) -> str:
    """Return the page: how it was measured, the table, and where regraft is behind."""
    n = facts["count"]["val"]
    first = statistics.median(rows[0].seconds)
    lines = [
        "# Benchmarks",
        "",
        "Written by `python benchmarks/compare.py DATA --peers PEERS`: whole processes, start to result, one after",
        "another in turn on one machine. Same photos, same split, same weights (EfficientNet-Lite0, ImageNet). Times",
        "can only be compared with each other. PEERS is a folder of scripts that take `DATA/{train,val}/CLASS`, and",
        "print accuracy on val as one line of JSON.",
        "",
        f"- Photos: {facts['photos']}, {facts['count']['train']:,} to train on, {n:,} to measure.",
        f"- Machine: {facts['machine']}.",
        f"- Versions: {', '.join(f'{name} {number}' for name, number in facts['versions'].items())}.",
        *([f"- {facts['note']}"] if facts["note"] else []),
        "",
        "| | accuracy (95 %) | seconds | times as long as the first row | peak MiB | runs | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        right = statistics.fmean(row.accuracies)
        low, high = wilson(round(right * n), n)
        spread = f" ({min(row.seconds):.1f}–{max(row.seconds):.1f})" if len(row.seconds) > 1 else ""
        took = statistics.median(row.seconds)
        lines.append(
            f"| {row.name} | {100 * right:.1f} % ({100 * low:.1f}–{100 * high:.1f}) | {took:.1f}{spread} "
            f"| {took / first:.2f} | {max(row.peak_mib):.0f} | {len(row.seconds)} | {row.what} |"
        )
    lines += ["", "![accuracy over time](benchmarks.svg)", ""]
    lines += ["## Where regraft is behind", "", *behind(rows), "", ELSEWHERE, ""]
    return "\n".join(lines)


def behind(rows: list[Row]) -> list[str]:
    """Return in words in what a peer did better than the recipe of regraft that is nearest to it in time."""
    found = []
    ours = [row for row in rows if row.name.startswith(OURS)]
    for row in (row for row in rows if row not in ours):
        took, right = statistics.median(row.seconds), statistics.fmean(row.accuracies)
        quicker = [mine for mine in ours if statistics.median(mine.seconds) <= took]
        best = max((statistics.fmean(mine.accuracies) for mine in quicker), default=0.0)
        if right > best:
            found.append(
                f"- {row.name}: {100 * right:.1f} %, and what regraft has in the same time {100 * best:.1f} %."
            )
        least = min((max(mine.peak_mib) for mine in ours), default=0.0)
        if max(row.peak_mib) < least:
            found.append(f"- {row.name} takes {max(row.peak_mib):.0f} MiB, regraft {least:.0f} at least.")
    return found or ["Nowhere in this table: nothing was more accurate in the time that it took, or took less memory."]


def plot(path: Path, rows: list[Row]) -> None:
    """Draw accuracy over time."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "regraft"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    for row in rows:
        mine = row.name.startswith(OURS)
        x, y = statistics.median(row.seconds), 100 * statistics.fmean(row.accuracies)
        axes.plot(x, y, "o" if mine else "s", color="tab:blue" if mine else "tab:gray")
        turned = 40 if mine else 0  # ours lie close together
        axes.annotate(row.name, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8, rotation=turned)
    axes.set_xscale("log")
    axes.set_xlabel("seconds, process start to result")
    axes.set_ylabel("accuracy on val, %")
    axes.margins(x=0.25, y=0.55)
    axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
