"""The options of a training by subject: photos, training, network, split, callbacks, and the run itself.

`regraft.context.config.TrainConfig` has them all, side by side: a configuration file has one level of keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from regraft.context.option_readers import (
    backbone_name,
    callback_descriptions,
    callback_names,
    seconds,
    server_address,
    share_of_mistakes,
    time_budget,
    unfrozen_blocks,
)
from regraft.context.option_values import DeviceName, RecipeName, TrackerName
from regraft.data.archives.address import stored
from regraft.data.photo import FolderMeaning
from regraft.data.selection import PhotoSelection
from regraft.data.split import DEFAULT_SHARES, parse_shares
from regraft.models.catalogue import DEFAULT_BACKBONE

StoredPath = Annotated[Path, PlainSerializer(stored)]
"""A path or an address; in `config.json` it is a text."""

Flag = Annotated[bool | None, AfterValidator(lambda wanted: wanted or None)]
"""An option that is wanted or not given: False means None, so that it stays out of comparisons with earlier runs."""

Duration = Annotated[float | None, BeforeValidator(seconds)]
"""Seconds, or a text such as ``1h30m``."""


class Options(BaseModel):
    """Options that are checked when they are given, and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class PhotoOptions(Options):
    """The photos, and the place of their labels."""

    photos: StoredPath
    more_photos: Annotated[tuple[StoredPath, ...] | None, AfterValidator(lambda folders: folders or None)] = None
    """Further folders whose photos are added to those of ``photos``."""
    labels: StoredPath | None = None
    stored_labels: Annotated[Path | None, Field(exclude=True)] = None
    """The copy of ``labels`` in the folder of a run that is resumed."""
    label_from: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    skip_missing: Flag = None
    folders: FolderMeaning | None = None

    @property
    def selection(self) -> PhotoSelection:
        """The photos and the place of their labels."""
        return PhotoSelection.from_options(dict(self))

    @model_validator(mode="after")
    def _labels_have_one_place(self) -> PhotoOptions:
        """Refuse options about labels that do not go together."""
        self.selection.check()
        return self


class TrainingOptions(Options):
    """The recipe, and what it may change."""

    recipe: RecipeName = "auto"
    budget: Annotated[float | None, BeforeValidator(time_budget)] = None
    all_depths: Flag = None
    epochs: Annotated[int | None, Field(ge=1, le=100_000)] = None
    unfreeze: Annotated[Any, BeforeValidator(unfrozen_blocks)] = None
    views: Annotated[int | None, Field(ge=0, le=64)] = None
    lr: Annotated[float | None, Field(gt=0, le=1000, allow_inf_nan=False)] = None
    batch_size: Annotated[int | None, Field(ge=1, le=65_536)] = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    class_weight: Literal["balanced"] | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    max_error: Annotated[float | None, BeforeValidator(share_of_mistakes)] = None
    """Share of mistakes that predictions may have; others are answered with "unsure"."""


class NetworkOptions(Options):
    """The pretrained network."""

    backbone: Annotated[str, BeforeValidator(backbone_name)] = DEFAULT_BACKBONE
    weights: StoredPath | None = None
    download: Flag = None
    size: Annotated[int | None, Field(ge=16, le=4096)] = None


class SplitOptions(Options):
    """The split into training, validation and test photos, and the photos that stay together."""

    split: Annotated[tuple[float, float, float], BeforeValidator(parse_shares)] = DEFAULT_SHARES
    split_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    split_from: StoredPath | None = None
    choose_on_val: bool = False
    group_by: str | None = None
    fix_leaks: bool = False
    decisions: StoredPath | None = None


class CallbackOptions(Options):
    """The callbacks of a training in epochs."""

    early_stop: Annotated[int | None, Field(ge=0, le=100_000)] = None
    tensorboard: bool = False
    remote_monitor: Annotated[str | None, BeforeValidator(server_address)] = None
    reduce_lr_on_plateau: bool = False
    lr_schedule: Literal["cosine", "linear", "constant"] | None = None
    track: TrackerName | None = None
    callback: Annotated[tuple[str, ...], BeforeValidator(callback_names)] = ()
    callbacks: Annotated[tuple[str, ...] | None, BeforeValidator(callback_descriptions)] = None
    """Descriptions of the callback objects that were passed to `train`, to compare them when a run is resumed."""


class RunOptions(Options):
    """The run folder, the machines that the run uses, and its interruptions."""

    out: StoredPath | None = None
    device: DeviceName = "auto"
    workers: Annotated[int | None, Field(ge=0, le=256)] = None
    store: str | None = None
    """Address of a feature store that several machines share; None for the store of this machine."""
    stop_after: Annotated[Duration, Field(exclude=True)] = None
    snapshot_every: Annotated[float, BeforeValidator(seconds)] = 30.0
    fresh: Annotated[bool, Field(exclude=True)] = False
    rescue_dir: Path | None = None
    shards: Annotated[int | None, Field(ge=1, le=1024)] = None
    fast_reduce: Flag = None
    worker_timeout: Annotated[Duration, Field(exclude=True)] = None
    choices: dict[str, Any] = Field(default_factory=dict)
    """Choices of an earlier run that depended on a clock or a measurement; they are replayed."""
