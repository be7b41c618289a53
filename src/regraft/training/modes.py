"""Modes, buffers and random generators of a module: restored after a temporary change, and kept for frozen layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from regraft.text import shorten
from regraft.training.numerics import generator_states, restore_generators

_STATISTICS = ("running_mean", "running_var")

Say = Callable[[str, str], None]


def _record(module: nn.Module) -> list[tuple[nn.Module, bool]]:
    return [(part, part.training) for part in module.modules()]


def _restore(modes: Iterable[tuple[nn.Module, bool]]) -> None:
    for part, mode in modes:
        if part.training != mode:
            part.training = mode


@contextmanager
def modes_kept(module: nn.Module) -> Iterator[None]:
    """Restore the mode of every submodule at the end of the block, also after an exception."""
    modes = _record(module)
    try:
        yield
    finally:
        _restore(modes)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Run the module in inference mode, then restore the mode of every submodule."""
    with modes_kept(module):
        module.eval()
        yield


@contextmanager
def in_inference(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Put only these layers, not what they contain, into inference mode inside the block."""
    modes = [(layer, layer.training) for layer in layers]
    try:
        _restore((layer, False) for layer, _ in modes)
        yield
    finally:
        _restore(modes)


def keeps_statistics(module: nn.Module) -> bool:
    """Return whether ``module`` itself normalizes with running statistics, which change in train mode."""
    return any(name in _STATISTICS for name, _ in module.named_buffers(recurse=False))


def _switched_off(module: nn.Module) -> dict[str, nn.Module]:
    """Return the layers for which the mode matters that a user put into inference mode, in a module in train mode.

    A module with a method ``train`` of its own, such as `Classifier`, decides about its parts.
    """
    if not module.training or type(module).train is not nn.Module.train:
        return {}
    return {name: part for name, part in module.named_modules() if not part.training and _has_modes(part)}


def _has_modes(part: nn.Module) -> bool:
    return keeps_statistics(part) or "Drop" in type(part).__name__


def frozen_normalization(module: nn.Module) -> dict[str, nn.Module]:
    """Return the normalization layers with running statistics that are frozen, by name.

    A layer is frozen if it has parameters and none of them needs a gradient. A layer without parameters
    (``affine=False``) is frozen if the nearest module around it that has parameters has only frozen ones.
    """
    modules = dict(module.named_modules())
    return {name: part for name, part in modules.items() if keeps_statistics(part) and _is_frozen(name, modules)}


def _is_frozen(name: str, modules: Mapping[str, nn.Module]) -> bool:
    while True:
        flags = [p.requires_grad for p in modules[name].parameters()]
        if flags or not name:
            return bool(flags) and not any(flags)
        name = name.rpartition(".")[0]


class TrainModes:
    """The modes of a module while it trains.

    Frozen normalization layers stay in inference mode, as in Keras
    (https://keras.io/api/layers/normalization_layers/batch_normalization/): their running statistics are part of what
    was learned. Dropout of a frozen body stays active, as in Keras.

    Args:
        module: what is trained.
        freeze_normalization: whether frozen normalization layers stay in inference mode.
        say: prints a label and a text on the screen.
    """

    def __init__(self, module: nn.Module, freeze_normalization: bool, say: Say) -> None:
        self._module, self._freeze, self._say = module, freeze_normalization, say
        self._held: dict[int, nn.Module] = {}
        self._reported: set[str] = set()
        self._modes: list[tuple[nn.Module, bool]] = []

    def train(self) -> None:
        """Put the module into train mode, except for frozen normalization layers."""
        off = _switched_off(self._module)
        self._module.train()
        self._held.clear()
        self._modes = []
        self.hold()
        self._report_switched([name for name, part in off.items() if part.training])

    def update(self) -> None:
        """Bring the modes up to date after hooks ran, and record them for the rest of the epoch."""
        self.resume()
        self.hold()
        self._modes = _record(self._module)

    def resume(self) -> None:
        """Go back to train mode if a hook left the whole module in inference mode."""
        if not self._module.training:
            self._module.train() if not self._modes else _restore(self._modes)

    def hold(self) -> None:
        """Put frozen normalization layers into inference mode, and unfrozen ones back into train mode."""
        if not self._freeze:
            return
        frozen = frozen_normalization(self._module)
        now = {id(layer) for layer in frozen.values()}
        for key in [key for key in self._held if key not in now]:
            self._held.pop(key).training = True
        changed = {name: layer for name, layer in frozen.items() if layer.training}
        for layer in changed.values():
            layer.training = False
            self._held[id(layer)] = layer
        self._report([name for name in changed if name not in self._reported])

    def _report_switched(self, names: list[str]) -> None:
        if names:
            layers = "1 layer was" if len(names) == 1 else f"{len(names)} layers were"
            self._say(
                "training",
                f"{layers} in inference mode, and fit puts the module into train mode: {shorten(names)}; a callback "
                "may call eval() on them in on_epoch_begin",
            )

    def _report(self, names: list[str]) -> None:
        if not names:
            return
        self._reported.update(names)
        layers = "1 frozen layer stays" if len(names) == 1 else f"{len(names)} frozen layers stay"
        self._say(
            "frozen",
            f"{layers} in inference mode, running statistics unchanged: {shorten(names)} "
            "(freeze_normalization=False trains the statistics)",
        )


@contextmanager
def undone(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Restore buffers, such as running statistics, and random generators at the end of the block."""
    restore = _restorer(module, device)
    try:
        yield
    finally:
        restore()


@contextmanager
def undone_on_error(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Restore buffers, such as running statistics, and random generators if an exception ends the block."""
    restore = _restorer(module, device)
    try:
        yield
    except Exception:
        restore()
        raise


def _restorer(module: nn.Module, device: torch.device) -> Callable[[], None]:
    buffers = [(b, b.detach().clone()) for b in module.buffers() if not nn.parameter.is_lazy(b)]
    states = generator_states(device)

    def restore() -> None:
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):  # writing to one that a gradient graph holds would spoil the graph
                    buffer.copy_(value)
        restore_generators(states, device)

    return restore
