"""Golden run: four recipes on generated photos, by the code of another commit and by the working tree.

python scripts/golden.py BASE [--keep FOLDER]

Both run on this machine, since the last bits of weights differ between processors. The working tree replays the choices
that a clock made for BASE. Prints every difference in the run folders, in commands and options (but not their help
texts) and in the public names; exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TREE = Path(__file__).resolve().parent.parent
CLASSES = {"ant": 90, "bee": 80, "cat": 70}
SIDE = 96

RECIPES = {
    "linear-probe": [],
    "feature-extraction": ["--epochs", "3"],
    "fine-tune-top": ["--recipe", "fine-tune", "--unfreeze", "2", "--epochs", "2"],
    "fine-tune-all": ["--recipe", "fine-tune", "--unfreeze", "all", "--epochs", "1"],
    "auto": ["--budget", "60s"],
}

NAMES = """
import regraft, regraft.callbacks, regraft.training
print(*sorted(dir(regraft)), *regraft.callbacks.__all__, *regraft.training.__all__, sep="\\n")
"""

OPTIONS = """
import json
from regraft.cli.main import regraft
for name, command in sorted(regraft.commands.items()):
    for parameter in command.params:
        facts = {key: value for key, value in parameter.to_info_dict().items() if key != "help"}
        print(name, json.dumps(facts, default=str, sort_keys=True))
"""


def main() -> int:
    """Compare the working tree with a commit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="commit to compare the working tree with")
    parser.add_argument("--keep", type=Path, help="folder to leave the runs in; a temporary one by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="golden-") as temporary:
        place = arguments.keep or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        base = Path(temporary) / "base"
        _git("worktree", "add", "--detach", "--quiet", str(base), arguments.base)
        try:
            differences = list(_compare(base, place))
        finally:
            _git("worktree", "remove", "--force", str(base))
    print("\n".join(differences) or f"no difference from {arguments.base}")
    return 1 if differences else 0


def _compare(base: Path, place: Path) -> Iterator[str]:
    photos = _photos(place / "photos")
    for name, options in RECIPES.items():
        recipe = [] if "--recipe" in options else ["--recipe", name]
        runs = {tree: place / side / name for side, tree in (("base", base), ("tree", TREE))}
        _regraft(base, "train", str(photos), *recipe, *options, "--seed", "0", "-o", str(runs[base]))
        config = runs[base] / "config.json"
        _regraft(TREE, "train", str(photos), "--config", str(config), "-o", str(runs[TREE]))
        yield from _differences(name, _facts(runs[base]), _facts(runs[TREE]))
    for title, code in (("options", OPTIONS), ("public names", NAMES)):
        before, after = (_python(tree, code) for tree in (base, TREE))
        if before != after:
            yield from (f"{title}: {line}" for line in _lines(before, after))


def _photos(root: Path) -> Path:
    """Write photos of noisy stripes that a linear probe cannot tell apart without mistakes."""
    draw = np.random.default_rng(0)
    for k, (label, count) in enumerate(CLASSES.items()):
        (root / label).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            across = np.arange(SIDE)[:, None] if k == 1 else np.arange(SIDE)[None, :]
            wave = draw.uniform(4, 40) * np.sin(across * (0.2 + 0.06 * k) + draw.uniform(0, 6.3))
            pixels = draw.uniform(90, 160, 3) + wave[..., None] + draw.normal(0, 60, (SIDE, SIDE, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(root / label / f"{i:03}.png")
    return root


def _facts(run: Path) -> dict[str, Any]:
    """Return all that must not change about a run: hashes of files, figures without times, names of events."""
    hashed = ("model.safetensors", "predictions.csv", "manifest.csv", "freeze.json", "history.csv")
    facts: dict[str, Any] = {
        name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in hashed if (run / name).exists()
    }
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    facts["events"] = [f"{event['event']}: {', '.join(event)}" for event in events]
    choices = json.loads((run / "config.json").read_text(encoding="utf-8"))["choices"]
    facts |= {f"choice {name!r}": value for name, value in choices.items() if not name.startswith("seconds per photo")}
    facts["files"] = sorted(file.name for file in run.iterdir())
    return facts | _flat("metrics", json.loads((run / "metrics.json").read_text(encoding="utf-8")))


def _flat(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {} if path.endswith("seconds") else {path: value}
    return {key: leaf for name, part in value.items() for key, leaf in _flat(f"{path}.{name}", part).items()}


def _differences(name: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    missing = object()
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key, missing), after.get(key, missing)
        if isinstance(old, list) and isinstance(new, list):
            yield from (f"{name}: {key}: {line}" for line in _lines("\n".join(map(str, old)), "\n".join(map(str, new))))
        elif old != new:
            texts = ("nothing" if value is missing else value for value in (old, new))
            yield "{}: {}: {} before, {} now".format(name, key, *texts)


def _lines(before: str, after: str) -> list[str]:
    """Return the lines that only one of two texts has, marked with their side."""
    old, new = before.splitlines(), after.splitlines()
    return [f"- {line}" for line in old if line not in new] + [f"+ {line}" for line in new if line not in old]


def _regraft(tree: Path, *arguments: str) -> None:
    _run(tree, "-m", "regraft", *arguments)


def _python(tree: Path, code: str) -> str:
    return _run(tree, "-c", code)


def _run(tree: Path, *arguments: str) -> str:
    with tempfile.TemporaryDirectory(prefix="golden-cache-") as cache:  # no side uses what the other computed
        setting = os.environ | {"PYTHONPATH": str(tree / "src"), "REGRAFT_CACHE": cache}
        done = subprocess.run([sys.executable, *arguments], env=setting, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{tree}: {' '.join(arguments)} exited with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _git(*arguments: str) -> None:
    subprocess.run(["git", "-C", str(TREE), *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
