"""A seal behind a file of another format: a text of ours, and a SHA-256 over all that stands before it.

Such formats have no checksum, or one that their libraries do not look at. To programs that know nothing of the seal it
is what lies behind the end of the file. It is checked here before anything else looks at the content.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

MAGIC = b"regraft!"
_DIGEST = hashlib.sha256().digest_size
_TAIL = 8 + _DIGEST + len(MAGIC)  # length of the text, checksum, what a seal is known by
_PIECE = 1 << 20


class SealError(ValueError):
    """The file is not sealed, or has changed since; the message says which, without the file's name."""


class NotSealedError(SealError):
    """The file has no seal at all."""


def seal(path: Path, text: str) -> None:
    """Put ``text`` and the checksum behind the end of the file.

    Raises:
        OSError: the file cannot be written.
    """
    raw = text.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256()
    with path.open("rb+") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
        rest = raw + len(raw).to_bytes(8, "little")
        digest.update(rest)
        file.write(rest + digest.digest() + MAGIC)


def read_sealed(path: Path) -> tuple[memoryview, str]:
    """Return what stands before the seal, and its text.

    Raises:
        NotSealedError: there is no seal.
        SealError: the content does not fit it.
        OSError: the file cannot be read.
    """
    data = memoryview(path.read_bytes())
    end = len(data) - _DIGEST - len(MAGIC)
    if len(data) < _TAIL or data[-len(MAGIC) :] != MAGIC:
        raise NotSealedError("it was cut short, changed by another program, or not written by regraft")
    length = int.from_bytes(data[end - 8 : end], "little")
    if length > end - 8 or hashlib.sha256(data[:end]).digest() != data[end : end + _DIGEST]:
        raise SealError("its content does not fit its checksum")
    return data[: end - 8 - length], str(data[end - 8 - length : end - 8], "utf-8", "surrogatepass")
