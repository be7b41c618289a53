"""The callback that sends the logs of each epoch to a server."""

from __future__ import annotations

import contextlib
import json
import math
import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, ClassVar

from regraft.callbacks.callback import Callback, Logs
from regraft.errors import TrainingError


class RemoteMonitor(Callback):
    """Post the logs of each epoch to a server, as Keras does, but without waiting for the server.

    A separate thread makes the requests, from a queue that contains `queue_size` of them. A slow, unreachable or
    failing server causes one warning; the end of training reports how many epochs did not arrive.

    Example:
        >>> monitor = RemoteMonitor(root='http://localhost:9000')
        >>> history = model.fit(x, y, epochs=2, callbacks=[monitor], verbose=0)  # doctest: +ELLIPSIS
        !        RemoteMonitor: could not reach http://localhost:9000: ...; training continues
        !        RemoteMonitor: 2 of 2 epochs did not reach http://localhost:9000

    Args:
        root: address of the server, beginning with ``http://`` or ``https://``.
        path: path of the address, appended to ``root``.
        field: name of the form field that contains the logs as JSON.
        headers: additional headers.
        send_as_json: send the logs as the body, with type ``application/json``, instead of a form. NaN and infinite
            values, which JSON does not have, are then null.

    Attributes:
        sent: number of epochs that the server accepted; known when training has ended.
        dropped: number of epochs that it did not accept, or that did not fit into the queue.

    Raises:
        TrainingError: ``root`` is not the address of a web server.
    """

    timeout: ClassVar[float] = 3.0  # seconds that a request may take, and maximum wait at the end of training
    queue_size: ClassVar[int] = 100

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        if not root.startswith(("http://", "https://")):
            raise TrainingError(
                f"RemoteMonitor: root is {root!r}; expected an address that begins with http:// or https://"
            )
        self.root, self.path, self.field = root, path, field
        self.headers, self.send_as_json = headers, send_as_json
        self.sent = self.dropped = 0
        self._warned = False
        self._sender: _Sender | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Reset the counts."""
        self.sent = self.dropped = 0
        self._warned = False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the logs into the queue."""
        if self._sender is None:
            self._sender = _Sender(self.root + self.path, self._headers(), self.timeout, self.queue_size)
            self._sender.start()
        self._sender.put(self._body({"epoch": epoch} | {name: _plain(value) for name, value in (logs or {}).items()}))
        self._warn_once(self._sender)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Wait up to `timeout` seconds for the remaining requests, and report how many epochs did not arrive."""
        self.close()
        if self.dropped:
            self.warn(f"{self.dropped} of {self.sent + self.dropped} epochs did not reach {self.root}")

    def close(self) -> None:
        """End the thread; requests that are still waiting are dropped."""
        if self._sender is None:
            return
        sender, self._sender = self._sender, None
        self.sent, self.dropped = sender.finish()
        self._warn_once(sender)

    def _warn_once(self, sender: _Sender) -> None:
        if sender.failure is not None and not self._warned:
            self._warned = True
            self.warn(f"could not reach {self.root}: {sender.failure}; training continues")

    def _headers(self) -> dict[str, str]:
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        return {"Content-Type": kind, "User-Agent": "regraft", **(self.headers or {})}

    def _body(self, figures: dict[str, Any]) -> bytes:
        if self.send_as_json:
            return json.dumps({name: _finite(value) for name, value in figures.items()}).encode()
        return urllib.parse.urlencode({self.field: json.dumps(figures)}).encode()


class _Sender(threading.Thread):
    """A thread that posts the requests of its queue, one after the other."""

    def __init__(self, address: str, headers: dict[str, str], timeout: float, size: int) -> None:
        super().__init__(name="RemoteMonitor", daemon=True)
        self.failure: str | None = None
        self._address, self._headers, self._timeout = address, headers, timeout
        self._queue: queue.Queue[bytes | None] = queue.Queue(size)
        self._given = self._sent = 0
        self._ended = False

    def put(self, body: bytes) -> None:
        """Add a body to the queue, or drop it if the queue is full."""
        self._given += 1
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(body)

    def finish(self) -> tuple[int, int]:
        """Wait up to ``timeout`` seconds; return the number of bodies that arrived and of those that did not."""
        end = time.monotonic() + self._timeout
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=self._timeout)
        self.join(max(0.0, end - time.monotonic()))
        self._ended = True
        sent = self._sent
        return sent, self._given - sent

    def run(self) -> None:
        """Post bodies until the queue ends."""
        while not self._ended and (body := self._queue.get()) is not None:
            failure = self._post(body)
            if failure is None:
                self._sent += 1
            else:
                self.failure = self.failure or failure

    def _post(self, body: bytes) -> str | None:
        """Send one request; return the reason of a failure, or None."""
        try:
            request = urllib.request.Request(self._address, body, self._headers, method="POST")  # noqa: S310
            with urllib.request.urlopen(request, timeout=self._timeout):  # noqa: S310 (http or https: checked above)
                return None
        except urllib.error.HTTPError as error:
            return f"it answered {error.code}"
        except (OSError, HTTPException, ValueError) as error:
            return str(getattr(error, "reason", error)) or type(error).__name__


def _plain(value: Any) -> Any:
    as_list = getattr(value, "tolist", None)
    return as_list() if callable(as_list) else value


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
