"""`regraft tune`: how fast this machine runs a frozen network, measured once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloup

from regraft.cli.options import PATH, network_options, output_options, pass_session, workers_option
from regraft.cli.output import Session

if TYPE_CHECKING:
    from regraft.features.tune import EngineSpeed

_EXAMPLES = """\b
Examples:
  regraft tune photos
  regraft tune photos --backbone resnet18"""


@cloup.command(name="tune", short_help="Measure which engine runs a network fastest here.", epilog=_EXAMPLES)
@cloup.argument("photos", type=PATH, required=False, help="A folder of photos that the engines are certified on.")
@network_options()
@cloup.option_group("Machine", workers_option())
@output_options(quiet="Print the name of the fastest engine that may be used alone.")
@pass_session
def tune(
    session: Session,
    /,
    photos: Path | None,
    backbone: str | None,
    weights: Path | None,
    size: int | None,
    workers: int | None,
) -> None:
    """Measure how fast each engine runs the frozen network on this machine, and keep that for every later run.

    Until then regraft goes by estimates. With PHOTOS the engines are also certified: the features of real photos must
    be those of torch in single precision, up to a cosine of 0.999. Nothing of it changes what a run that is repeated
    from its config.json does.
    """
    from regraft.features.tune import ROUNDS, machine_is_busy
    from regraft.features.tune import measure_engines as measure
    from regraft.models.zoo import build_backbone
    from regraft.process import keep_freed_memory

    keep_freed_memory()
    named: dict[str, Any] = {} if backbone is None else {"name": backbone}
    network = build_backbone(**named, weights=weights, size=size)
    pixels = None if photos is None else _real(photos, network, workers)
    from regraft.features.engine_choice import candidates

    screen = session.screen()
    with screen.progress("tune", ROUNDS * len(candidates()), unit="turns") as bar:
        found = measure(network, pixels, bar)
    if machine_is_busy():
        screen.warn("the machine is busy with something else: nothing is kept; measure again when it is quiet")
    if session.json:
        session.print_json({"network": network.spec.name, "engines": [_facts(measured) for measured in found]})
    elif session.quiet:
        session.print(next(measured.title for measured in found if measured.certified))
    else:
        _show(session, found)


def _real(photos: Path, network: Any, workers: int | None) -> Any:
    from regraft.data.manifest import scan
    from regraft.data.source import find_photos
    from regraft.data.threads import workers_or_default
    from regraft.errors import PhotosError
    from regraft.features.engine_choice import CERTIFICATION_PHOTOS, real_photos

    source = find_photos(photos, one_class=True)
    manifest = scan(source, workers=workers_or_default(workers))
    pixels = real_photos(manifest.usable, network, workers)
    if len(pixels) < CERTIFICATION_PHOTOS // 2:
        raise PhotosError(
            f"{photos}: engines are certified on {CERTIFICATION_PHOTOS} photos, and {len(pixels)} could be decoded"
        )
    return pixels


def _facts(measured: EngineSpeed) -> dict[str, Any]:
    return {
        "engine": measured.title,
        "photos_per_second": round(measured.photos_per_second, 1),
        "cosine": None if measured.cosine is None else round(measured.cosine, 6),
        "certified": measured.certified,
    }


def _show(session: Session, found: list[EngineSpeed]) -> None:
    from regraft.text import columns

    words = {None: "certified at its first use", True: "certified", False: "not used: its features differ"}
    rows = [
        (
            measured.title,
            f"{measured.photos_per_second:,.0f}" if measured.photos_per_second else "–",
            "" if measured.cosine is None else f"{measured.cosine:.5f}",
            words[measured.certified],
        )
        for measured in found
    ]
    for line in columns([("engine", "photos/s", "cosine", ""), *rows], right=(1, 2)):
        session.print(line)
