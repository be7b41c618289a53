"""The pass that computes features, against its parts: `python benchmarks/feature_pass.py PHOTOS [--photos 1000]`.

Two questions. How near is a pass, which decodes while the network runs, to the sum of decoding alone and the network
alone on the same cores? 1 means that nothing is lost between them; more means that waiting for the disk is hidden. And
are 100 photos with nothing prepared, set-up and choice of the engine included, done as soon as torch in bfloat16 has
them: the network as timm makes it (plain), and regraft's own engine, whose features are not certified for the default
network? Parts alternate in short turns; a ratio is the median over turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from regraft.data.loading.loader import decode_in_order
from regraft.data.loading.photo_task import load_plain
from regraft.data.manifest import Entry, scan
from regraft.data.preprocessing import normalise
from regraft.data.source import find_photos
from regraft.data.threads import default_workers, map_in_order
from regraft.features.engines.certification import certify, real_photos
from regraft.features.engines.engine import EagerEngine
from regraft.features.engines.engine_choice import candidates, choose_engine, make_engine
from regraft.features.engines.engine_interface import Engine
from regraft.features.extract import extract
from regraft.features.stores.store import MemoryStore
from regraft.models.backbone import Backbone
from regraft.models.zoo import build_backbone
from regraft.process import keep_freed_memory, sleep_while_waiting

SMALL, PAIRS, TURN = 100, 5, 200
KINDS = ("chosen", "plain bf16", "own bf16", "own bf16 with its certification")


def main() -> None:
    """Print the ratios for every engine, then those for a small folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--photos", dest="most", type=int, default=1000, help="photos in all")
    parser.add_argument("--engine", action="append", help="an engine by its name; all that are here if not given; none")
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sleep_while_waiting()
    keep_freed_memory()
    entries = scan(find_photos(options.photos, one_class=True), workers=default_workers()).usable
    if options.child:
        print(json.dumps(small(entries[:: max(1, len(entries) // SMALL)][:SMALL], options.child)))
        return
    backbone = build_backbone()
    for title in () if options.engine == ["none"] else options.engine or candidates():
        parts(make_engine(title, backbone), backbone, entries[: options.most])
    start(options.photos)


def parts(engine: Engine, backbone: Backbone, entries: list[Entry]) -> None:
    """Compare passes over pieces of ``entries`` with decoding alone and the network alone."""
    extract(entries[:32], backbone, engine)  # ready and warm
    ratios, speeds = [], []
    for first in range(0, len(entries), TURN):
        some = entries[first : first + TURN]
        if len(some) < TURN // 2 and ratios:
            break
        begun = time.perf_counter()
        for _ in decode_in_order(some, lambda e: load_plain(e, backbone.spec.preprocessing), batch_size=8):
            pass
        decoding = time.perf_counter() - begun
        network = alone(engine, backbone, len(some))
        begun = time.perf_counter()
        extract(some, backbone, engine)
        whole = time.perf_counter() - begun
        ratios.append((decoding + network) / whole)
        speeds.append((len(some) / decoding, len(some) / network, len(some) / whole))
    decoded, ran, done = (statistics.median(column) for column in zip(*speeds, strict=True))
    print(
        f"{engine.title:18} decoding {decoded:5.0f} · network {ran:5.0f} · pass {done:5.0f} photos/s · "
        f"pass at {statistics.median(ratios):.2f} of the sum of its parts",
        flush=True,
    )


def alone(engine: Engine, backbone: Backbone, count: int) -> float:
    """Return the seconds that the network takes for ``count`` photos that are in memory."""
    p = backbone.spec.preprocessing
    pixels = np.random.default_rng(0).integers(0, 256, (engine.batch_size, p.height, p.width, 3), dtype=np.uint8)
    workers = engine.streams if engine.streams > 1 else 0
    batches = range(-(-count // engine.batch_size))
    begun = time.perf_counter()
    for _ in map_in_order(lambda _: engine.run(pixels), batches, workers=workers, ahead=engine.streams + 1):
        pass
    return time.perf_counter() - begun


def start(photos: Path) -> None:
    """Compare what is chosen for 100 photos with torch in bfloat16, each in a process of its own, nothing prepared."""
    turns: dict[str, list[float]] = {kind: [] for kind in KINDS}
    title = ""
    for _ in range(PAIRS):
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as cache:
                command = [sys.executable, __file__, str(photos), "--child", kind]
                environment = {**os.environ, "REGRAFT_CACHE": cache}
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
            found = json.loads(done.stdout.decode().splitlines()[-1])
            turns[kind].append(found["seconds"])
            title = found["engine"] if kind == "chosen" else title
    for kind in KINDS[1:]:
        ratios = [other / ours for other, ours in zip(turns[kind], turns["chosen"], strict=True)]
        seconds = statistics.median(turns["chosen"])
        print(
            f"{SMALL} photos, nothing prepared: {title}, {seconds:.2f} s, "
            f"is {statistics.median(ratios):.2f} × as fast as {kind}"
        )


def small(entries: list[Entry], kind: str) -> dict[str, object]:
    """Return the seconds from a built network to the features of ``entries``."""
    backbone = build_backbone()
    begun = time.perf_counter()
    if kind == "plain bf16":
        plain(entries, backbone)
        return {"seconds": time.perf_counter() - begun, "engine": kind}
    weights = backbone.weights_hash()
    if kind.startswith("own bf16"):
        engine: Engine = EagerEngine(backbone, precision="bf16")
        if kind.endswith("certification"):
            certify(engine, backbone, real_photos(entries, backbone))
    else:
        engine = choose_engine(backbone, entries, MemoryStore(), weights=weights).engine_for(backbone)
    extract(entries, backbone, engine, weights=weights)
    return {"seconds": time.perf_counter() - begun, "engine": engine.title}


def plain(entries: list[Entry], backbone: Backbone) -> None:
    """Compute the features as a script would: the network as it is, channels-last, autocast, batches of 32."""
    p = backbone.spec.preprocessing
    network = backbone.network.eval().to(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for batch in decode_in_order(entries, lambda e: load_plain(e, p), batch_size=32):
            network(normalise(batch.pixels, p))


if __name__ == "__main__":
    main()
