"""The configuration of a training: every option with its default, all checked at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError, model_validator

from regraft.context.option_groups import (
    CallbackOptions,
    NetworkOptions,
    PhotoOptions,
    RunOptions,
    SplitOptions,
    TrainingOptions,
)
from regraft.context.option_synonyms import option_meant, value_meant
from regraft.data.photo_places import photo_places
from regraft.errors import ConfigError, did_you_mean, several
from regraft.models.catalogue import backbone_names
from regraft.models.own_weights import own_weights

Unfreeze = Literal["all"] | int | tuple[str, ...]
"""All blocks, a number of blocks from the top, or blocks by name."""

BUILT_IN_CALLBACK_OPTIONS = ("early_stop", "tensorboard", "remote_monitor", "reduce_lr_on_plateau", "lr_schedule")
"""Options that add a callback of regraft to a training in epochs."""

USER_CALLBACK_OPTIONS = ("callback", "callbacks")
"""Options that add callbacks of the user."""

CALLBACK_OPTIONS = (*BUILT_IN_CALLBACK_OPTIONS, *USER_CALLBACK_OPTIONS)
HOW = (
    "out", "choices", "workers", "store", "stop_after", "snapshot_every", "fresh", "rescue_dir", "worker_timeout",
    "track",
)  # fmt: skip
"""Options that do not change what is trained."""


class TrainConfig(RunOptions, CallbackOptions, SplitOptions, NetworkOptions, TrainingOptions, PhotoOptions):
    """The resolved configuration of a training; it is written to `config.json`, which later runs can read.

    Its options are those of the base classes; in `config.json`, those of the last one come first.
    """

    @model_validator(mode="after")
    def _callbacks_have_epochs(self) -> TrainConfig:
        """Refuse options that the recipe cannot use, and two options that would both set the learning rate."""
        asked = [name for name in CALLBACK_OPTIONS if getattr(self, name) not in (None, False, ())]
        if asked and self.recipe == "linear-probe":
            raise ValueError(
                f"{' and '.join(asked)} {'need' if len(asked) > 1 else 'needs'} a recipe that trains in epochs; "
                "linear-probe is solved at once: choose feature-extraction, fine-tune or auto"
            )
        if self.views == 0 and self.recipe in ("linear-probe", "feature-extraction"):
            raise ValueError(
                f"views=0 (new random crops every epoch) does not apply to {self.recipe}; expected 1 or more"
            )
        if self.all_depths:
            self._check_all_depths()
        if self.reduce_lr_on_plateau and self.lr_schedule not in (None, "constant"):
            raise ValueError(
                f"reduce_lr_on_plateau and lr_schedule {self.lr_schedule!r} would both set the learning rate; "
                "choose one of them"
            )
        return self

    def _check_all_depths(self) -> None:
        """Refuse options with which the probe at all depths cannot act."""
        if self.recipe != "linear-probe":
            raise ValueError(
                f"all_depths adds features of lower blocks to the linear probe; expected the recipe linear-probe, "
                f"found {self.recipe}"
            )
        if self.views not in (None, 1):
            raise ValueError(f"all_depths uses each photo once, without further views; expected 1, found {self.views}")
        if "+" in self.backbone:
            raise ValueError(f"all_depths works with one network; expected one name, found backbone {self.backbone!r}")

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON-able values, without the options that apply to one call only."""
        return self.model_dump(mode="json")

    @property
    def networks(self) -> tuple[str, ...]:
        """The names in ``backbone``: one, or several networks side by side."""
        return backbone_names(self.backbone)

    def arguments(self) -> dict[str, Any]:
        """Return the options that decide what is trained, as JSON-able values."""
        return {name: value for name, value in self.as_dict().items() if name not in HOW}


def resolve(file: Path | None = None, **given: Any) -> TrainConfig:
    """Return the configuration from a file and from options; an option wins over the file.

    Args:
        file: YAML or JSON, such as the ``config.json`` of an earlier run, or None. Relative paths in it are read from
            the current folder, as on the command line.
        **given: options by name; those that are None count as not given.

    Raises:
        ConfigError: the file or an option is invalid; one message names every problem, and the nearest name for each
                unknown key.
    """
    values = dict(_read(file)) if file is not None else {}
    values.update({name: value for name, value in given.items() if value is not None})
    values = _with_places(values)
    if isinstance(values.get("weights"), (str, Path)):
        values = _with_own_network(values, Path(values["weights"]))
    try:
        return TrainConfig(**values)
    except ValidationError as error:
        subject = str(file) if file is not None else "options"
        raise ConfigError(several(subject, [_problem(dict(e)) for e in error.errors()])) from None


def _with_places(values: dict[str, Any]) -> dict[str, Any]:
    """Return ``values`` with folders in place of addresses and files of labels, and the first folder apart.

    Raises:
        PhotosError: an address is not read.
        ConfigError: a file of labels is named next to folders.
    """
    photos = values.get("photos")
    named = tuple(photos) if isinstance(photos, (list, tuple)) else (photos, *(values.get("more_photos") or ()))
    if not named or not all(isinstance(one, (str, Path)) for one in named):
        return values
    places, labels = photo_places(named, values.get("labels"))
    places_by_name = {"photos": places[0], "more_photos": places[1:], "labels": labels}
    return values | {name: value for name, value in places_by_name.items() if value or name in values}


def _with_own_network(values: dict[str, Any], weights: Path) -> dict[str, Any]:
    """Return ``values`` with the network of a classifier of regraft that ``weights`` names: its file, name and size.

    Raises:
        WeightsError: ``weights`` is the folder of an unfinished run.
    """
    own = own_weights(weights)
    if own is None:
        return values
    size = {} if own.size is None else {"size": own.size}
    return {"backbone": own.backbone, **size, **values, "weights": own.file}


def _read(file: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no such configuration file: {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{file}: expected keys and values such as 'recipe: fine-tune', found a {type(values).__name__}"
        )
    of_a_run = "format" in values  # a new run gets its own folder
    named = {str(key).replace("-", "_"): value for key, value in values.items()}  # as on the command line
    return {name: value for name, value in named.items() if not (of_a_run and name in ("format", "out"))}


def _problem(error: dict[str, Any]) -> str:
    name = str(error["loc"][0]) if error["loc"] else "configuration"
    if error["type"] == "extra_forbidden":
        meant = option_meant(name, TrainConfig.model_fields)
        question = f"; did you mean {meant!r}?" if meant else did_you_mean(name, TrainConfig.model_fields)
        return f"unknown key {name!r}{question}"
    if error["type"] == "missing":
        return f"{name} is missing"
    if error["type"] == "literal_error" and name in TrainConfig.model_fields:
        allowed = _literals(TrainConfig.model_fields[name].annotation)
        meant = value_meant(str(error["input"]), allowed)
        near = f"; did you mean {meant!r}?" if meant else did_you_mean(str(error["input"]), allowed)
        return f"{name}: expected {', '.join(allowed)}, found {error['input']!r}{near}"
    if error["type"] in _BOUNDS:
        return f"{name}: expected {_BOUNDS[error['type']].format(**error['ctx'])}, found {error['input']!r}"
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    return f"{name}: {message}" if "found" in message else f"{name}: {message}, found {error['input']!r}"


_BOUNDS = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "a number above {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "a number below {lt}",
}


def _literals(annotation: Any) -> list[str]:
    parts = [[part] if isinstance(part, str) else _literals(part) for part in get_args(annotation)]
    return [literal for part in parts for literal in part]
