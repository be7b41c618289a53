"""A seal at the end of a file of another format: a text, and a SHA-256 over everything before it.

These formats have no checksum, or their libraries do not check it. Other programs ignore the seal, because it follows
the end of their content. It is checked before anything else reads the file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

MAGIC = b"regraft!"
_DIGEST = hashlib.sha256().digest_size
_TAIL = 8 + _DIGEST + len(MAGIC)  # length of the text, checksum, magic bytes
_PIECE = 1 << 20


class SealError(ValueError):
    """The file has no seal, or does not match it; the message says which, without the file's name."""


class NotSealedError(SealError):
    """The file has no seal."""


def seal(path: Path, text: str) -> None:
    """Append ``text`` and the checksum to the file.

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
    """Return the content before the seal, and the text of the seal.

    Raises:
        NotSealedError: the file has no seal.
        SealError: the content does not match the checksum.
        OSError: the file cannot be read.
    """
    data = memoryview(path.read_bytes())
    end = len(data) - _DIGEST - len(MAGIC)
    if len(data) < _TAIL or data[-len(MAGIC) :] != MAGIC:
        raise NotSealedError("it was cut short, changed by another program, or not written by regraft")
    length = int.from_bytes(data[end - 8 : end], "little")
    if length > end - 8 or hashlib.sha256(data[:end]).digest() != data[end : end + _DIGEST]:
        raise SealError("its content does not match its checksum")
    return data[: end - 8 - length], str(data[end - 8 - length : end - 8], "utf-8", "surrogatepass")
