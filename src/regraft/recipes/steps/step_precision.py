"""Whether training steps run in bfloat16 or in single precision: measured where the processor could gain from it."""

from __future__ import annotations

import copy
import json
import statistics
import time
from typing import Literal

import torch

from regraft.cache_dir import cache_folder
from regraft.context.run_context import Job
from regraft.disk.atomic import write_json
from regraft.features.activations import channels_last
from regraft.features.processor import has_bf16
from regraft.models.classifier import Classifier
from regraft.process import cores
from regraft.run.environment import processor_name

Precision = Literal["fp32", "bf16"]

WORTH_MEASURING = 3000
"""Photos through training steps below which a measurement would cost more than it could save."""

LARGE = 20_000_000
"""Parameters from which on bfloat16 is worth its set-up on CUDA."""

CLEAR_GAIN = 1.2
"""How much faster bfloat16 must be; below that its rounding buys nothing, and noise could decide."""


def training_precision(job: Job, classifier: Classifier, batch_size: int, photo_steps: int) -> Precision:
    """Return the precision of training steps: as asked for, by rule, or measured once on this machine.

    On CUDA it is bfloat16 where the device has it and the network is large: steps of a small one wait for their kernels
    to be launched, and finding those takes three times as long. (An H100 took 16.6 ms in single precision and 15.3 in
    bfloat16 for 16 photos, 16.0 and 16.8 for 32; the first step 4.8 s and 14.1 s.) On a processor both are timed on
    real steps, unless the processor has no bfloat16 arithmetic or there is little to train. Weights, their updates and
    the normalisation stay in single precision either way (autocast).
    """
    if job.config.precision != "auto":
        return "bf16" if job.config.precision == "bf16" else "fp32"
    if job.device.type == "cuda":
        large = job.backbone.spec.parameters >= LARGE
        return "bf16" if large and torch.cuda.is_bf16_supported() else "fp32"
    if job.device.type != "cpu" or not has_bf16() or photo_steps < WORTH_MEASURING:
        return "fp32"
    gain = job.choose(
        "bf16 gain", "timed training steps", lambda: bf16_gain(job.backbone.spec.name, classifier, batch_size)
    )
    chosen: Precision = "bf16" if gain >= CLEAR_GAIN else "fp32"
    job.screen.line("steps", f"{chosen} · bf16 runs a training step {gain:.2f} times as fast as fp32 here")
    return chosen


def step_seconds(classifier: Classifier, batch_size: int, precision: Precision = "fp32", steps: int = 3) -> float:
    """Return the median time in seconds of a training step on a copy of ``classifier``, after one that warms up."""
    timer = _Steps(classifier, batch_size)
    timer.step(precision)
    return statistics.median(timer.step(precision) for _ in range(steps))


def measured_step_seconds(what: str, classifier: Classifier, batch_size: int) -> float:
    """Return `step_seconds` in single precision, measured once on each machine.

    Args:
        what: names the network, its size, what of it is trained, and the batch size.
        classifier: what would be trained.
        batch_size: photos in a step.
    """
    known = _Measured(f"step {what}")
    seconds = known.get()
    if seconds is None:
        seconds = round(step_seconds(classifier, batch_size), 4)
        known.put(seconds)
    return seconds


def bf16_gain(name: str, classifier: Classifier, batch_size: int) -> float:
    """Return how many times as fast a training step is in bfloat16, measured once on each machine.

    Args:
        name: of the network.
        classifier: what is trained.
        batch_size: photos in a step.
    """
    known = _Measured(f"{name} {batch_size} {classifier.trainable_blocks}")
    gain = known.get()
    if gain is None:
        timer = _Steps(classifier, batch_size)
        timer.step("fp32"), timer.step("bf16")
        pairs = [timer.step("fp32") / timer.step("bf16") for _ in range(3)]
        gain = round(statistics.median(pairs), 2)
        known.put(gain)
    return gain


class _Steps:
    """Training steps on a copy of a classifier with invented photos; the classifier itself is not touched."""

    def __init__(self, classifier: Classifier, batch_size: int) -> None:
        self._copy = copy.deepcopy(classifier).train()
        self._device = next(self._copy.parameters()).device
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(batch_size, *classifier.backbone.input_shape, generator=generator)
        self._x = channels_last(x.to(self._device))
        self._y = torch.arange(batch_size, device=self._device) % len(classifier.classes)

    def step(self, precision: Precision) -> float:
        begun = time.perf_counter()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = torch.nn.functional.cross_entropy(self._copy(self._x).float(), self._y)
        loss.backward()  # type: ignore[no-untyped-call]
        self._copy.zero_grad()
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun


class _Measured:
    """A measurement of this machine, kept between runs so that the same command makes the same choice again."""

    def __init__(self, what: str) -> None:
        self._key = f"{what} {processor_name()} {cores()} {torch.get_num_threads()} {torch.__version__}"
        self._file = cache_folder() / "measured.json"

    def get(self) -> float | None:
        try:
            value = json.loads(self._file.read_text(encoding="utf-8")).get(self._key)
        except (OSError, ValueError, AttributeError):
            return None
        return float(value) if isinstance(value, (int, float)) else None

    def put(self, value: float) -> None:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, {**known, self._key: value})
        except OSError:  # a read-only home: it is measured again next time
            return
