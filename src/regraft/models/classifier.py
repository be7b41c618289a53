"""`Classifier`: a backbone with a linear head."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from regraft.data.preprocessing import Preprocessing
from regraft.data.source import parse_class_names
from regraft.errors import ConfigError, ModelFileError
from regraft.models.backbone import Backbone
from regraft.models.blocks import HEAD
from regraft.models.class_only import class_only
from regraft.models.feature_novelty import FeatureNovelty
from regraft.models.freezing import BlockSelection, block_groups, check_rates, decay_groups
from regraft.models.linear_head import WITHOUT_BOUNDS, LinearHead, bounds_of, checked_weights, set_bounds, set_weights
from regraft.models.model_metadata import CLASSIFIER_KEY, ModelMetadata, check_same_classifier
from regraft.models.skip_random_init import skip_random_init


class Classifier(nn.Module):
    """A backbone with a linear head. A new classifier has a frozen backbone and a head of zeros.

    Args:
        backbone: computes the features. The classifier takes a copy, so that training changes neither another
            classifier nor earlier results of the backbone.
        classes: class names in the order of the outputs: a list, a tuple or an array of strings.
        own: whether to take the backbone itself in place of a copy.

    Attributes:
        backbone: computes the features.
        head: linear layer from features to logits; that of a linear probe first clips the features.
        classes: class names, a tuple.
        facts: further text by key that is saved and loaded with the classifier, such as ``views``.

    Raises:
        ConfigError: there are fewer than two classes, or two of the same name, or an argument has another type.

    Example:
        >>> import torch
        >>> import regraft as rg
        >>> backbone = rg.build_backbone("test_resnet", pretrained=False, size=64)
        >>> classifier = rg.Classifier(backbone, ["ant", "bee"])
        >>> classifier(torch.zeros(3, *backbone.input_shape)).shape
        torch.Size([3, 2])
        >>> classifier.unfreeze(2)
        >>> groups = classifier.parameter_groups(1e-4, layer_decay=0.8, head_lr=1e-3)
        >>> optimizer = torch.optim.AdamW(groups)
        >>> classifier.save("model.safetensors")
        >>> rg.Classifier.load("model.safetensors").classes
        ('ant', 'bee')
    """

    def __init__(self, backbone: Backbone, classes: Sequence[str], *, own: bool = False) -> None:
        super().__init__()
        if not isinstance(backbone, Backbone):
            raise ConfigError(
                f"backbone: expected a Backbone, such as the result of build_backbone('resnet18'); "
                f"found {backbone if isinstance(backbone, str) else type(backbone).__name__!r}"
            )
        self.classes = parse_class_names(classes)
        self.backbone = backbone if own else copy.deepcopy(backbone)
        self.facts: dict[str, str] = {}
        place = next(backbone.network.parameters()).device
        shape = backbone.spec.num_features, len(self.classes)
        with skip_random_init():  # does not advance the global random state
            self.head: nn.Linear = LinearHead(*shape, device=place)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.freeze()
        self.eval()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickled classifier, also of an earlier version."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.__dict__.setdefault("facts", {})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of ``x``.

        Args:
            x: shape (B, 3, H, W), float32, normalized by the backbone's preprocessing.

        Returns:
            Shape (B, C), float32, also under autocast.
        """
        features = self.backbone(x)
        with torch.autocast(features.device.type, enabled=False):
            logits: torch.Tensor = self.head(features.float())
        return logits

    def freeze(self) -> None:
        """Freeze the whole backbone; the head does not change."""
        self.backbone.freeze()

    def train(self, mode: bool = True) -> Self:
        """Set training or inference mode. Training mode removes the bounds of the features.

        They are the range of the features on which the head was solved. Training changes head or features, and a
        feature at its bound would pass no gradient.
        """
        if mode:
            set_bounds(self.head, None)
        return super().train(mode)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Unfreeze or freeze the head and all blocks of the backbone; unfreezing removes the bounds of the features."""
        if requires_grad:
            set_bounds(self.head, None)
        self.backbone.requires_grad_(requires_grad)
        self.head.requires_grad_(requires_grad)
        return self

    def unfreeze(self, what: BlockSelection = "all", *, norm_statistics: bool = False) -> None:
        """Unfreeze blocks of the backbone; see `Backbone.unfreeze`. This removes the bounds of the features."""
        set_bounds(self.head, None)
        self.backbone.unfreeze(what, norm_statistics=norm_statistics)

    @property
    def trainable_blocks(self) -> tuple[str, ...]:
        """Names of the backbone's trainable blocks, bottom to top."""
        return self.backbone.trainable_blocks

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of photos for the backbone."""
        return self.backbone.preprocessing

    def file_metadata(self) -> dict[str, str]:
        """Return the metadata for a file of this classifier's weights, text by key.

        `Trainer.save`, `Trainer.save_weights` and `ModelCheckpoint` write it; `Predictor.load` and `load` read classes,
        backbone and preprocessing from it.

        A ``state_dict`` has no bounds of the features: if the head has some, warn that this file will lack them.

        Raises:
            ConfigError: the head does not have one output per class.
        """
        self.check_outputs()
        if self.feature_bounds is not None:
            warnings.warn(WITHOUT_BOUNDS, UserWarning, stacklevel=4)
        return ModelMetadata(self.classes, self.backbone.spec, self.facts, "").as_text(CLASSIFIER_KEY)

    def check_file_metadata(self, path: str, metadata: Mapping[str, str]) -> None:
        """Compare the metadata of a file of weights with this classifier; `Trainer.load` calls this.

        Another input size is accepted: training may continue at another size.

        Raises:
            ModelFileError: the file has other classes, another order of classes, or another normalization of photos.
        """
        check_same_classifier(path, metadata, self.classes, self.preprocessing)

    def check_outputs(self) -> None:
        """Check that a linear head has one output per class; other heads are accepted. `Trainer` calls this.

        Raises:
            ConfigError: the linear head has another number of outputs or inputs.
        """
        if isinstance(self.head, nn.Linear):
            self.linear_head()

    def linear_head(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weight, shape (C, D), and bias, shape (C,), of the head, detached.

        Raises:
            ConfigError: the head is not a single linear layer with one output per class.
        """
        return checked_weights(self.head, self.classes, self.backbone.spec.num_features)

    @property
    def feature_bounds(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Lowest and highest value of each feature, (D,) and (D,), to which the head clips features; None for none."""
        return bounds_of(self.head)

    @property
    def novelty(self) -> FeatureNovelty | None:
        """Measure of how unlike the training photos a photo is; None if it is missing. Training removes it."""
        return self.head.novelty if isinstance(self.head, LinearHead) else None

    def save(self, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write a model file: weights, classes, backbone and preprocessing, which is enough to predict.

        `Predictor.load`, ``regraft predict`` and `load` read it, as they read the ``model.safetensors`` of a run. The
        file is written completely or not at all.

        Args:
            path: file name that ends with ``.safetensors``. Missing folders are created.
            overwrite: whether to replace an existing file.

        Raises:
            ConfigError: the suffix is another one, the path is a folder, the file exists and must not be replaced, or
                the head is not a single linear layer with one output per class.
            OSError: the file cannot be written.
        """
        from regraft.models.model_file import save_model_file

        save_model_file(Path(path), self, overwrite=overwrite)

    @class_only
    def load(
        cls,  # noqa: N805 (as in a class method)
        path: str | os.PathLike[str],
        *,
        classes: Sequence[str] | None = None,
        backbone: Backbone | None = None,
    ) -> Classifier:
        """Load a classifier: a new one, with a frozen backbone, in inference mode. No code in the file is run.

        Args:
            path: a run folder; a model file of a run or of `save`; or a file of this classifier that `Trainer` or
                `ModelCheckpoint` wrote, with any suffix.
            classes: class names, for weights without metadata.
            backbone: a backbone like the trained one, for weights without metadata.

        Raises:
            ModelFileError: the file is missing, damaged, not a classifier, lacks metadata, or contains an `Ensemble`.
            ConfigError: ``classes`` or ``backbone`` differ from those in the file.
        """
        from regraft.models.model_file import load_classifier
        from regraft.models.model_place import find_model_file

        loaded = load_classifier(find_model_file(Path(path)), classes=classes, backbone=backbone)
        if not isinstance(loaded, Classifier):
            raise ModelFileError(
                f"{path} contains {len(loaded.members)} classifiers side by side; expected one\n"
                "  load them with Ensemble.load(FILE), or predict with Predictor.load(FILE)"
            )
        return loaded

    def snapshot(self) -> Classifier:
        """Return a copy in inference mode and single precision; later training does not change it."""
        copied = copy.deepcopy(self)
        copied.backbone.leave_cut()
        return copied.float().eval()

    def set_head(
        self, weight: torch.Tensor, bias: torch.Tensor, bounds: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> None:
        """Set the weights of the head, such as those of a linear probe.

        Args:
            weight: shape (C, D), any floating dtype.
            bias: shape (C,).
            bounds: lowest and highest value of each feature, each of shape (D,): features outside are clipped to them
                before the linear layer. None clips no feature.

        Raises:
            ConfigError: a shape differs, or a lower bound exceeds its upper bound.
        """
        set_weights(self.head, weight, bias)
        set_bounds(self.head, bounds)

    def parameter_blocks(self) -> list[list[nn.Parameter]]:
        """Return the parameters of each block of the backbone, bottom to top, and last those of the head."""
        own = dict(self.backbone.network.named_parameters())
        return [
            *([own[name] for name in block.parameters] for block in self.backbone.blocks),
            list(self.head.parameters()),
        ]

    def parameter_groups(
        self, lr: float, *, layer_decay: float = 1.0, weight_decay: float = 0.0, head_lr: float | None = None
    ) -> list[dict[str, Any]]:
        """Return the trainable parameters as groups for a torch optimizer, bottom to top.

        Each block gives up to two groups of its name: matrices, and vectors without weight decay (normalization,
        biases; He et al. 2019, https://arxiv.org/abs/1812.01187, section 3.1). Learning rates fall from block to block
        towards the bottom (Clark et al. 2020, https://arxiv.org/abs/2003.10555).

        Args:
            lr: learning rate of the top block of the backbone.
            layer_decay: factor between the learning rates of a block and the block above it.
            weight_decay: weight decay of the matrices.
            head_lr: learning rate of the head; ``lr`` if None.

        Returns:
            Dictionaries with ``name``, ``params``, ``lr`` and ``weight_decay``.

        Raises:
            ConfigError: a rate is not a number above 0, or ``weight_decay`` is negative.
        """
        check_rates({"lr": lr, "layer_decay": layer_decay, "weight_decay": weight_decay, "head_lr": head_lr})
        network, blocks = self.backbone.network, self.backbone.blocks
        groups = block_groups(network, blocks, lr, layer_decay, weight_decay)
        head = {name: parameter for name, parameter in self.head.named_parameters() if parameter.requires_grad}
        return groups + decay_groups(HEAD, head, set(), lr if head_lr is None else head_lr, weight_decay)
