"""Choices in exports of Label Studio: JSON and JSON-MIN. Its CSV is a table like any other.

https://labelstud.io/guide/export describes the formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from regraft.data.file_types import PHOTO_SUFFIXES
from regraft.data.tables.columns import ColumnNames
from regraft.data.tables.table import Row, Table
from regraft.errors import PhotosError
from regraft.text import counted, shorten

_SHOWN = 5
_IN_TASK = frozenset({"annotation_id", "annotator", "lead_time", "created_at", "updated_at", "id", "agreement"})
_AGREE = "mark the right annotation of each as ground truth (the star) in Label Studio, and export again"


@dataclass(frozen=True)
class _Task:
    """A task with its answers.

    Attributes:
        number: its number in Label Studio.
        photo: the address of its photo.
        answers: the choices of each annotation.
    """

    number: int
    photo: str
    answers: tuple[tuple[str, ...], ...]


def is_label_studio(value: Any) -> bool:
    """Return whether the content of a JSON file is an export of Label Studio: JSON or JSON-MIN."""
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(first, dict):
        return False
    full = isinstance(first.get("data"), dict) and ("annotations" in first or "completions" in first)
    return full or ("annotation_id" in first and "annotator" in first)


def label_studio_table(value: Sequence[Any], table: Table, named: ColumnNames) -> Table:
    """Return the choices of the tasks in an export.

    Several annotations of a task have to agree, or one of them is the ground truth. Canceled annotations and tasks
    without one are left out.

    Args:
        value: the content of the file.
        table: name, title and folder of the file.
        named: the field of the photo, and the name of the choices, where there are several.

    Raises:
        PhotosError: the export is damaged, annotations of a task differ, or a task has several choices or photos.
    """
    full = "data" in value[0]
    try:
        tasks = list(_tasks(value, table, named)) if full else list(_small_tasks(value, table, named))
    except (KeyError, TypeError, AttributeError) as error:
        raise PhotosError(f"{table.title}: the export of Label Studio is damaged ({error!r})") from error
    answered = [task for task in tasks if any(task.answers)]
    _check_answers(answered, table)
    rows: list[Row] = [
        (task.number, [local_path(task.photo), next(filter(None, task.answers))[0]]) for task in answered
    ]
    if not rows:
        raise PhotosError(
            f"{table.title}: none of the {len(tasks):,} tasks has a choice\n  expected an export of annotated tasks"
        )
    notes = []
    if len(rows) < len(tasks):
        left_out = counted(len(tasks) - len(rows), "task has", "tasks have")
        notes.append(f"{table.name}: {left_out} no annotation, or only canceled ones, and are left out")
    return table.with_labels(rows, notes, "task")


def _tasks(value: Sequence[Any], table: Table, named: ColumnNames) -> Iterator[_Task]:
    """Yield the tasks of the format JSON."""
    choices = _one_of(
        {str(result.get("from_name")) for task in value for one in _annotations(task) for result in _choices(one)},
        named.label,
        f"{table.title}: the tasks have several choices",
        "--label-column",
    )
    field = _photo_field([task["data"] for task in value], table, named)
    for task in value:
        valid = [one for one in _annotations(task) if not one.get("was_cancelled")]
        truths = [one for one in valid if one.get("ground_truth")]
        answers = []
        for one in truths or valid:
            picked = [r["value"]["choices"] for r in _choices(one) if choices in (None, str(r.get("from_name")))]
            answers.append(tuple(str(choice) for values in picked for choice in values))
        yield _Task(int(task.get("id", 0)), str(task["data"].get(field) or ""), tuple(answers))


def _annotations(task: Mapping[str, Any]) -> list[Any]:
    return list(task.get("annotations") or task.get("completions") or ())


def _choices(annotation: Mapping[str, Any]) -> list[Any]:
    return [one for one in annotation.get("result") or () if one.get("type") == "choices"]


def _small_tasks(value: Sequence[Any], table: Table, named: ColumnNames) -> Iterator[_Task]:
    """Yield the tasks of the format JSON-MIN, which has an object for each annotation."""
    field = _photo_field(value, table, named)
    fields = {
        name for one in value for name, given in one.items() if _choice_values(given) and name != field
    } - _IN_TASK
    choices = _one_of(fields, named.label, f"{table.title}: the tasks have several choices", "--label-column")
    by_task: dict[int, list[Mapping[str, Any]]] = {}
    for one in value:
        by_task.setdefault(int(one["id"]), []).append(one)
    for number, given in by_task.items():
        answers = tuple(_choice_values(one.get(choices or "")) for one in given)
        yield _Task(number, str(given[0].get(field) or ""), answers)


def _choice_values(given: Any) -> tuple[str, ...]:
    if isinstance(given, dict) and isinstance(given.get("choices"), list):
        return tuple(str(choice) for choice in given["choices"])
    return (given,) if isinstance(given, str) and given else ()


def _photo_field(data: Sequence[Mapping[str, Any]], table: Table, named: ColumnNames) -> str:
    fields = {name for one in data for name, value in one.items() if isinstance(value, str) and _is_photo(value)}
    field = _one_of(fields, named.path, f"{table.title}: the tasks have several photos", "--path-column")
    if field is None:
        raise PhotosError(
            f"{table.title}: the tasks have no photos\n  --path-column NAME names the field with their addresses"
        )
    return field


def _is_photo(address: str) -> bool:
    path = local_path(address).casefold()
    return path.endswith(tuple(PHOTO_SUFFIXES))


def _one_of(names: set[str], named: str | None, problem: str, option: str) -> str | None:
    if named is not None:
        return named
    if len(names) > 1:
        raise PhotosError(f"{problem}: {', '.join(sorted(names))}\n  {option} NAME says which")
    return next(iter(names), None)


def _check_answers(tasks: Sequence[_Task], table: Table) -> None:
    """Check that each task has one class.

    Raises:
        PhotosError: an annotation has several choices, or annotations differ.
    """
    several = [f"task {one.number} ({', '.join(a)})" for one in tasks for a in one.answers if len(a) > 1]
    if several:
        raise PhotosError(
            f"{table.title}: {counted(len(several), 'annotation has', 'annotations have')} several choices: "
            f"{shorten(several, _SHOWN)}\n  expected one class for each photo"
        )
    classes_of_task = {one.number: sorted({answer[0] for answer in one.answers if answer}) for one in tasks}
    differ = [f"task {number} ({', '.join(names)})" for number, names in classes_of_task.items() if len(names) > 1]
    if differ:
        raise PhotosError(
            f"{table.title}: annotators disagree about {counted(len(differ), 'task')}: {shorten(differ, _SHOWN)}"
            f"\n  {_AGREE}"
        )


def local_path(address: str) -> str:
    """Return the path that an address of Label Studio means on the disk; an address of a cloud stays as it is.

    ``/data/local-files/?d=ants/1.jpg`` is ``ants/1.jpg``, and ``/data/upload/3/ab12cd34-1.jpg`` is an uploaded file,
    whose name begins with eight digits that Label Studio adds.
    """
    parts = urlsplit(address)
    if parts.path.rstrip("/").endswith("/data/local-files"):
        given = next((part[2:] for part in parts.query.split("&") if part.startswith("d=")), "")
        return unquote(given).lstrip("/")  # parse_qs would turn "+" into a space
    uploaded = re.search(r"/data/upload/(?:\d+/)?(.+)", parts.path)
    if uploaded is not None:
        return unquote(uploaded[1])
    return f"{parts.scheme}://{parts.netloc}{unquote(parts.path)}" if parts.scheme in ("http", "https") else address
