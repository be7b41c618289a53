"""Ways to damage a checkpoint, by accident and on purpose. Each takes bytes and gives others; a seed decides which."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[bytes, random.Random], bytes]
NUMBERS = (-1, 0, 1, 7, 255, 2**31 - 1, 2**31, 2**32, 2**40, 2**61, 2**63 - 1, 2**64, 10**30, 1.5, 1e308)
ODD = (*NUMBERS, None, True, "", "x" * 100_000, [], {}, [[]], "NaN", "F64", "U8", "BOOL", "F8_E5M2", "F4", "\ud800")


def truncated(data: bytes, draw: random.Random) -> bytes:
    near = draw.choice(
        (draw.randrange(len(data)), draw.randrange(min(64, len(data))), len(data) - draw.randrange(1, 64))
    )
    return data[: max(0, near)]


def longer(data: bytes, draw: random.Random) -> bytes:
    return data + draw.randbytes(draw.choice((1, 8, 100, 5000)))


def one_bit(data: bytes, draw: random.Random) -> bytes:
    return _flipped(data, [draw.randrange(len(data))], draw)


def bit_at_an_end(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(min(3000, len(data)))
    return _flipped(data, [draw.choice((at, len(data) - 1 - at))], draw)


def many_bits(data: bytes, draw: random.Random) -> bytes:
    return _flipped(data, [draw.randrange(len(data)) for _ in range(draw.randrange(2, 200))], draw)


def lost_blocks(data: bytes, draw: random.Random) -> bytes:
    size = draw.choice((1, 16, 512, 4096))
    at = draw.randrange(len(data)) // size * size
    fill = draw.choice((bytes(size), draw.randbytes(size)))
    return data[:at] + fill[: len(data) - at] + data[at + size :]


def swapped_blocks(data: bytes, draw: random.Random) -> bytes:
    a, b = sorted(draw.randrange(len(data) // 512 + 1) * 512 for _ in range(2))
    return data[:a] + data[b : b + 512] + data[a + 512 : b] + data[a : a + 512] + data[b + 512 :]


def removed_bytes(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + data[at + draw.randrange(1, 100) :]


def _flipped(data: bytes, places: list[int], draw: random.Random) -> bytes:
    out = bytearray(data)
    for place in places:
        out[place] ^= 1 << draw.randrange(8)
    return bytes(out)


# safetensors: eight bytes of length, JSON, tensors


def length_claim(data: bytes, draw: random.Random) -> bytes:
    number = draw.choice((0, 1, 2, len(data), len(data) - 8, 2**24, 2**24 + 1, 2**31, 2**40, 2**63, 2**64 - 1))
    return number.to_bytes(8, "little") + data[8:]


def nested_header(data: bytes, draw: random.Random) -> bytes:
    depth = draw.choice((500, 20_000, 1_000_000))
    opened, closed = draw.choice((("[", "]"), ('{"a":', "}")))
    return _headed(f'{{"a":{opened * depth}0{closed * depth}}}'.encode(), data)


def crowded_header(data: bytes, draw: random.Random) -> bytes:
    one = draw.choice(("[],", "{},", '"",', "1,", '"ab",'))
    return _headed(b'{"a":[' + one.encode() * draw.choice((1000, 300_000, 1_000_000)) + b"0]}", data)


def edited_header(data: bytes, draw: random.Random) -> bytes:
    header, body = _parts(data)
    _edit(header, draw)
    return _headed(json.dumps(header).encode("utf-8", "surrogatepass"), data, body)


def edited_and_signed(data: bytes, draw: random.Random) -> bytes:
    """As an attacker would: the checksum fits what the file says now."""
    from regraft.disk.safetensors_file import Block, checksum

    header, body = _parts(data)
    _edit(header, draw)
    meta = header.get("__metadata__")
    try:
        blocks = {
            name: Block(e["dtype"], tuple(e["shape"]), body[e["data_offsets"][0] : e["data_offsets"][1]])
            for name, e in header.items()
            if name != "__metadata__"
        }
        texts = {k: v for k, v in meta.items() if k != "sha256"}
        header["__metadata__"] = {**texts, "sha256": checksum(blocks, texts)}
    except (TypeError, KeyError, AttributeError, IndexError):
        pass
    return _headed(json.dumps(header).encode("utf-8", "surrogatepass"), data, body)


def twice_named(data: bytes, draw: random.Random) -> bytes:
    header, body = _parts(data)
    name = draw.choice([n for n in header if n != "__metadata__"])
    text = json.dumps(header)[:-1] + f", {json.dumps(name)}: {json.dumps(draw.choice(list(header.values())))}}}"
    return _headed(text.encode(), data, body)


def _parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def _headed(header: bytes, data: bytes, body: bytes | None = None) -> bytes:
    return len(header).to_bytes(8, "little") + header + (_parts(data)[1] if body is None else body)


def _edit(header: dict[str, Any], draw: random.Random) -> None:
    for _ in range(draw.choice((1, 1, 2, 5))):
        names = [n for n in header if n != "__metadata__"] or ["none"]
        name, meta = draw.choice(names), header.get("__metadata__")
        what = draw.randrange(9)
        entry = header.get(name)
        if what < 4 and isinstance(entry, dict):
            field = draw.choice(("dtype", "shape", "data_offsets"))
            value = entry.get(field)
            if isinstance(value, list) and value and draw.random() < 0.7:
                value[draw.randrange(len(value))] = draw.choice(ODD)
            elif field == "shape" and draw.random() < 0.5:
                entry["shape"] = draw.choice(
                    (
                        [0, 2**61],
                        [2**61, 2**61, 0],
                        [1] * 17,
                        [1] * 2000,
                        list(reversed(value)) if isinstance(value, list) else 7,
                        [0],
                    )
                )
            else:
                entry[field] = draw.choice(ODD)
        elif what == 4:
            header.pop(name, None)
        elif what == 5:
            header[draw.choice(("", "new", "__metadata__ ", name + "\0"))] = header.pop(name, None)
        elif isinstance(meta, dict) and meta:
            key = draw.choice(list(meta))
            value = meta[key]
            small = _flipped_text(value, draw) if isinstance(value, str) and value else value
            meta[key] = draw.choice((*[small] * 10, "", "9" * 5000, "[" * 100_000, "{}", 3, None, "\ud800"))
            if draw.random() < 0.1:
                meta.pop(key)
        else:
            header["__metadata__"] = draw.choice(ODD)


def _flipped_text(text: str, draw: random.Random) -> str:
    at = draw.randrange(len(text))
    return text[:at] + chr(ord(text[at]) ^ (1 << draw.randrange(5))) + text[at + 1 :]


# .h5: HDF5's own structures, and a seal behind them


def edited_and_sealed(data: bytes, draw: random.Random) -> bytes:
    """As an attacker would: HDF5's own structures are changed, and the checksum behind them fits."""
    body = bytearray(data[:-48])
    structures = [at for at in range(0, len(body) - 8, 8) if body[at : at + 4] in (b"TREE", b"HEAP", b"SNOD", b"OHDR")]
    for _ in range(draw.choice((1, 1, 3, 20))):
        at = draw.choice([0, *structures]) + draw.randrange(256)
        number = draw.choice([n for n in NUMBERS if isinstance(n, int) and 0 <= n < 2**64])
        body[at : at + 8] = draw.choice((number.to_bytes(8, "little"), draw.randbytes(8)))
    sealed = bytes(body) + bytes(8)
    return sealed + hashlib.sha256(sealed).digest() + b"regraft!"


# .pt: a zip archive of a pickle and of storages


def rewritten_archive(data: bytes, draw: random.Random) -> bytes:
    """Everything but the content is right: sizes and CRCs fit what is there now."""
    out = io.BytesIO()
    kind = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", kind) as new:
        names = old.namelist()
        victim = draw.choice([names[0], names[0], *names])
        for name in names:
            raw = old.read(name)
            if name == victim:
                raw = _other_record(name, raw, draw)
            if raw is not None:
                new.writestr(name if name != victim or draw.random() < 0.9 else name + "x", raw)
    return out.getvalue()


def _other_record(name: str, raw: bytes, draw: random.Random) -> bytes | None:
    if name.endswith(".pkl") and draw.random() < 0.8:
        changed = bytearray(raw)
        for _ in range(draw.choice((1, 1, 3))):
            changed[draw.randrange(len(changed))] = draw.choice((*b"]}()tRQbKMJ\x8a.", draw.randrange(256)))
        crowd = draw.choice((b"", b"", b"", b"]" * 1_000_000, b"(" * 1_000_000, b"r\xff\xff\xff\x7f", b"\x8a\xff"))
        return bytes(changed[:2]) + crowd + bytes(changed[2:])
    return draw.choice(
        (None, b"", raw[: len(raw) // 2], raw + bytes(64), bytes(10_000_000), one_bit(raw or b"0", draw))
    )


# pickles that run something


class _Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"echo x > {self.marker}",)


def bomb(marker: Path, draw: random.Random) -> bytes:
    """A pickle that writes ``marker`` when it is loaded, in one of the disguises in which such files travel."""
    text = f"open({str(marker)!r}, 'w').write('x')"
    raw = draw.choice(
        (
            *(pickle.dumps({"tensors": _Bomb(marker), "metadata": {}}, protocol=n) for n in range(6)),
            f"c__builtin__\nexec\n(V{text}\ntR.".encode(),
            f"(V{text}\ni__builtin__\nexec\n.".encode(),
            b"\x80\x02ctorch\nhub\n." + f"cos\nsystem\n(Vecho x > {marker}\ntR.".encode(),
            f"\x80\x02ccollections\nOrderedDict\n)R}}X\x01\0\0\0acbuiltins\nexec\n(V{text}\ntRsb.".encode("latin-1"),
        )
    )
    if draw.random() < 0.5:
        return raw
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", raw)
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/version", b"3\n")
    return out.getvalue()


ANY: tuple[Damage, ...] = (
    truncated, longer, one_bit, one_bit, bit_at_an_end, bit_at_an_end, many_bits, lost_blocks, swapped_blocks,
    removed_bytes,
)  # fmt: skip
HEADER: tuple[Damage, ...] = (
    length_claim, nested_header, crowded_header, edited_header, edited_header, edited_and_signed, edited_and_signed,
    twice_named,
)  # fmt: skip
BY_SUFFIX: dict[str, tuple[Damage, ...]] = {
    ".safetensors": (*ANY, *HEADER),
    ".keras": (*ANY, *HEADER),
    ".h5": (*ANY, edited_and_sealed, edited_and_sealed, edited_and_sealed),
    ".pt": (*ANY, rewritten_archive, rewritten_archive, rewritten_archive, rewritten_archive),
}
ON_PURPOSE = (edited_and_signed, edited_and_sealed, rewritten_archive)
"""After these the checksum may fit: what such a file says is then what it is, and is no damage."""
