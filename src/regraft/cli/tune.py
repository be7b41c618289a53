"""`regraft tune`: the speed of each engine for frozen networks on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloup

from regraft.cli.options import PATH, network_options, output_options, pass_session, workers_option
from regraft.cli.output import Session

if TYPE_CHECKING:
    from regraft.features.engines.tune import EngineSpeed

_EXAMPLES = """\b
Examples:
  regraft tune photos
  regraft tune photos --backbone resnet18"""


@cloup.command(name="tune", short_help="Measure which engine runs a network fastest here.", epilog=_EXAMPLES)
@cloup.argument("photos", type=PATH, required=False, help="A folder of photos to certify the engines with.")
@network_options()
@cloup.option_group("Machine", workers_option())
@output_options(quiet="Print only the name of the fastest certified engine.")
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
    """Measure the speed of each engine for the frozen network on this machine, and store it for all later runs.

    Without this, regraft uses estimates. With PHOTOS the engines are also certified: their features of real photos must
    match those of torch in single precision, with a cosine of at least 0.999. A run that is repeated from its
    config.json is not affected.
    """
    from regraft.features.engines.engine_choice import candidates
    from regraft.features.engines.tune import ROUNDS, machine_is_busy, measure_engines
    from regraft.models.zoo import build_backbone
    from regraft.process import keep_freed_memory

    keep_freed_memory()
    name: dict[str, Any] = {} if backbone is None else {"name": backbone}
    network = build_backbone(**name, weights=weights, size=size)
    pixels = None if photos is None else _decode(photos, network, workers)
    screen = session.screen()
    with screen.progress("tune", ROUNDS * len(candidates()), unit="turns") as bar:
        engines = measure_engines(network, pixels, bar)
    if machine_is_busy():
        screen.warn("the machine is busy with other work, so the result is not stored; measure again when it is idle")
    if session.json:
        session.print_json({"network": network.spec.name, "engines": [_facts(engine) for engine in engines]})
    elif session.quiet:
        session.print(next(engine.title for engine in engines if engine.certified))
    else:
        _show(session, engines)


def _decode(photos: Path, network: Any, workers: int | None) -> Any:
    """Return pixels of some photos, to certify engines with."""
    from regraft.data.manifest import scan
    from regraft.data.source import find_photos
    from regraft.data.threads import workers_or_default
    from regraft.errors import PhotosError
    from regraft.features.engines.certification import CERTIFICATION_PHOTOS, real_photos

    source = find_photos(photos, one_class=True, folders="classes")
    manifest = scan(source, workers=workers_or_default(workers))
    pixels = real_photos(manifest.usable, network, workers)
    if len(pixels) < CERTIFICATION_PHOTOS // 2:
        raise PhotosError(
            f"{photos}: certifying engines needs {CERTIFICATION_PHOTOS} photos, but only {len(pixels)} could be decoded"
        )
    return pixels


def _facts(measured: EngineSpeed) -> dict[str, Any]:
    return {
        "engine": measured.title,
        "photos_per_second": round(measured.photos_per_second, 1),
        "cosine": None if measured.cosine is None else round(measured.cosine, 6),
        "certified": measured.certified,
    }


def _show(session: Session, engines: list[EngineSpeed]) -> None:
    status = {None: "certified at first use", True: "certified", False: "not used: its features differ"}
    rows = [
        (
            measured.title,
            f"{measured.photos_per_second:,.0f}" if measured.photos_per_second else "–",
            "" if measured.cosine is None else f"{measured.cosine:.5f}",
            status[measured.certified],
        )
        for measured in engines
    ]
    session.table([("engine", "photos/s", "cosine", ""), *rows], right=(1, 2), optional=(2,))
