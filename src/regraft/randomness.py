"""Counter-based randomness: a random draw is a pure function of its key, never of earlier draws.

The key of a draw is a tuple of parts such as ``("order", seed, epoch)`` or ``("view", seed, view, content)``. The same
key gives the same draw in any process, on any thread, after any restart and on every platform: the parts are hashed
(BLAKE2b) into the key of a counter-based generator (Philox).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Part: TypeAlias = str | int | bytes


def derive(*parts: Part) -> int:
    """Return a 128-bit integer that depends on all ``parts``, their order and their types."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, (str, int, bytes)):
            raise TypeError(f"a key of randomness is str, int or bytes, not {type(part).__name__}")
        kind = {str: b"s", int: b"i", bytes: b"b"}[type(part)]
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        digest.update(kind + len(data).to_bytes(8, "little") + data)
    return int.from_bytes(digest.digest(), "little")


def fraction(*parts: Part) -> float:
    """Return a number in [0, 1) that depends on all ``parts``."""
    return (derive(*parts) >> 75) / float(1 << 53)


def generator(*parts: Part) -> np.random.Generator:
    """Return a NumPy generator whose stream depends on all ``parts`` and on nothing else."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=derive(*parts)))


def permutation(n: int, *parts: Part) -> NDArray[np.int64]:
    """Return an order of ``range(n)``, shape (n,), int64, that depends on ``n`` and all ``parts``."""
    import numpy as np

    return generator(n, *parts).permutation(n).astype(np.int64)
