"""The record of a run: choices, journal, budget, and results that survive an interruption."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from regraft.context.config import TrainConfig
from regraft.disk.atomic import write_json
from regraft.distributed.world import decided_by_first
from regraft.errors import ModelFileError
from regraft.run.folder import FORMAT, RunFolder
from regraft.screen import Screen
from regraft.training import Snapshots
from regraft.training.state_format import read_state, write_state

T = TypeVar("T", bool, int, float, str)


@dataclass(frozen=True)
class Event:
    """An event for the journal.

    Attributes:
        name: of the event.
        facts: its content.
        keys: names of the facts that distinguish events of this name; each is written once per run.
        each_process: whether every process of an interrupted run writes it.
    """

    name: str
    facts: dict[str, Any]
    keys: tuple[str, ...] = ()
    each_process: bool = False


@dataclass(frozen=True)
class Line:
    """A line for the screen: a label, a text, a note, and a detail that only experts want to see."""

    label: str
    text: str
    note: str = ""
    detail: str = ""


class StepResult(Protocol):
    """The result of a step, as it is journaled and printed."""

    def event(self) -> Event | None:
        """Return the event for the journal, if there is one."""

    def line(self) -> Line | None:
        """Return the line for the screen, if there is one."""


@dataclass(frozen=True)
class Report:
    """An event and a line for the screen that are not part of another result."""

    _event: Event | None
    _line: Line | None = None

    def event(self) -> Event | None:
        """Return the event for the journal, if there is one."""
        return self._event

    def line(self) -> Line | None:
        """Return the line for the screen, if there is one."""
        return self._line


@dataclass(frozen=True)
class Decisions:
    """The record of a run in its folder.

    Attributes:
        config: the configuration; `choose` writes it to ``config.json`` together with the choices.
        folder: the run folder.
        screen: where a warning about a full disk goes.
        started: start of this process, in seconds since 1970; the budget runs from then.
        spent: seconds that earlier processes spent on this run.
        replay: choices of the run that this one repeats or resumes, by name.
        choices: choices of this run so far, by name.
        earlier: events in the journal when this process started.
        epochs: rows of ``history.csv`` so far, over all stages of the training.
    """

    config: TrainConfig
    folder: RunFolder
    screen: Screen
    started: float
    spent: float = 0.0
    replay: Mapping[str, Any] = field(default_factory=dict)
    choices: dict[str, bool | int | float | str] = field(default_factory=dict)
    earlier: Sequence[Mapping[str, Any]] = ()
    epochs: list[dict[str, Any]] = field(default_factory=list)
    _warned: set[str] = field(default_factory=set)

    def choose(self, name: str, why: str, make: Callable[[], T]) -> T:
        """Return a choice that depends on a clock or a measurement, after recording it.

        Args:
            name: of the choice; it is looked up in ``replay`` first.
            why: the reason, for the journal.
            make: returns the choice; called only if there is none to replay.
        """
        replayed = name in self.replay
        value: T = self.replay[name] if replayed else decided_by_first(make)
        if name in self.choices:
            return value
        self.choices[name] = value
        if not _has_event(self.earlier, "choice", what=name):
            self.write_or_warn(self.folder.journal.choice, name, value, "replayed" if replayed else why)
        self.write_or_warn(self.write_config)
        return value

    def write_config(self) -> None:
        """Write the configuration and the choices to ``config.json``.

        Raises:
            OSError: it cannot be written.
        """
        write_json(self.folder.config, {"format": FORMAT, **self.config.as_dict(), "choices": self.choices})

    def note(self, event: str, **facts: Any) -> None:
        """Write an event to the journal. If writing fails, warn once and continue."""
        self.write_or_warn(self.folder.journal.add, event, **facts)

    def note_once(self, event: str, *keys: str, **facts: Any) -> None:
        """Write an event to the journal unless it was written before an interruption.

        Args:
            event: its name.
            *keys: names of the facts that distinguish events of this name.
            **facts: its content.
        """
        if not _has_event(self.earlier, event, **{key: facts[key] for key in keys}):
            self.note(event, **facts)

    def report(self, *results: StepResult) -> None:
        """Journal and print the results of steps."""
        for result in results:
            event, line = result.event(), result.line()
            if event is not None and event.each_process:
                self.note(event.name, **event.facts)
            elif event is not None:
                self.note_once(event.name, *event.keys, **event.facts)
            if line is not None and line.text:
                self.screen.line(line.label, line.text, line.note)
            if line is not None and line.detail:
                self.screen.detail("" if line.text else line.label, line.detail)

    def write_or_warn(self, write: Callable[..., None], *arguments: Any, **more: Any) -> None:
        """Write something optional. If writing fails, warn once and continue."""
        try:
            write(*arguments, **more)
        except OSError as error:
            why = error.strerror or str(error)
            if why not in self._warned:
                self._warned.add(why)
                self.screen.warn(f"cannot write to {self.folder.path}: {why}; the run continues")

    def snapshots(self, stage: str) -> Snapshots:
        """Return the snapshots of one stage of the training."""
        return Snapshots(self.folder.resume / stage, every=self.config.snapshot_every, identity={"stage": stage})

    def memoized(self, name: str, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the result of ``make``, from disk if it was computed before an interruption.

        Args:
            name: of the file.
            key: hash of everything that the result depends on.
            make: returns numbers, texts, arrays, and lists and dicts of them.
        """
        return decided_by_first(lambda: self._read_or_make(name, key, make))

    def _read_or_make(self, name: str, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        path = self.folder.resume / f"{name}.safetensors"
        try:
            stored = read_state(path)
            if stored.get("key") == key:
                return dict(stored["value"])
        except ModelFileError:  # missing or damaged: it is computed again
            pass
        value = make()
        self.write_or_warn(write_state, path, {"key": key, "value": value})
        return value

    def seconds_left(self) -> float | None:
        """Return the budget left in seconds, or None without a budget."""
        if self.config.budget is None:
            return None
        return self.config.budget - self.spent - (time.time() - self.started)


def _has_event(events: Sequence[Mapping[str, Any]], event: str, **facts: Any) -> bool:
    return any(e.get("event") == event and all(e.get(k) == v for k, v in facts.items()) for e in events)
