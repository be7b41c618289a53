"""Whole runs on the same photos, in turn: `python benchmarks/peers.py DATA --peers PEERS [--recipe R] [--script S]`.

regraft's caches are empty, or with ``--after OTHER`` as a run on other photos has left them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from _peers import Whole, accuracy, peer, regraft


def main() -> None:
    """Run regraft and a peer in turn and print both, and the ratio of their times pair by pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--script", default="sceptic.py")
    parser.add_argument("--recipe", default="linear-probe")
    parser.add_argument(
        "--options", nargs="*", default=[], help="further options of regraft train, without dashes: k=v"
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--after", type=Path, help="other photos, which regraft has seen before")
    given = parser.parse_args()
    options = [part for option in given.options for part in (f"--{option.split('=')[0]}", option.split("=")[1])]
    ours, theirs = [], []
    for turn in range(given.repeat):
        with tempfile.TemporaryDirectory() as place:
            if given.after:
                regraft(str(given.after), "--recipe", given.recipe, cache=Path(place))
            ours.append(regraft(str(given.data), "--recipe", given.recipe, *options, cache=Path(place)))
        theirs.append(peer(given.peers / given.script, str(given.data)))
        print(f"{turn + 1}: regraft {_line(ours[-1], accuracy(ours[-1].found))}", flush=True)
        print(f"   {given.script} {_line(theirs[-1], theirs[-1].found['accuracy'])}", flush=True)
    ratios = sorted(b.seconds / a.seconds for a, b in zip(ours, theirs, strict=True))
    print(f"regraft is {statistics.median(ratios):.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def _line(run: Whole, right: float) -> str:
    return f"{100 * right:.1f} %  {run.seconds:.1f} s  {run.peak_mib:.0f} MiB"


if __name__ == "__main__":
    main()
