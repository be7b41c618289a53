"""The options of `regraft train` that add callbacks to the recipes that train in epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
import cloup

F = TypeVar("F", bound=Callable[..., Any])


def callback_options() -> Callable[[F], F]:
    """Return the decorator that adds the group "Callbacks"."""
    decorator: Callable[[F], F] = cloup.option_group(
        "Callbacks",
        cloup.option(
            "--early-stop",
            type=int,
            metavar="PATIENCE",
            help="Stop after so many epochs without a better val_loss. The best epoch is kept with or without it.",
        ),
        cloup.option(
            "--lr-schedule",
            type=click.Choice(["cosine", "linear", "constant"]),
            help="How the learning rate goes, after the recipe's warm-up; cosine if not given.",
        ),
        cloup.option(
            "--reduce-lr-on-plateau",
            is_flag=True,
            default=None,
            help="Instead of a schedule: a tenth of the learning rate after 2 epochs without a better val_loss.",
        ),
        cloup.option(
            "--tensorboard",
            is_flag=True,
            default=None,
            help="Write RUN/tensorboard: figures, photos with predictions, confusion matrix, projector.",
        ),
        cloup.option(
            "--remote-monitor",
            metavar="URL",
            help="Post the figures of every epoch there, as Keras does.",
        ),
        cloup.option(
            "--callback",
            multiple=True,
            metavar="MODULE:CLASS",
            callback=_given,
            help="Your own callback, also from a file in the current folder. Can be given again.",
        ),
    )
    return decorator


def _given(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return None where the option was not given, so that a configuration file may decide."""
    return value or None
