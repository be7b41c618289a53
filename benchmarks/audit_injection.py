"""What the check finds of faults that were put into real photos: `python benchmarks/audit_injection.py PHOTOS …`.

For each folder of photos: 100 exact copies and 300 near-copies are added, and copies are sought; then 150 labels are
made wrong, and wrong labels are sought, ten times with other labels, as single injections differ by up to 0.07. Photos
whose own label is wrong count as mistakes. What the photos hold of genuine near-copies is listed in GENUINE (a CSV of
first,second, names relative to PHOTOS, checked by eye); pairs that are neither injected nor listed count as mistakes,
unless no list is given: then they are printed, to be looked at. Beside it, where they are installed: perceptual hashes
(ImageHash), imagededup and cleanlab, on the same photos and the same probabilities.
"""

from __future__ import annotations

import argparse
import csv
import functools
import importlib.util
import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from _near_copies import KINDS, write_near_copy

from regraft.audit.checks.labels import rank_by_suspicion
from regraft.audit.duplicates import detect_duplicates
from regraft.audit.photo_stats_store import PhotoStatsStore
from regraft.data.manifest import scan
from regraft.data.source import find_photos
from regraft.features.engines.engine import EagerEngine
from regraft.features.extract import extract
from regraft.features.stores.store import MemoryStore
from regraft.inference.device import pick_device
from regraft.models.backbone import Backbone
from regraft.models.zoo import build_backbone
from regraft.probe.label_noise import reweighted_probabilities
from regraft.probe.linear_probe import fit_probe
from regraft.recipes.steps.input_size import size_for
from regraft.screen import QuietScreen
from regraft.workflows.label_review import LabeledPhotos, fine_tuned_label_probabilities

EXACT, NEAR, WRONG = 100, 300, 150
INJECTIONS = 10
Pair = frozenset[str]


def main() -> None:
    """Run both halves and print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--genuine", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", action="store_true", help="also perceptual hashes, imagededup and cleanlab")
    parser.add_argument("--half", choices=["copies", "labels"], help="only this half")
    parser.add_argument("--injections", type=int, default=INJECTIONS, help="of wrong labels")
    parser.add_argument("--thorough", action="store_true", help="also the third look at labels: minutes an injection")
    given = parser.parse_args()
    if given.half != "labels":
        copies(given)
    if given.half != "copies":
        seeds = range(given.seed, given.seed + given.injections)
        Bench(given.photos).labels(seeds, peers=given.peers, thorough=given.thorough)


def copies(given: argparse.Namespace) -> None:
    """Run the half about copies."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "photos")
        injected, kinds = inject(given.photos, root, random.Random(given.seed))  # noqa: S311
        genuine = read_pairs(given.genuine) if given.genuine else None
        bench = Bench(root)
        bench.copies(injected, kinds, genuine)
        if given.peers:
            bench.hashes(injected, genuine)
            if importlib.util.find_spec("imagededup"):  # it brings packages that regraft's own extras do not ask for
                bench.imagededup(injected, genuine)


def inject(photos: Path, root: Path, draw: random.Random) -> tuple[set[Pair], dict[Pair, str]]:
    """Link the photos below ``root``, add copies, and return the injected near pairs and what was done to each."""
    source = find_photos(photos).photos
    for photo in source:
        (root / photo.name).parent.mkdir(parents=True, exist_ok=True)
        (root / photo.name).symlink_to(photo.path.resolve())
    good = [entry for entry in scan(find_photos(root), workers=2).usable if _opens(entry.path)]
    chosen = draw.sample(good, min(EXACT + NEAR, len(good)))
    exact = len(chosen) * EXACT // (EXACT + NEAR)
    for k, entry in enumerate(chosen[:exact]):
        shutil.copyfile(entry.path, (root / entry.name).parent / f"exact {k}{entry.path.suffix}")
    kinds = {}
    for k, entry in enumerate(chosen[exact:]):
        kind = list(KINDS)[k % len(KINDS)]
        name = f"{entry.name.rpartition('/')[0]}/near {k} {kind}.jpg"
        write_near_copy(entry.path, root / name, kind, draw)
        kinds[frozenset((entry.name, name))] = kind
    return set(kinds), kinds


def _opens(path: Path) -> bool:
    from regraft.data.decode import read_photo
    from regraft.errors import DecodeError

    try:
        read_photo(path, at_least=(64, 64))
    except DecodeError:
        return False
    return True


def read_pairs(file: Path) -> set[Pair]:
    """Return the genuine pairs of a CSV of first,second."""
    with file.open(encoding="utf-8") as rows:
        return {frozenset((row["first"], row["second"])) for row in csv.DictReader(rows)}


class Bench:
    """Photos with their features and stats."""

    def __init__(self, root: Path) -> None:
        backbone, store = build_backbone(), MemoryStore()
        self._store, self._preprocessing = store, backbone.spec.preprocessing
        looks = PhotoStatsStore(backbone.spec.preprocessing, store)
        entries = scan(find_photos(root), workers=2).usable
        begun = time.monotonic()
        found = extract(entries, backbone, EagerEngine(backbone), store, load=looks.load)
        self.pass_seconds = time.monotonic() - begun
        self.entries = [entries[int(row)] for row in found.rows]
        self.features = found.values
        self.photo_stats = looks.get(self.entries)

    def copies(self, injected: set[Pair], kinds: dict[Pair, str], genuine: set[Pair] | None) -> None:
        """Measure regraft's own search."""
        begun = time.monotonic()
        found = detect_duplicates(self.entries, self.features, self.photo_stats)
        seconds = time.monotonic() - begun
        pairs = {self._pair(a, b) for a, b in found.near.pairs.tolist()}
        missed: dict[str, int] = {}
        for pair in injected - self._same(pairs):
            missed[kinds[pair]] = missed.get(kinds[pair], 0) + 1
        exact = sum(len(members) - 1 for members in found.by_bytes)
        print(json.dumps({"search": "regraft", **self._score(pairs, injected, genuine), "missed": missed,
                          "exact_copies_found": exact, "seconds": round(seconds, 2),
                          "features_seconds": round(self.pass_seconds, 2)}), flush=True)  # fmt: skip
        if genuine is None:
            for pair in sorted(tuple(sorted(p)) for p in self._strange(pairs, injected)):
                print(",".join(pair))

    def hashes(self, injected: set[Pair], genuine: set[Pair] | None) -> None:
        """Measure plain perceptual hashes, at the distance that serves them best here."""
        import imagehash
        from PIL import Image

        begun = time.monotonic()
        codes = np.array([imagehash.phash(Image.open(entry.path)).hash.ravel() for entry in self._unique_entries])
        best: dict[str, Any] = {}
        for most in range(0, 17, 2):
            pairs = {self._names(a, b) for a, b in _within(codes, most)}
            score = self._score(pairs, injected, genuine)
            if score["f1"] > best.get("f1", -1):
                best = {"search": f"perceptual hash, distance ≤ {most}", **score}
        print(json.dumps({**best, "seconds": round(time.monotonic() - begun, 2)}), flush=True)

    def imagededup(self, injected: set[Pair], genuine: set[Pair] | None) -> None:
        """Measure imagededup's hashes, each at the distance that serves it best here (its network needs a download)."""
        from imagededup.methods import DHash, PHash

        entries = self._unique_entries
        for method in (PHash, DHash):
            begun = time.monotonic()
            hasher = method(verbose=False)
            encoded = {str(k): hasher.encode_image(str(entry.path)) for k, entry in enumerate(entries)}
            encoded = {name: code for name, code in encoded.items() if code is not None}
            best: dict[str, Any] = {}
            for most in range(0, 17, 4):
                found = hasher.find_duplicates(encoding_map=encoded, max_distance_threshold=most)
                pairs = {self._names(int(a), int(b)) for a, others in found.items() for b in others}
                score = self._score(pairs, injected, genuine)
                if score["f1"] > best.get("f1", -1):
                    best = {"search": f"imagededup {method.__name__}, distance ≤ {most}", **score}
            print(json.dumps({**best, "seconds": round(time.monotonic() - begun, 2)}), flush=True)

    def labels(self, seeds: Iterable[int], *, peers: bool, thorough: bool) -> None:
        """Make labels wrong, once for each seed, and measure how many of them are among the first."""
        groups = detect_duplicates(self.entries, self.features, self.photo_stats).groups
        together = [groups.get(entry.content, entry.content) for entry in self.entries]
        rows = []
        for seed in seeds:
            found = [*self._injection(seed, together, peers, thorough)]
            if thorough:
                both = {row["wrong_labels"]: [row["precision"], row["recall_at_twice"]] for row in found}
                print(json.dumps({"seed": seed, "precision and recall": both}), flush=True)
            rows += found
        for name in dict.fromkeys(row["wrong_labels"] for row in rows):
            of = [row for row in rows if row["wrong_labels"] == name]
            spread = {key: _spread([row[key] for row in of]) for key in list(of[0])[2:]}
            head = {"wrong_labels": name, "injections": len(of), "injected": of[0]["injected"]}
            print(json.dumps(head | spread), flush=True)

    def _injection(self, seed: int, groups: list[str], peers: bool, thorough: bool) -> Iterable[dict[str, Any]]:
        names = sorted({entry.label for entry in self.entries})
        y = np.array([names.index(entry.label) for entry in self.entries])
        draw = np.random.default_rng(seed)
        wrong = draw.choice(len(y), min(WRONG, len(y) // 10), replace=False)
        noisy = y.copy()
        noisy[wrong] = (y[wrong] + draw.integers(1, len(names), len(wrong))) % len(names)
        given: dict[str, Any] = {"classes": len(names), "groups": groups, "keys": [e.content for e in self.entries]}
        begun = time.monotonic()
        probe = fit_probe(self.features, noisy, **given)
        assert probe.oof is not None
        first = time.monotonic() - begun
        twice = reweighted_probabilities(self.features, noisy, probe, **given)
        seconds = {"regraft": time.monotonic() - begun}
        bad = np.isin(np.arange(len(y)), wrong)
        orders = {
            "regraft": rank_by_suspicion(twice, noisy),
            "regraft, first look alone": rank_by_suspicion(probe.oof, noisy),
        }
        if thorough:
            third = fine_tuned_label_probabilities(
                LabeledPhotos(self.entries, noisy, groups, twice),
                self._small,
                store=self._store,
                device=pick_device(),
                workers=None,
                screen=QuietScreen(),
            )
            orders["regraft --thorough"] = rank_by_suspicion(third, noisy)
            seconds["regraft --thorough"] = time.monotonic() - begun
        if peers:
            from cleanlab.rank import get_label_quality_scores

            scores = {m: get_label_quality_scores(noisy, probe.oof, method=m) for m in _CLEANLAB}
            orders |= {f"cleanlab {m}": np.argsort(score, kind="stable") for m, score in scores.items()}
        n = len(wrong)
        for name, order in orders.items():
            yield {"wrong_labels": name, "injected": n, "precision": float(bad[order[:n]].mean()),
                   "recall_at_twice": float(bad[order[: 2 * n]].sum() / n), "probe_accuracy": probe.cv_accuracy,
                   "seconds": seconds.get(name, first)}  # fmt: skip

    @functools.cached_property
    def _small(self) -> Backbone:
        """The network at the size that `regraft check --thorough` takes."""
        return build_backbone(size=size_for(self.photo_stats.median_side, self._preprocessing))

    @functools.cached_property
    def _unique_entries(self) -> list[Any]:
        return list({entry.content: entry for entry in reversed(self.entries)}.values())

    def _pair(self, a: int, b: int) -> Pair:
        return frozenset((self.entries[a].name, self.entries[b].name))

    def _names(self, a: int, b: int) -> Pair:
        entries = self._unique_entries
        return frozenset((entries[a].name, entries[b].name))

    def _same(self, pairs: Iterable[Pair]) -> set[Pair]:
        """Return the pairs by the first names of their contents, so that exact copies are as good as what they copy."""
        return {frozenset(self._first[name] for name in pair) for pair in pairs}

    @functools.cached_property
    def _first(self) -> dict[str, str]:
        first: dict[str, str] = {}
        for entry in sorted(self.entries, key=lambda entry: "exact " in entry.name):
            first.setdefault(entry.content, entry.name)
        return {entry.name: first[entry.content] for entry in self.entries}

    def _strange(self, pairs: set[Pair], injected: set[Pair]) -> set[Pair]:
        """Return what is neither injected nor follows from it."""
        origin = {name: other for pair in injected for name, other in _both(pair) if "near " in name}
        back = {frozenset(origin.get(name, name) for name in pair) for pair in self._same(pairs) - injected}
        return {pair for pair in back if len(pair) == 2}

    def _score(self, pairs: set[Pair], injected: set[Pair], genuine: set[Pair] | None) -> dict[str, Any]:
        found = len(injected & self._same(pairs))
        strange = self._strange(pairs, injected)
        mistakes = len(strange if genuine is None else strange - genuine)
        precision = 1 - mistakes / max(1, len(self._same(pairs)))
        recall = found / max(1, len(injected))
        f1 = 2 * precision * recall / max(1e-9, precision + recall)
        return {"recall": round(recall, 4), "precision": round(precision, 4), "f1": f1, "pairs": len(pairs),
                "neither_injected_nor_listed": mistakes}  # fmt: skip


_CLEANLAB = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(values)), 3), "least": round(min(values), 3), "most": round(max(values), 3)}


def _both(pair: Pair) -> list[tuple[str, str]]:
    a, b = pair
    return [(a, b), (b, a)]


def _within(codes: np.ndarray, most: int) -> Iterable[tuple[int, int]]:
    signs = codes.astype(np.float32) * 2 - 1
    distance = (codes.shape[1] - signs @ signs.T) / 2
    return [(int(a), int(b)) for a, b in np.argwhere(np.triu(distance <= most, 1))]


if __name__ == "__main__":
    main()
