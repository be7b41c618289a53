"""The precision of training steps, bfloat16 or single: measured if the processor could gain from bfloat16."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from regraft.context.decisions import Event, Line
from regraft.context.run_context import RunContext
from regraft.features.activations import channels_last
from regraft.features.engines.machine_facts import machine_id, read_fact, write_fact
from regraft.features.engines.processor import has_bf16
from regraft.models.classifier import Classifier
from regraft.recipes.steps.faster_steps import make_steps_faster

Precision = Literal["fp32", "bf16"]

WORTH_MEASURING = 3000
"""Minimum photos through training steps for a measurement to pay off."""

LARGE = 20_000_000
"""Minimum parameters for bfloat16 to be worth its set-up on CUDA."""

CLEAR_GAIN = 1.2
"""Minimum speed-up for bfloat16 to be chosen; below it, its rounding is not worth it, and noise could decide."""


@dataclass(frozen=True)
class StepPrecision:
    """The precision of training steps.

    Attributes:
        precision: ``"fp32"``, or ``"bf16"`` by autocast: weights, their updates and normalization stay in fp32.
        gain: how many times as fast a step is in bf16, if that was measured for this choice.
    """

    precision: Precision
    gain: float | None = None

    def event(self) -> Event | None:
        """Return nothing: the measurement is journaled as a choice."""
        return None

    def line(self) -> Line | None:
        """Return the line for the screen."""
        if self.gain is None:
            return None
        text = f"{self.precision} · bf16 runs a training step {self.gain:.2f} times as fast as fp32 here"
        return Line("steps", "", detail=text)


def training_precision(context: RunContext, classifier: Classifier, batch_size: int, photo_steps: int) -> StepPrecision:
    """Return the precision of training steps: as ``--precision`` says, by rule, or measured once on this machine.

    On CUDA it is bfloat16 if the device supports it and the network is large. The steps of a small network wait for
    their kernels to be launched, and finding bfloat16 kernels takes three times as long. (An H100 took 16.6 ms in
    single precision and 15.3 in bfloat16 for 16 photos, 16.0 and 16.8 for 32; the first step 4.8 s and 14.1 s.) On a
    CPU both are timed on real steps, unless it has no bfloat16 arithmetic or there is little to train.
    """
    if context.config.precision != "auto":
        return StepPrecision("bf16" if context.config.precision == "bf16" else "fp32")
    if context.device.type == "cuda":
        large = context.backbone.spec.parameters >= LARGE
        return StepPrecision("bf16" if large and torch.cuda.is_bf16_supported() else "fp32")
    if not _is_measured(context, photo_steps):
        return StepPrecision("fp32")
    name = context.backbone.spec.name
    gain = context.decisions.choose(
        "bf16 gain", "timed training steps", lambda: bf16_gain(name, classifier, batch_size)
    )
    return StepPrecision(precision_for(gain), gain)


def training_step_seconds(
    context: RunContext, what: str, classifier: Classifier, batch_size: int, photo_steps: int
) -> float:
    """Return the seconds of a training step in the precision that `training_precision` chooses.

    Args:
        context: the run.
        what: the network, its size, which of its blocks are trained, and the batch size, in words.
        classifier: the classifier to train, on the device of the run.
        batch_size: photos in a step.
        photo_steps: photos that go through training steps, in all epochs.
    """
    single = measured_step_seconds(what, classifier, batch_size)
    if not _is_measured(context, photo_steps):
        return single
    gain = bf16_gain(context.backbone.spec.name, classifier, batch_size)
    return single / gain if precision_for(gain) == "bf16" else single


def _is_measured(context: RunContext, photo_steps: int) -> bool:
    """Return whether the precision is chosen by timing steps in both."""
    by_time = context.config.precision == "auto" and context.device.type == "cpu"
    return by_time and has_bf16() and photo_steps >= WORTH_MEASURING


def precision_for(gain: float) -> Precision:
    """Return the precision of steps that are ``gain`` times as fast in bfloat16."""
    return "bf16" if gain >= CLEAR_GAIN else "fp32"


def step_seconds(classifier: Classifier, batch_size: int, precision: Precision = "fp32", steps: int = 3) -> float:
    """Return the median time in seconds of a training step on a copy of ``classifier``, after one warm-up step."""
    timer = _Steps(classifier, batch_size)
    timer.step(precision)
    return statistics.median(timer.step(precision) for _ in range(steps))


def measured_step_seconds(what: str, classifier: Classifier, batch_size: int) -> float:
    """Return `step_seconds` in single precision, measured once on each machine.

    Args:
        what: the network, its size, which of its blocks are trained, and the batch size, in words.
        classifier: the classifier to train.
        batch_size: photos in a step.
    """
    return _measured_once(f"seconds of a faster step / {what}", lambda: round(step_seconds(classifier, batch_size), 4))


def bf16_gain(name: str, classifier: Classifier, batch_size: int) -> float:
    """Return how many times as fast a training step is in bfloat16, measured once on each machine.

    Args:
        name: of the network.
        classifier: the classifier to train.
        batch_size: photos in a step.
    """

    def measure() -> float:
        timer = _Steps(classifier, batch_size)
        timer.step("fp32"), timer.step("bf16")
        return round(statistics.median(timer.step("fp32") / timer.step("bf16") for _ in range(3)), 2)

    shape = classifier.backbone.input_shape
    return _measured_once(
        f"bf16 gain of a faster step / {name} {batch_size} {shape} {classifier.trainable_blocks}", measure
    )


def _measured_once(what: str, measure: Callable[[], float]) -> float:
    """Return a measurement of this machine, cached so that the same command makes the same choice again."""
    key = f"{what} / torch {torch.__version__} / {machine_id()}"
    stored = read_fact(key)
    if isinstance(stored, (int, float)):
        return float(stored)
    value = measure()
    write_fact(key, value)
    return value


class _Steps:
    """Training steps on a copy of a classifier with random photos; the classifier itself is not changed."""

    def __init__(self, classifier: Classifier, batch_size: int) -> None:
        self._copy = copy.deepcopy(classifier).train()
        make_steps_faster(self._copy.backbone)
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
