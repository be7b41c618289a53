"""The photos in a request: its body is a photo, or a form with several of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from regraft.screen import printable
from regraft.web.guard import RefusalError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = "photos"
"""Name of the form's field."""

logging.getLogger("python_multipart").addHandler(logging.NullHandler())  # it logs each damaged form

_MAX_HEADERS = 16
_MAX_NAME = 200


def check_media_type(content_type: str) -> None:
    """Check the media type of a request, which may be missing.

    Raises:
        RefusalError: it is neither an image, nor bytes of an unknown kind, nor a form with files.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("", "application/octet-stream", "multipart/form-data") or kind.startswith("image/"):
        return
    raise RefusalError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"expected a photo (Content-Type image/… or application/octet-stream) or a form (multipart/form-data) with the "
        f"field {FIELD}, found {printable(kind[:100])}",
    )


def photos_in(content_type: str, body: bytes, most: int) -> list[tuple[str, bytes]]:
    """Return the names and the contents of the photos in a request.

    Args:
        content_type: its media type, which `check_media_type` accepts.
        body: its body.
        most: maximum number of photos.

    Raises:
        RefusalError: there is no photo, there are too many, or the form is damaged.
    """
    kind, options = parse_options_header(content_type)
    if kind.lower() != b"multipart/form-data":
        if not body:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "expected a photo, found an empty body")
        return [("photo", body)]
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:
        raise RefusalError(HTTPStatus.BAD_REQUEST, "expected a form whose Content-Type has a boundary")
    form = _Form(most)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"the form is damaged: {printable(str(error)[:200])}") from error
    if not form.is_complete:
        raise RefusalError(HTTPStatus.BAD_REQUEST, "the form is damaged: it has no end")
    if not form.photos:
        others = ", ".join(sorted(form.other_fields)[:5])
        found = f"found {others}" if others else "found none"
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"expected a form with files in the field {FIELD}; {found}")
    return form.photos


@dataclass
class _Form:
    """A form while it is parsed.

    Attributes:
        most: maximum number of photos.
        photos: name and content of each photo.
        other_fields: names of other fields.
        is_complete: whether the form has its end.
    """

    most: int
    photos: list[tuple[str, bytes]] = field(default_factory=list)
    other_fields: set[str] = field(default_factory=set)
    is_complete: bool = False
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _content: bytearray = field(default_factory=bytearray)

    def callbacks(self) -> MultipartCallbacks:
        """Return the functions that the parser calls."""
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._content.extend(memoryview(data)[start:end]),
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._headers, self._content = {}, bytearray()

    def _end_header(self) -> None:
        if len(self._headers) >= _MAX_HEADERS:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "the form is damaged: a part has too many headers")
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def _end_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = printable(options.get(b"name", b"").decode("utf-8", "replace"))[:_MAX_NAME]
        if name != FIELD:
            if len(self.other_fields) < self.most:
                self.other_fields.add(name)
            return
        if len(self.photos) >= self.most:
            raise RefusalError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the form has too many photos; at most {self.most}"
            )
        file = options.get(b"filename", b"").decode("utf-8", "replace")[:_MAX_NAME]
        self.photos.append((file or f"photo {len(self.photos) + 1}", bytes(self._content)))

    def _end(self) -> None:
        self.is_complete = True
