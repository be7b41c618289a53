"""`regraft backbones`: pretrained networks to start from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cloup

from regraft.cli.options import output_options, pass_session
from regraft.cli.output import Session
from regraft.errors import BackboneError, did_you_mean

if TYPE_CHECKING:
    from regraft.advice.networks import MeasuredNetwork
    from regraft.models.catalogue import BackboneInfo

STARTING_POINTS = (
    "convnext_tiny",
    "deit3_small_patch16_224",
    "efficientnet_b0",
    "mobilenetv3_large_100",
    "resnet18",
    "resnet50",
    "swin_tiny_patch4_window7_224",
    "vit_small_patch14_dinov2",
)

_EXAMPLES = """\b
Examples:
  regraft backbones
  regraft backbones 'convnext*'
  regraft train photos --backbone resnet18
  regraft train photos --backbone resnet18+resnet50"""


@cloup.command(name="backbones", short_help="List pretrained networks.", epilog=_EXAMPLES)
@cloup.argument("pattern", required=False, help="Part of a name, or a pattern such as 'vit_*_224'; '*' for all.")
@output_options(quiet="Print only names.")
@pass_session
def backbones(session: Session, pattern: str | None) -> None:
    """List the networks whose name matches PATTERN, with parameters, input size, license and location of the weights.

    Without PATTERN: networks whose weights are on this machine, and a few good starting points. The last column is the
    mean accuracy of the linear probe minus that with the default network, on the folders of `regraft advise`.
    """
    from regraft.advice.networks import measured_networks
    from regraft.models.catalogue import list_backbones

    every = list_backbones(pattern or "")
    if not every:
        near = did_you_mean(pattern or "", [info.name for info in list_backbones()])
        raise BackboneError(f"no backbone matches {pattern!r}{near}")
    few = [info for info in every if info.offline or info.name in STARTING_POINTS] if pattern is None else every
    measured = measured_networks()
    if session.json:
        rows = [{**dataclasses.asdict(info), "measured": _figures(info, measured)} for info in every]
        session.print_json({"backbones": rows})
    elif session.quiet:
        for info in every:
            session.print(info.name)
    else:
        _show(session, few, len(every) - len(few), measured)


def _show(
    session: Session, shown: Sequence[BackboneInfo], left_out: int, measured: Mapping[str, MeasuredNetwork]
) -> None:
    head = ("name", "parameters", "pixels", "license", "trained on", "weights", "measured")
    rows = [(*_row(info), _measured_text(info, measured)) for info in shown]
    session.table([head, *rows], right=(1, 2), optional=(4, 2, 1))
    if left_out:
        session.print(f"\n{left_out:,} more: regraft backbones PATTERN, such as 'convnext*', or '*' for all")


def _row(info: BackboneInfo) -> tuple[str, ...]:
    height, width = info.size
    license_name = info.licence or ("unknown" if info.pretrained else "")
    return (
        info.name,
        "" if info.parameters is None else f"{info.parameters / 1e6:,.1f} M",
        str(height) if height == width else f"{height}x{width}",
        f"{license_name} (non-commercial)" if info.commercial is False else license_name,
        info.trained_on,
        "local" if info.offline else "to download" if info.pretrained else "none",
    )


def _figures(info: BackboneInfo, measured: Mapping[str, MeasuredNetwork]) -> dict[str, float | int] | None:
    """Return the measured figures of a network as JSON values, or None."""
    network = measured.get(info.name)
    return None if network is None else dataclasses.asdict(network)


def _measured_text(info: BackboneInfo, measured: Mapping[str, MeasuredNetwork]) -> str:
    from regraft.models.catalogue import DEFAULT_BACKBONE

    if info.name == DEFAULT_BACKBONE:
        return "the reference"
    network = measured.get(info.name)
    if network is None:
        return ""
    return f"{network.points:+.1f} ± {network.standard_error:.1f} points, {network.folders} folders"
