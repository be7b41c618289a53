"""Options and settings that several commands share.

The options of `regraft train` that add callbacks to the recipes that train in epochs.

Options of what happens around an interruption; they do not change what is trained.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import cloup
from cloup import HelpFormatter, HelpTheme, Style

from regraft.cli.output import Session

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
DEVICES = ("auto", "cpu", "cuda", "mps")

SETTINGS = cloup.Context.settings(
    help_option_names=["-h", "--help"],
    max_content_width=110,
    align_option_groups=True,
    formatter_settings=HelpFormatter.settings(
        col1_max_width=30,
        theme=HelpTheme(
            invoked_command=Style(bold=True),
            heading=Style(bold=True),
            col1=Style(fg="cyan"),
            constraint=Style(dim=True),
        ),
    ),
)

if os.environ.get("NO_COLOR"):
    SETTINGS["color"] = False

pass_session = click.make_pass_decorator(Session, ensure=True)


def _note(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def store(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.ensure_object(Session), name, True)

    return store


def _flag(name: str, help: str, *short: str) -> Callable[[F], F]:  # noqa: A002  (click's own word)
    decorator: Callable[[F], F] = cloup.option(
        *short, f"--{name}", is_flag=True, expose_value=False, is_eager=True, callback=_note(name), help=help
    )
    return decorator


def output_options(*, json: bool = True, quiet: str = "Print the result alone.") -> Callable[[F], F]:
    """Return the decorator that adds ``--quiet``, ``--json`` and ``--debug``; what they say is in the `Session`."""
    flags = [_flag("quiet", quiet, "-q")]
    if json:
        flags.append(_flag("json", "Print exactly one JSON object; progress goes to standard error."))
    flags.append(_flag("debug", "Show the traceback of an error."))
    decorator: Callable[[F], F] = cloup.option_group("Output", *flags)
    return decorator


def device_option(default: str | None = "auto") -> Callable[[F], F]:
    """Return the decorator that adds ``--device``; with ``default`` None, a configuration file may decide."""
    decorator: Callable[[F], F] = cloup.option(
        "--device", type=click.Choice(DEVICES), default=default, help="Where the network runs; auto takes the fastest."
    )
    return decorator


def workers_option() -> Callable[[F], F]:
    """Return the decorator that adds ``--workers``."""
    decorator: Callable[[F], F] = cloup.option(
        "--workers",
        type=int,
        metavar="N",
        help="Threads that decode photos (beside a GPU processes, from 5 on); as many as gain from it if not given.",
    )
    return decorator


def network_options() -> Callable[[F], F]:
    """Return the decorator that adds ``--backbone``, ``--weights`` and ``--size``."""
    decorator: Callable[[F], F] = cloup.option_group(
        "Network",
        cloup.option(
            "--backbone",
            metavar="NAME",
            help="Any network of timm; see regraft backbones. tf_efficientnet_lite0 needs no download.",
        ),
        cloup.option(
            "--weights", type=PATH, metavar="FILE", help="Local weights for the backbone (.safetensors, .pt, .pth)."
        ),
        cloup.option(
            "--size",
            type=int,
            metavar="PIXELS",
            help="Side of the square that the network sees. If not given: its own; in fine-tuning, that of the photos "
            "where they are smaller.",
        ),
    )
    return decorator


def views_option() -> Callable[[F], F]:
    """Return the decorator that adds ``--views`` to what predicts."""
    decorator: Callable[[F], F] = cloup.option(
        "--views",
        type=click.IntRange(min=1, max=64),
        metavar="N",
        help="Average over N views of each photo: itself, its mirror image, random crops. Takes N times as long.  "
        "[default: what the model says, mostly 1]",
    )
    return decorator


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


def going_on_options() -> list[Any]:
    """Return the options that `regraft train` and `regraft resume` share."""
    return [
        cloup.option("--stop-after", metavar="TIME", help="Stop after 20m or 8h, as Ctrl-C does, to go on later."),
        cloup.option(
            "--snapshot-every", metavar="TIME", help="How much work an interruption may cost at most; 30s if not given."
        ),
        cloup.option(
            "--rescue-dir", type=PATH, metavar="DIR", help="Where the model goes if the run folder refuses it."
        ),
    ]
