"""Callbacks of a training on several processes: process 0 runs them, and the others follow its trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from regraft.callbacks.callback import Logs
from regraft.callbacks.callback_list import HOOKS, CallbackList
from regraft.distributed.world import alone, current
from regraft.errors import WorkersError
from regraft.training.sharding.replica import Replica


class LedCallbacks(CallbackList):
    """The callbacks of one process of several.

    Process 0 calls all of them, the others only those with ``every_rank = True``. Inside a hook a trainer works alone:
    an evaluation in a callback uses no other process. The arguments are those of `CallbackList`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._follows = current().rank > 0
        self._agreed: dict[str, bool] = {}
        super().__init__(*args, **kwargs)

    def refresh(self) -> None:
        """Update the lists of callbacks that override each hook."""
        super().refresh()
        if self._follows:
            for hook, calls in self._hooks.items():
                self._hooks[hook] = [one for one in calls if getattr(one[0], "every_rank", False)]

    def wants(self, hook: str) -> bool:
        """Return whether any callback of process 0 overrides ``hook``."""
        return self._agreed.get(hook, False)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._call("on_train_batch_begin", batch, batch, logs={} if logs is None else logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of the same name of every callback."""
        self._call("on_train_batch_end", batch, batch, logs={} if logs is None else logs)

    def on_epoch_resumed(self, epoch: int) -> None:
        """Call ``on_epoch_begin`` only of callbacks whose state could not be restored completely."""
        self._lead("on_epoch_begin", lambda: super(LedCallbacks, self).on_epoch_resumed(epoch))

    def _call(self, hook: str, position: int | None, *args: Any, **kwargs: Any) -> None:
        if "batch" not in hook or self.wants(hook):
            self._lead(hook, lambda: super(LedCallbacks, self)._call(hook, position, *args, **kwargs))

    def _lead(self, hook: str, call: Callable[[], None]) -> None:
        """Call a hook, and give the changes that it made in process 0 to all processes.

        Raises:
            WorkersError: the hook failed in process 0, and this is another process.
        """
        world, replica = current(), Replica(self._model)
        before, failure, changes = replica.mark(), None, dict[str, Any]()
        with alone():
            try:
                call()
                changes = replica.changes(before) if world.rank == 0 else {}
            except BaseException as error:
                if world.rank:
                    raise
                failure = error
        if world.rank == 0 and "batch" not in hook:
            changes["hooks"] = {name: bool(calls) for name, calls in self._hooks.items() if name in HOOKS}
        text = None if failure is None else f"{type(failure).__name__}: {failure}"
        changes, text = world.broadcast((changes, text))
        if failure is not None:
            raise failure
        if text is not None:
            raise WorkersError(f"process 0 ended the training in {hook}: {text}")
        self._agreed.update(changes.pop("hooks", {}))
        if world.rank:
            replica.apply(changes)
