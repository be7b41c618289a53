"""Counter-based randomness: a random draw is a pure function of its key, never of earlier draws.

The key of a draw is a tuple of parts such as ``("order", seed, epoch)`` or ``("view", seed, view, content)``. The same
key gives the same draw in any process, on any thread, after any restart and on every platform: the parts are hashed
(BLAKE2b) into the key of a counter-based generator (Philox).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Part: TypeAlias = str | int | bytes


def derive(*parts: Part) -> int:
    """Return a 128-bit integer that depends on all ``parts``, their order and their types."""
    return int.from_bytes(_hashed(hashlib.blake2b(digest_size=16), parts).digest(), "little")


def _hashed(digest: hashlib.blake2b, parts: Iterable[Part]) -> hashlib.blake2b:
    """Add ``parts``, with their types and lengths, to a hash, and return it."""
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, (str, int, bytes)):
            raise TypeError(f"a key of randomness is str, int or bytes, not {type(part).__name__}")
        kind = {str: b"s", int: b"i", bytes: b"b"}[type(part)]
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        digest.update(kind + len(data).to_bytes(8, "little") + data)
    return digest


def fraction(*parts: Part) -> float:
    """Return a number in [0, 1) that depends on all ``parts``."""
    return (derive(*parts) >> 75) / float(1 << 53)


def fractions(*parts: Part) -> Callable[[Part], float]:
    """Return the function ``f(last) = fraction(*parts, last)``, which hashes ``parts`` once for many draws."""
    begun = _hashed(hashlib.blake2b(digest_size=16), parts)

    def of(last: Part) -> float:
        return (int.from_bytes(_hashed(begun.copy(), (last,)).digest(), "little") >> 75) / float(1 << 53)

    return of


def generator(*parts: Part) -> np.random.Generator:
    """Return a NumPy generator whose stream depends on all ``parts`` and on nothing else."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=derive(*parts)))


def permutation(n: int, *parts: Part) -> NDArray[np.int64]:
    """Return an order of ``range(n)``, shape (n,), int64, that depends on ``n`` and all ``parts``."""
    import numpy as np

    return generator(n, *parts).permutation(n).astype(np.int64)
