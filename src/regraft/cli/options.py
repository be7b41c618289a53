"""Options and settings that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import cloup
from cloup import HelpFormatter, HelpTheme, Style

from regraft.cli.output import Session
from regraft.context.option_synonyms import value_meant
from regraft.context.option_values import DEVICES, TRACKER_NAMES
from regraft.errors import did_you_mean

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


class Choice(click.Choice[str]):
    """A choice of names whose error says which name was meant: ``finetune`` is not ``fine-tune``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return ``value`` if it is one of the choices.

        Raises:
            BadParameter: it is not.
        """
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            meant = value_meant(str(value), self.choices)
            near = f" Did you mean {meant!r}?" if meant else did_you_mean(str(value), self.choices).replace("; d", " D")
            raise click.BadParameter(f"{error.message}{near}", ctx, param) from None


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


def _store(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def store(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.ensure_object(Session), name, True)

    return store


def _flag(name: str, help: str, *short: str) -> Callable[[F], F]:  # noqa: A002  (click's name)
    decorator: Callable[[F], F] = cloup.option(
        *short, f"--{name}", is_flag=True, expose_value=False, is_eager=True, callback=_store(name), help=help
    )
    return decorator


def output_options(*, json: bool = True, quiet: str = "Print only the result.") -> Callable[[F], F]:
    """Return the decorator that adds ``--quiet``, ``--json`` and ``--debug``; their values are in the `Session`."""
    flags = [_flag("quiet", quiet, "-q")]
    if json:
        flags.append(_flag("json", "Print exactly one JSON object; progress goes to standard error."))
    flags.append(_flag("verbose", "Also show how results were computed, for experts.", "-v"))
    flags.append(_flag("debug", "Show the traceback of an error."))
    decorator: Callable[[F], F] = cloup.option_group("Output", *flags)
    return decorator


def device_option(default: str | None = "auto") -> Callable[[F], F]:
    """Return the decorator that adds ``--device``; with ``default`` None, a configuration file may set it."""
    decorator: Callable[[F], F] = cloup.option(
        "--device", type=Choice(DEVICES), default=default, help="Device of the network; auto uses the fastest."
    )
    return decorator


def workers_option() -> Callable[[F], F]:
    """Return the decorator that adds ``--workers``."""
    decorator: Callable[[F], F] = cloup.option(
        "--workers",
        type=int,
        metavar="N",
        help="Decoding threads (with a GPU, processes if more than 4). Default: one per core, fewer for small photos.",
    )
    return decorator


def network_options() -> Callable[[F], F]:
    """Return the decorator that adds ``--backbone``, ``--weights`` and ``--size``."""
    decorator: Callable[[F], F] = cloup.option_group(
        "Network",
        cloup.option(
            "--backbone",
            metavar="NAME",
            help="Any timm network (see regraft backbones), or several joined by +: one probe on the features of all. "
            "tf_efficientnet_lite0 needs no download. train, advise and lr take auto: the network on this machine that "
            "suits the photos.",
        ),
        cloup.option(
            "--weights",
            type=PATH,
            metavar="FILE",
            help="Local weights for the backbone (.safetensors, .pt, .pth), or a folder of files named like networks.",
        ),
        cloup.option(
            "--size",
            type=int,
            metavar="PIXELS",
            help="Side of the square input of the network. Default: that of its pretraining, or for fine-tuning less "
            "if the photos are smaller.",
        ),
    )
    return decorator


def refuse_without(context: click.Context, needed: str, **values: Any) -> None:
    """Refuse options that have no effect without the option or argument ``needed``.

    Args:
        context: the context of the command.
        needed: the missing option or argument, as the user writes it.
        **values: the values of the options by name; None, False and () count as not given.

    Raises:
        UsageError: such an option was given; all of them are named.
    """
    given = [f"--{name.replace('_', '-')}" for name, value in values.items() if value not in (None, False, ())]
    if given:
        raise click.UsageError(f"{' and '.join(given)} applies only with {needed}", context)


def views_option() -> Callable[[F], F]:
    """Return the decorator that adds ``--views`` to the commands that predict."""
    decorator: Callable[[F], F] = cloup.option(
        "--views",
        type=click.IntRange(min=1, max=64),
        metavar="N",
        help="Average over N views of each photo: itself, its mirror image, random crops. Takes N times as long.  "
        "[default: stored in the model, usually 1]",
    )
    return decorator


def callback_options() -> Callable[[F], F]:
    """Return the decorator that adds the group "Callbacks" to `regraft train`."""
    decorator: Callable[[F], F] = cloup.option_group(
        "Callbacks",
        cloup.option(
            "--early-stop",
            type=int,
            metavar="PATIENCE",
            help="Stop after PATIENCE epochs without a lower val_loss. The best epoch is kept in any case.",
        ),
        cloup.option(
            "--lr-schedule",
            type=Choice(["cosine", "linear", "constant"]),
            help="Schedule of the learning rate after the warm-up; cosine if not given.",
        ),
        cloup.option(
            "--reduce-lr-on-plateau",
            is_flag=True,
            default=None,
            help="Instead of a schedule: divide the learning rate by 10 after 2 epochs without a lower val_loss.",
        ),
        cloup.option(
            "--tensorboard",
            is_flag=True,
            default=None,
            help="Write RUN/tensorboard: metrics, photos with predictions, confusion matrix, projector.",
        ),
        cloup.option(
            "--remote-monitor",
            metavar="URL",
            help="Post the metrics of every epoch to URL, as Keras's RemoteMonitor does.",
        ),
        cloup.option(
            "--track",
            type=Choice(TRACKER_NAMES),
            help="Record settings, metrics of every epoch and final figures in this tracker, by its own package.",
        ),
        cloup.option(
            "--callback",
            multiple=True,
            metavar="MODULE:CLASS",
            callback=_none_if_empty,
            help="Your own callback, from a package or a file in the current folder. Repeatable.",
        ),
    )
    return decorator


def _none_if_empty(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return None if the option was not used, so that a configuration file may set it."""
    return value or None


def resume_options() -> list[Any]:
    """Return the options that `regraft train` and `regraft resume` share; they do not change the result."""
    return [
        cloup.option("--stop-after", metavar="TIME", help="Stop after 20m or 8h, as Ctrl-C does, to resume later."),
        cloup.option(
            "--snapshot-every", metavar="TIME", help="Maximum work that an interruption loses; 30s if not given."
        ),
        cloup.option(
            "--rescue-dir", type=PATH, metavar="DIR", help="Folder for the model if writing to the run folder fails."
        ),
    ]


def listen_options(port: int) -> tuple[Any, ...]:
    """Return the options for the address on which a server listens; ``port`` is the default of ``--port``."""
    return (
        cloup.option(
            "--host",
            default="127.0.0.1",
            show_default=True,
            metavar="ADDRESS",
            help="Address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 for other machines too, with a token.",
        ),
        cloup.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=port,
            show_default=True,
            metavar="N",
            help="Port to listen on; 0 takes any free one.",
        ),
    )
