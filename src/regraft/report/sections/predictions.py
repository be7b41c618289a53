"""Photos: the first one of each class, mistakes with their nearest training photos, and right predictions."""

from __future__ import annotations

from collections.abc import Sequence

from regraft.report.elements import details, file_name, picture, section, unbroken_percent
from regraft.report.page import name, text
from regraft.report.run_data import RunData
from regraft.report.selection import MAX_CLASSES, PredictedPhoto, mistakes_to_show, right_to_show
from regraft.text import counted, percent

AT_ONCE = 6
"""Mistakes of a class that are shown at once."""

CLASSES_AT_ONCE = 12
"""Classes whose photos are shown at once; those of further classes after a click on their names."""

MAX_NAMED = 1000
"""Mistakes that are named; the others are in ``predictions.csv``."""

_FILTER = (
    '<p id="filter" hidden><span id="filter-text" role="status"></span> '
    '<button type="button" id="show-all">Show all photos</button></p>'
)


def first_photos(run: RunData) -> str:
    """Return the first photo of each class with its label."""
    first: dict[str, str] = {}
    for entry in run.photos.entries:
        if entry.status == "ok":
            first.setdefault(entry.label, entry.name)
    labels = run.classes or sorted(first)
    counts: dict[str, int] = {}
    for entry in run.photos.entries:
        counts[entry.label] = counts.get(entry.label, 0) + (entry.status == "ok")
    tiles = [
        f'<figure class="tile">{picture(run.photos, first[label])}<figcaption><b>{name(label)}</b><br>'
        f"{counted(counts[label], 'photo')}</figcaption></figure>"
        for label in labels[:MAX_CLASSES]
        if label in first
    ]
    if not tiles:
        return ""
    more = f'<p class="note">and {len(labels) - MAX_CLASSES:,} more classes</p>' if len(labels) > MAX_CLASSES else ""
    return section("classes", "The classes", f'<div class="tiles">{"".join(tiles)}</div>{more}')


def predictions(run: RunData) -> str:
    """Return the page of predictions: each class with its mistakes, the worst first, and some right predictions."""
    photos = run.photos.predicted
    if not photos:
        return ""
    wrong = [photo for photo in photos if not photo.is_right]
    mistakes, right = mistakes_to_show(photos), right_to_show(photos)
    labels = [label for label in run.classes if any(photo.label == label for photo in (*mistakes, *right))]
    if len(labels) > CLASSES_AT_ONCE:
        worst = [photo.label for photo in mistakes]
        labels.sort(key=lambda label: worst.index(label) if label in worst else len(worst))
    of_class = [
        _class(
            run,
            label,
            [photo for photo in mistakes if photo.label == label],
            [photo for photo in right if photo.label == label],
            is_open=position < CLASSES_AT_ONCE,
        )
        for position, label in enumerate(labels)
    ]
    shown = f"The {len(mistakes):,} worst are shown. " if len(mistakes) < len(wrong) else ""
    intro = (
        f"<p>{counted(len(wrong), 'mistake')} in {counted(len(photos), 'photo')}. {shown}The worst are first. Next to "
        "each mistake are the three training photos that look most like it to the network: they show wrong labels, "
        "copies, and pairs of classes that are hard to tell apart.</p>"
        if wrong
        else f"<p>No mistakes in {counted(len(photos), 'photo')}. The least sure predictions are first.</p>"
    )
    return section(
        "predictions", "Predictions", intro, _FILTER, "".join(of_class), _all_mistakes(run, wrong, len(mistakes))
    )


def _class(
    run: RunData, label: str, mistakes: Sequence[PredictedPhoto], right: Sequence[PredictedPhoto], *, is_open: bool
) -> str:
    cards = [_mistake(run, photo) for photo in mistakes]
    tiles = "".join(_right(run, photo) for photo in right)
    head = f"{name(label)} <small>{counted(len(mistakes), 'mistake') if mistakes else 'no mistakes'} shown</small>"
    worst = f'<div class="cards">{"".join(cards[:AT_ONCE])}</div>' if cards else ""
    rest = "".join(cards[AT_ONCE:])
    more = details(f"{len(cards) - AT_ONCE} more of its mistakes", f'<div class="cards">{rest}</div>') if rest else ""
    good = f'<div class="tiles">{tiles}</div>' if tiles else ""
    return f'<div class="of-class">{details(head, worst + more + good, is_open=is_open)}</div>'


def _mistake(run: RunData, photo: PredictedPhoto) -> str:
    nearest = "".join(
        f'<figure class="near{" other" if label != photo.label else ""}">{picture(run.photos, path, small=True)}'
        f"<figcaption>{name(label)}<span class='hidden'> {text(path)}</span></figcaption></figure>"
        for path, label, _ in run.photos.neighbors.get(photo.path, ())
    )
    row = f'<div class="nearest"><span class="note">nearest training photos</span>{nearest}</div>' if nearest else ""
    return (
        f'<article class="mistake" data-pair="{run.pair(photo)}">'
        f"{picture(run.photos, photo.path)}<div><p>labeled <b>{name(photo.label)}</b><br>"
        f'<span class="wrong">predicted {name(photo.predicted)}, {unbroken_percent(photo.probability)}</span><br>'
        f"{file_name(photo.path)}</p>{row}</div></article>"
    )


def _right(run: RunData, photo: PredictedPhoto) -> str:
    return (
        f'<figure class="tile right" data-pair="{run.pair(photo)}">'
        f'{picture(run.photos, photo.path)}<figcaption><b>{name(photo.label)}</b><br><span class="good">right, '
        f"{unbroken_percent(photo.probability)}</span></figcaption></figure>"
    )


def _all_mistakes(run: RunData, wrong: Sequence[PredictedPhoto], shown: int) -> str:
    """Return the names of all mistakes, if not all of them are shown."""
    if len(wrong) <= shown:
        return ""
    rows = "".join(
        f'<li data-pair="{run.pair(photo)}">{name(photo.path)}: '
        f"{name(photo.label)}, predicted {name(photo.predicted)} {percent(photo.probability)}</li>"
        for photo in sorted(wrong, key=lambda photo: (-photo.confusion, photo.path))[:MAX_NAMED]
    )
    more = "" if len(wrong) <= MAX_NAMED else f" <small>the worst {MAX_NAMED:,}; all are in predictions.csv</small>"
    return details(f"All {len(wrong):,} mistakes by name{more}", f'<ol class="names">{rows}</ol>')
