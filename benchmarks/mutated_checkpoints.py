"""Damage checkpoints in every way, load them, and count what comes of it.

    python benchmarks/mutated_checkpoints.py [--count 10000] [--seed 0]

Snapshots, model files and what `Trainer.save` writes in each format are truncated, bits in them are flipped, blocks
lost or swapped, their headers edited (sizes, shapes, types, offsets, deep nesting, crowds of empty lists), some with a
checksum that fits again, or they are replaced by pickles that run something. Each is loaded in a process of its own
kind: forked, with a limit on its memory. Allowed are a clear error (a `RegraftError`), the snapshot before, the content
as it was, and what a checksum says that was made to fit. Everything else is a fault, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import _mutations as mutations

FINE = ("clear error", "fallback", "correct", "as signed")
SLOW = 1.0
"""Seconds of the processor after which a load counts as hanging."""
MARGIN = 16 << 20
"""Bytes that a load may take beside twice the size of its file: a network, modules imported late."""
TINY = "test_resnet.r160_in1k"


@dataclass(frozen=True)
class Target:
    """A file to damage, and how it is loaded.

    Attributes:
        name: what it is.
        suffix: of the file; says which damage is possible.
        data: the whole file.
        load: loads what lies in a folder under ``file_name`` and says ``"correct"``, ``"fallback"`` or ``"wrong"``.
        file_name: name that the file must have.
        beside: other files that lie in the folder, by name.
    """

    name: str
    suffix: str
    data: bytes
    load: Callable[[Path], str]
    file_name: str
    beside: dict[str, bytes]


def targets(folder: Path) -> list[Target]:
    """Write one of each kind of file below ``folder``, and return them."""
    found = [*_snapshots(folder / "snapshots"), _model(folder)]
    for suffix in (".safetensors", ".keras", ".h5", ".pt"):
        found += _trainers(folder, suffix)
    return found


def _state(number: int) -> dict[str, Any]:
    import torch

    draw = torch.Generator().manual_seed(number)
    weights = {f"w{i}": torch.randn(8 + i, 16, 3, 3, generator=draw) for i in range(6)}
    weights["last"] = torch.randn(4, 8, 3, 3, generator=draw).contiguous(memory_format=torch.channels_last)
    return {
        "module": weights,
        "optimizer": {0: {"step": torch.tensor(float(number)), "m": torch.randn(300, 200, generator=draw)}},
        "history": {"loss": [0.5, float("nan"), number], "tuple": (1, "é", None, b"\0\xff")},
        "rng": torch.arange(5056, dtype=torch.uint8),
    }


def _snapshots(folder: Path) -> list[Target]:
    from regraft.training import Snapshots

    snapshots = Snapshots(folder, identity={"stage": "all"})
    for number in (1, 2):
        snapshots.save(_state(number), wait=True)
    snapshots.close()
    old, new = [(folder / name).read_bytes() for name in Snapshots.SLOTS]
    known = {_seen(_state(1)): "fallback", _seen(_state(2)): "correct"}

    def load(path: Path) -> str:
        state = Snapshots(path, identity={"stage": "all"}).newest()
        return known.get(_seen(state), "wrong")

    a, b = Snapshots.SLOTS
    return [
        Target("snapshot, the other whole", ".safetensors", new, load, b, {a: old}),
        Target("snapshot before, the newest whole", ".safetensors", old, load, a, {b: new}),
        Target("snapshot, no other", ".safetensors", new, load, b, {}),
        Target("snapshot, the other cut short", ".safetensors", new, load, b, {a: old[:5000]}),
    ]


def _model(folder: Path) -> Target:
    import torch

    from regraft.models.classifier import Classifier
    from regraft.models.model_file import load_classifier, save_classifier
    from regraft.models.zoo import build_backbone

    classifier = Classifier(build_backbone(TINY, pretrained=False, size=64), ["ant", "bee", "cat"])
    torch.nn.init.normal_(classifier.head.weight)
    path = folder / "model.safetensors"
    save_classifier(path, classifier, {"recipe": "fine-tune"})

    def everything(one: Any) -> str:
        return _seen([dict(one.state_dict()), list(one.classes), one.backbone.spec.as_dict()])

    whole = everything(load_classifier(path))

    def load(found: Path) -> str:
        return "correct" if everything(load_classifier(found / path.name)) == whole else "wrong"

    return Target("model.safetensors", ".safetensors", path.read_bytes(), load, path.name, {})


def _trainers(folder: Path, suffix: str) -> list[Target]:
    import torch

    from regraft.training import Trainer

    def make(seed: int) -> Any:
        torch.manual_seed(seed)
        module = torch.nn.Sequential(
            torch.nn.Conv2d(3, 24, 3), torch.nn.BatchNorm2d(24), torch.nn.Flatten(), torch.nn.Linear(24 * 36, 40)
        )
        return Trainer(module, "adam", "cross_entropy", ema=0.9)

    trainer, path = make(0), folder / f"model{suffix}"
    trainer.fit(torch.randn(8, 3, 8, 8), torch.arange(8), verbose=0)
    trainer.save(path)
    weights = _seen(dict(trainer.module.state_dict()))
    state = _seen(trainer.optimizer.torch.state_dict()["state"])
    other = make(1)
    before = _seen(dict(other.module.state_dict()))

    def load(found: Path) -> str:
        one = make(1)
        try:
            one.load(found / path.name)
        except BaseException:
            assert _seen(dict(one.module.state_dict())) == before, "half of a file was taken"
            raise
        same = _seen(dict(one.module.state_dict())) == weights
        return "correct" if same and _seen(one.optimizer.torch.state_dict()["state"]) == state else "wrong"

    def load_weights(found: Path) -> str:
        one = make(1)
        one.load_weights(found / path.name)
        return "correct" if _seen(dict(one.module.state_dict())) == weights else "wrong"

    data = path.read_bytes()
    return [
        Target(f"Trainer.load {suffix}", suffix, data, load, path.name, {}),
        Target(f"Trainer.load_weights {suffix}", suffix, data, load_weights, path.name, {}),
    ]


def _seen(value: Any) -> str:
    """Return a fingerprint of a state: types, figures, texts, shapes, strides and bytes."""
    import hashlib

    from regraft.training.state_format import block_of, flatten

    text, tensors = flatten(value, "")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name, tensor in tensors.items():
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape), tensor.stride())).encode())
        digest.update(block_of(tensor).data)
    return digest.hexdigest()


def damaged(target: Target, number: int, seed: int, marker: Path) -> tuple[str, bytes]:
    """Return the damage number ``number`` to a file, and its name; a pure function of the arguments."""
    draw = random.Random(f"{seed}/{number}/{target.name}")  # noqa: S311 (no secret)
    if draw.random() < 0.04:
        return "bomb", mutations.bomb(marker, draw)
    damage = draw.choice(mutations.BY_SUFFIX[target.suffix])
    return damage.__name__, damage(target.data, draw)


def outcome(target: Target, folder: Path, what: str) -> str:
    """Load the file in ``folder`` in this process, and say what came of it."""
    from regraft.errors import RegraftError

    size = sum(path.stat().st_size for path in folder.iterdir())
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    begun = time.process_time()
    try:
        found = target.load(folder)
    except RegraftError as error:
        found = "clear error" if not _out_of_memory(error) and len(str(error)) < 20_000 else "memory"
    except BaseException as error:  # noqa: BLE001 (whatever it is, it is counted)
        found = f"other error: {type(error).__name__}: {str(error)[:200]}"
    if time.process_time() - begun > SLOW:
        return f"hang: {time.process_time() - begun:.1f} s"
    taken = _memory("VmHWM") - before
    if taken > 2 * size + MARGIN:
        return f"memory: {taken / 1e6:,.0f} MB for a file of {size / 1e6:,.1f} MB"
    if found == "wrong" and what in {damage.__name__ for damage in mutations.ON_PURPOSE}:
        return "as signed"
    return found


def _out_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError) or "allocate" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _memory(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) << 10


def worker(chosen: list[tuple[Target, int]], seed: int, folder: Path, pipe: Any) -> None:
    """Damage and load one file after the other in this process, and send what came of each."""
    import torch

    torch.set_num_threads(1)
    marker = folder / "marker"
    room = folder / "room"
    for target, number in chosen:
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir()
        what, data = damaged(target, number, seed, marker)
        for name, content in {**target.beside, target.file_name: data}.items():
            (room / name).write_bytes(content)
        pipe.send(("begin", target.name, number, what))
        limit = _memory("VmSize") + 2 * len(data) + (256 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        found = outcome(target, room, what)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        if marker.exists():
            found = "code was run"
            marker.unlink()
        pipe.send(("end", target.name, number, what, found))
    pipe.send(("done",))


def results(chosen: list[tuple[Target, int]], seed: int, longest: float = 30.0) -> Iterator[tuple[str, int, str, str]]:
    """Yield what came of each damaged file: its kind, number, damage and outcome; processes that die are replaced."""
    context = multiprocessing.get_context("fork")
    rest = list(chosen)
    while rest:
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=worker, args=(rest, seed, Path(folder), theirs))
            process.start()
            theirs.close()
            current: tuple[Any, ...] = ("nothing", -1, "nothing")
            try:
                while (said := ours.recv() if ours.poll(longest) else None) is not None and said[0] != "done":
                    current = said[1:4]
                    if said[0] == "end":
                        rest.pop(0)
                        yield said[1:]
                if said is None:
                    os.kill(process.pid or 0, signal.SIGKILL)
                    rest.pop(0)
                    yield (*current, f"hang: over {longest:.0f} s")
            except EOFError:
                process.join()
                rest.pop(0)
                yield (*current, f"crash: exit code {process.exitcode}")
            process.join()


def faults(count: int, seed: int, show: Callable[[str, str], None]) -> list[str]:
    """Damage ``count`` files, the kinds taking turns; tell ``show`` the kind and the outcome of each, return faults."""
    with tempfile.TemporaryDirectory() as folder:
        found = targets(Path(folder))
        chosen = [(found[number % len(found)], number) for number in range(count)]
        bad = []
        for name, number, what, result in results(chosen, seed):
            show(name, result.split(":")[0])
            if result not in FINE:
                bad.append(f"{name} #{number} {what}: {result}")
        return bad


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table: dict[str, Counter[str]] = {}

    def show(name: str, kind: str) -> None:
        table.setdefault(name, Counter())[kind if kind in FINE else "faults"] += 1

    bad = faults(options.count, options.seed, show)
    table["all"] = sum(table.values(), Counter())
    kinds = (*FINE, "faults")
    print(f"{'':36}" + "".join(f"{kind:>14}" for kind in kinds))
    for name, counts in table.items():
        print(f"{name:36}" + "".join(f"{counts[kind]:>14,}" for kind in kinds))
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
