"""`regraft predict` against its parts: `python benchmarks/predict_speed.py MODEL PHOTOS [--photos 200] [--rounds 5]`.

With `--folders NAME=FOLDER ...`, only the second question is answered, for the photos of these folders as they are.

Three questions. How long does one photo take from the start of the process to the answer, without torch and with it?
How near are folders of photos of 500 pixels and of 12 megapixels to Pillow's own decoding and to the engine alone? And
what does the exact resize in an exported graph cost beside the network?

MODEL is a run folder or a model file; PHOTOS a folder of photos, which are resized to both sizes. Ways alternate; a
ratio is the median over rounds. Rates are per CPU second of the process, which tells more than wall time on a shared
machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from regraft.data.folders.walk import photos_below
from regraft.data.loading.photo_task import load_plain
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing, evaluation_pixels
from regraft.data.threads import default_workers, map_in_order
from regraft.export.export_folder import export_model
from regraft.features.engines.prepared_engine import PreparedEngine
from regraft.inference.prepared import PreparedPredictor, open_predictor
from regraft.process import sleep_while_waiting

_PILLOW, _OWN = "Pillow's decoding and resizing", "decoding and resizing of regraft"
DISTINCT, SIZES = 40, {"500 px": 500, "12 MP": 4000}


def main() -> None:
    """Print the figures of all three questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--photos", dest="most", type=int, default=200, help="photos of each size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folders", nargs="+", default=[], metavar="NAME=FOLDER")
    options = parser.parse_args()
    sleep_while_waiting()
    for name, folder in (pair.split("=", 1) for pair in options.folders):
        folders(name, options.model, list_photos(Path(folder))[: options.most], options.rounds)
    if options.folders:
        return
    sources = list_photos(options.photos)
    with tempfile.TemporaryDirectory() as folder:
        made = {name: resized(sources, Path(folder) / name, side) for name, side in SIZES.items()}
        cold(options.model, made["500 px"][0], options.rounds)
        for name, paths in made.items():
            repeated = [paths[number % len(paths)] for number in range(options.most)]
            folders(name, options.model, repeated, options.rounds)
        resizes(
            options.model, {name: paths[0] for name, paths in made.items()}, Path(folder) / "export", options.rounds
        )


def list_photos(folder: Path) -> list[Path]:
    """Return the photos in a folder."""
    return [path for _, path in photos_below(folder, "", frozenset(), [])]


def resized(sources: list[Path], folder: Path, side: int) -> list[Path]:
    """Write photos whose long side is ``side`` and return their paths."""
    folder.mkdir()
    paths = []
    for number, source in enumerate(sources[:: max(1, len(sources) // DISTINCT)][:DISTINCT]):
        image = Image.open(source).convert("RGB")
        scale = side / max(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        path = folder / f"{number:03}.jpg"
        image.resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(path)
    return paths


def cold(model: Path, photo: Path, rounds: int) -> None:
    """Print wall and CPU seconds of one photo in a process of its own, with torch and without."""
    command = [sys.executable, "-m", "regraft", "predict", str(model), str(photo), "--device", "cpu", "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # prepares the model
    with_torch = [sys.executable, "-c", _UNPREPARED, *command[3:]]
    times: dict[str, list[tuple[float, float]]] = {"with torch": [], "without torch": []}
    for _ in range(rounds):
        for its, one in zip(times.values(), (with_torch, command), strict=True):
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(one, check=True, stdout=subprocess.DEVNULL)
            wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
            its.append((wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    for name, its in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*its, strict=True))
        least = min(one for one, _ in its)
        print(f"one photo, {name:14}  {wall:.2f} s wall ({least:.2f} s at least), {cpu:.2f} s CPU  (n = {rounds})")


_UNPREPARED = """
import sys
from regraft.cli.main import main
from regraft.cli import predict
from regraft.inference import prepared
prepared.open_prepared = lambda *_, **__: None
predict.prepare_later_calls = lambda *_: None
main()
"""


def folders(name: str, model: Path, paths: list[Path], rounds: int) -> None:
    """Print photos per second of a prediction, and of its parts on the same cores."""
    predictor = open_predictor(model, device="cpu")
    assert isinstance(predictor, PreparedPredictor)
    engines = [PreparedEngine(network.graph) for network in predictor.preparation.networks]
    shapes = [one.network.spec.preprocessing for one in predictor.network_passes]
    size = engines[0].batch_size
    batches = [
        np.full((one.batch_size, p.height, p.width, 3), 99, np.uint8) for one, p in zip(engines, shapes, strict=True)
    ]

    def load(path: Path) -> None:
        for p in shapes:
            load_plain(Entry("", path, "", ""), p)

    def run_networks(_: object) -> None:
        for engine, batch in zip(engines, batches, strict=True):
            for _ in range(0, size, engine.batch_size):
                engine.run(batch)

    ways: dict[str, Callable[[], int]] = {
        "regraft predict": lambda: len(list(predictor.stream(paths))),
        "Pillow's decoding": lambda: _mapped(_decoded, paths),
        _PILLOW: lambda: _mapped(lambda path: [_pillows_pixels(path, p) for p in shapes], paths),
        _OWN: lambda: _mapped(load, paths),
        "engine alone": lambda: size * _mapped(run_networks, list(range(len(paths) // size))),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            started = time.process_time()
            done = run()
            rates[way].append(done / (time.process_time() - started))
    own = rates.pop("regraft predict")
    print(f"{name}: regraft predict {statistics.median(own):.1f} photos per CPU second  (n = {len(paths)})")
    for way, its in rates.items():
        ratio = statistics.median(a / b for a, b in zip(own, its, strict=True))
        print(f"  {way:40} {statistics.median(its):8.1f}   ratio {ratio:.2f}")
    for way in (_PILLOW, _OWN):
        limits = [1 / (1 / a + 1 / b) for a, b in zip(rates[way], rates["engine alone"], strict=True)]
        ratio = statistics.median(a / b for a, b in zip(own, limits, strict=True))
        print(f"  {way + ', and the engine':40} {statistics.median(limits):8.1f}   ratio {ratio:.2f}")


def _mapped(work: Callable[..., object], items: list[object] | list[Path]) -> int:
    return sum(1 for _ in map_in_order(work, items, workers=default_workers(), ahead=2 * default_workers()))


def _decoded(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def _pillows_pixels(path: Path, p: Preprocessing) -> np.ndarray:
    """Return the pixels for the network as a program by Pillow's documentation computes them, without any check."""
    image = Image.open(path)
    scale = min(image.width // (2 * p.at_least[0]), image.height // (2 * p.at_least[1]))
    if scale > 1:
        image.draft("RGB", (image.width // scale, image.height // scale))
    return evaluation_pixels(image.convert("RGB"), p)


def resizes(model: Path, photos: dict[str, Path], out: Path, rounds: int) -> None:
    """Print CPU milliseconds of an exported graph, of the network alone, and of Pillow's resize, for each size."""
    import onnxruntime

    whole = export_model(model, out / "photo").file
    network = export_model(model, out / "tensor", input="tensor").file
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    open_file = lambda path: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])  # noqa: E731
    sessions = open_file(whole), open_file(network)
    shape = [size if isinstance(size, int) else 1 for size in sessions[1].get_inputs()[0].shape]
    tensor = np.zeros(shape, np.float32)
    predictor = open_predictor(model, device="cpu")
    p = predictor.network_passes[0].network.spec.preprocessing  # type: ignore[attr-defined]
    for name, path in photos.items():
        image = Image.open(path).convert("RGB")
        photo = np.asarray(image)
        ways: dict[str, Callable[[], object]] = {
            "exported file": lambda photo=photo: sessions[0].run(None, {"photo": photo}),
            "network alone": lambda: sessions[1].run(None, {"tensor": tensor}),
            "Pillow's resize": lambda image=image: evaluation_pixels(image, p),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(max(rounds, 5)):
            for way, run in ways.items():
                started = time.thread_time()
                run()
                times[way].append(1000 * (time.thread_time() - started))
        file, alone, pillow = (statistics.median(its) for its in times.values())
        exact = file - alone
        print(f"{name} in full ({image.width} x {image.height}): file {file:.1f} ms, network {alone:.1f} ms")
        print(f"  exact resize {exact:.1f} ms = {exact / alone:.2f} of the network; Pillow's resize {pillow:.1f} ms")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
