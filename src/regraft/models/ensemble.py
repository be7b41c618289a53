"""`Ensemble`: several classifiers as one, on networks side by side.

Two combinations are useful, and an ensemble has both. A linear probe on the joined features of several networks is the
sum of the logits of one classifier per network: ``W [f_a, f_b] + b = (W_a f_a + b) + W_b f_b``. A mix of models is a
weighted mean of their probabilities (Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474, section 2.4).
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional

from regraft.data.preprocessing import Preprocessing
from regraft.errors import ConfigError
from regraft.models.class_only import class_only
from regraft.models.classifier import Classifier
from regraft.models.ensemble_metadata import MAX_MEMBERS

Groups: TypeAlias = Sequence[Classifier | Sequence[Classifier]]

_RESIZE_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}


class Ensemble(nn.Module):
    """Several classifiers of the same classes as one: a weighted mean of probabilities over groups of summed logits.

    Args:
        groups: the classifiers. Logits of the members of one group are added; a classifier in place of a group is a
            group of one. The ensemble takes copies.
        weights: weight of each group's probabilities, positive numbers that sum to 1; equal if None.
        own: whether to take the classifiers themselves in place of copies.

    Attributes:
        groups: the classifiers, a tuple of tuples.
        weights: weight of each group, a tuple.
        classes: class names, a tuple.
        facts: further text by key that is saved and loaded with the ensemble, such as ``views``. Facts of a member,
            such as its ``engine``, are saved with the member.

    Raises:
        ConfigError: a group is empty, there are more than 16 members, they have different classes or a head that is not
            one linear layer, or the weights are invalid.

    Example:
        >>> import torch
        >>> import regraft as rg
        >>> small = rg.Classifier(rg.build_backbone("test_resnet", pretrained=False, size=64), ["ant", "bee"])
        >>> large = rg.Classifier(rg.build_backbone("test_vit", pretrained=False), ["ant", "bee"])
        >>> ensemble = rg.Ensemble([small, large], weights=[0.25, 0.75])
        >>> ensemble.preprocessing.height
        160
        >>> ensemble(torch.zeros(3, 3, 160, 160)).softmax(dim=1).shape
        torch.Size([3, 2])
        >>> ensemble.save("model.safetensors")
        >>> rg.Predictor.load("model.safetensors").classes
        ('ant', 'bee')
    """

    def __init__(self, groups: Groups, weights: Sequence[float] | None = None, *, own: bool = False) -> None:
        super().__init__()
        parsed = _parse_groups(groups)
        members = [member for group in parsed for member in group]
        _check_members(members)
        self.weights = _parse_weights(weights, len(parsed))
        self.classes: tuple[str, ...] = members[0].classes
        self.facts: dict[str, str] = {}
        self._sizes = tuple(len(group) for group in parsed)
        self._members = nn.ModuleList(members if own else map(copy.deepcopy, members))
        self.eval()

    @property
    def members(self) -> tuple[Classifier, ...]:
        """The classifiers of all groups, in order."""
        return tuple(member for member in self._members if isinstance(member, Classifier))

    @property
    def groups(self) -> tuple[tuple[Classifier, ...], ...]:
        """The classifiers of each group."""
        members = iter(self.members)
        return tuple(tuple(next(members) for _ in range(size)) for size in self._sizes)

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of photos for `forward`: that of the member with the largest input."""
        sizes = [member.preprocessing.height * member.preprocessing.width for member in self.members]
        return self.members[sizes.index(max(sizes))].preprocessing

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logarithms of the probabilities of ``x``.

        Members of another input size get ``x`` resized with antialiasing, and with their own normalization. A
        `Predictor` decodes each photo with the preprocessing of each member instead; the figures of a run are those of
        its `Predictor`.

        Args:
            x: shape (B, 3, H, W), float32, normalized by ``preprocessing``.

        Returns:
            Shape (B, C), float32; a softmax over the classes gives the probabilities.
        """
        weighted = []
        for group, weight in zip(self.groups, self.weights, strict=True):
            logits = [member(_converted(x, self.preprocessing, member.preprocessing)) for member in group]
            weighted.append(torch.stack(logits).sum(dim=0).log_softmax(dim=1) + math.log(weight))
        return torch.stack(weighted).logsumexp(dim=0)

    def snapshot(self) -> Ensemble:
        """Return a copy in inference mode and single precision; later training does not change it."""
        groups = [[member.snapshot() for member in group] for group in self.groups]
        copied = Ensemble(groups, self.weights, own=True)
        copied.facts = dict(self.facts)
        return copied

    def save(self, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write a model file, which is enough to predict: `Predictor.load`, ``regraft predict`` and `load` read it.

        The file is written completely or not at all. Weights that several members share are stored once.

        Args:
            path: file name that ends with ``.safetensors``. Missing folders are created.
            overwrite: whether to replace an existing file.

        Raises:
            ConfigError: the suffix is another one, the path is a folder, or the file exists and must not be replaced.
            OSError: the file cannot be written.
        """
        from regraft.models.model_file import save_model_file

        save_model_file(Path(path), self, overwrite=overwrite)

    @class_only
    def load(
        cls,  # noqa: N805 (as in a class method)
        path: str | os.PathLike[str],
    ) -> Ensemble:
        """Load an ensemble in inference mode. A file of a single classifier gives an ensemble of one.

        Args:
            path: a run folder; a model file of a run or of `save`; or a file of `Classifier.save`.

        Raises:
            ModelFileError: the file is missing, damaged, or not a model file.
        """
        from regraft.models.model_file import load_classifier
        from regraft.models.model_place import find_model_file

        loaded = load_classifier(find_model_file(Path(path)))
        if isinstance(loaded, Ensemble):
            return loaded
        ensemble = Ensemble([loaded], own=True)
        ensemble.facts = dict(loaded.facts)
        return ensemble


def members_of(classifier: Classifier | Ensemble) -> tuple[Classifier, ...]:
    """Return the members of an ensemble; a classifier alone is its own only member."""
    return classifier.members if isinstance(classifier, Ensemble) else (classifier,)


def _parse_groups(groups: Groups) -> list[list[Classifier]]:
    if isinstance(groups, Classifier) or not isinstance(groups, Sequence):
        raise ConfigError(f"groups: expected a list of classifiers, found a {type(groups).__name__}")
    parsed = [[group] if isinstance(group, Classifier) else list(group) for group in groups]
    if not parsed or not all(parsed):
        raise ConfigError("groups: expected at least one classifier in each group, found an empty list")
    return parsed


def _check_members(members: Sequence[Classifier]) -> None:
    if len(members) > MAX_MEMBERS:
        raise ConfigError(f"groups: expected at most {MAX_MEMBERS} classifiers, found {len(members)}")
    for member in members:
        if not isinstance(member, Classifier):
            raise ConfigError(f"groups: expected classifiers, found a {type(member).__name__}")
        if type(member).forward is not Classifier.forward:
            raise ConfigError(
                f"groups: {type(member).__name__} overrides forward, which predictions do not call; "
                "expected a plain Classifier"
            )
        if member.classes != members[0].classes:
            raise ConfigError(
                f"groups: expected classifiers of the same classes in the same order, found "
                f"{', '.join(members[0].classes)} and {', '.join(member.classes)}"
            )
        member.linear_head()


def _parse_weights(weights: Sequence[float] | None, groups: int) -> tuple[float, ...]:
    if weights is None:
        return (1.0 / groups,) * groups
    parsed = tuple(float(weight) for weight in weights)
    positive = all(math.isfinite(weight) and weight > 0 for weight in parsed)
    if len(parsed) != groups or not positive or abs(math.fsum(parsed) - 1.0) > 1e-6:
        raise ConfigError(f"weights: expected {groups} positive numbers that sum to 1, found {list(weights)}")
    return parsed


def _converted(x: torch.Tensor, given: Preprocessing, wanted: Preprocessing) -> torch.Tensor:
    """Return ``x``, prepared as ``given`` says, in the size and normalization that ``wanted`` says."""
    size = (wanted.height, wanted.width)
    if tuple(x.shape[-2:]) == size and (given.mean, given.std) == (wanted.mean, wanted.std):
        return x
    colors = x * _per_channel(given.std, x) + _per_channel(given.mean, x)
    if tuple(x.shape[-2:]) != size:
        mode = _RESIZE_MODES.get(wanted.interpolation, "bicubic")
        antialias = mode in ("bilinear", "bicubic")
        colors = functional.interpolate(colors, size, mode=mode, antialias=antialias).clamp(0.0, 1.0)
    return (colors - _per_channel(wanted.mean, x)) / _per_channel(wanted.std, x)


def _per_channel(values: Sequence[float], x: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=x.dtype, device=x.device).reshape(-1, 1, 1)
