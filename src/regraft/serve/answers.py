"""The answers of a server of predictions, and its errors, each of them one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from regraft.errors import DecodeError
from regraft.inference.prediction_json import as_json
from regraft.screen import printable
from regraft.serve.photo_checks import PhotoTooLargeError
from regraft.serve.pipeline import Answer
from regraft.web.short_answers import TRY_AGAIN, error_line

JSON = "application/json"


def error_answer(status: int, text: str, **more: object) -> Response:
    """Return an error as one line of JSON; a client may try again soon after 429 and 503."""
    again = {"retry-after": "1"} if status in TRY_AGAIN else None
    return Response(error_line(text, **more), status, again, JSON)


def predictions_answer(answers: Sequence[Answer], top: int) -> Response:
    """Return predictions as `regraft predict --json` prints them, in one line."""
    model = answers[0].model
    values = [as_json(answer.prediction, top, threshold=model.has_threshold) for answer in answers]
    text = json.dumps({"classes": list(model.classes), "predictions": values}, ensure_ascii=False, allow_nan=False)
    return Response(text.encode("utf-8", "replace") + b"\n", media_type=JSON, headers={"x-model": model.sha256})


def photo_error(number: int, count: int, name: str, error: BaseException) -> Response:
    """Return the answer to a request with a photo that has no prediction.

    Args:
        number: number of the photo in the request, from 1.
        count: number of photos in the request.
        name: its name.
        error: the reason.

    Raises:
        BaseException: ``error``, if it is not about the photo.
    """
    if not isinstance(error, (DecodeError, PhotoTooLargeError)):
        raise error
    too_large = isinstance(error, PhotoTooLargeError)
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST
    subject = "the photo" if count == 1 else f"photo {number} of {count}, {printable(name)},"
    return error_answer(status, f"{subject} cannot be used: {error}", photo=number, name=name, reason=str(error))


async def http_error(request: Request, error: Exception) -> Response:
    """Return the answer to a path or a method that the server does not have."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        text = "no such address; expected /, /predict, /health, /metrics or /openapi.json"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = " or ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        text = f"expected the method {allowed}, found {printable(request.method)}"
    else:
        text = str(error.detail)
    return Response(error_line(text), error.status_code, error.headers, JSON)


async def unexpected_error(request: Request, error: Exception) -> Response:
    """Return the answer to a request that failed; the reason is in the log of the server."""
    return error_answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed")
