"""The description of a server of predictions for programs: OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0)."""

from __future__ import annotations

from typing import Any

from regraft._version import __version__
from regraft.serve.limits import Limits
from regraft.serve.request_photos import FIELD

_TEXT: dict[str, Any] = {"type": "string"}

_CLASS = {
    "type": "object",
    "required": ["label", "probability"],
    "properties": {"label": _TEXT, "probability": {"type": "number", "minimum": 0, "maximum": 1}},
}
_PREDICTION = {
    "type": "object",
    "required": ["path", "label", "probability", "top", "error", "novelty", "doubt"],
    "properties": {
        "path": {"type": "string", "description": "Name of the photo in the form; photo if it is the body itself."},
        "label": {"type": "string", "description": "The most probable class."},
        "probability": {"type": "number", "description": "Its probability."},
        "top": {"type": "array", "items": _CLASS, "description": "The most probable classes, best first."},
        "error": {"type": "null"},
        "novelty": {"type": ["number", "null"], "description": "Above 1: unlike the photos of the training."},
        "doubt": {"type": "string", "enum": ["", "unsure", "unlike"]},
        "unsure": {"type": "boolean", "description": "Present if the model has a certified threshold."},
    },
}
_ERRORS = {
    "400": "a photo that cannot be decoded, or a damaged form",
    "401": "the token is missing or wrong",
    "403": "a host name that is not the server's, or a request from another web page",
    "408": "the request took too long to arrive",
    "413": "too many bytes, pixels or photos",
    "415": "neither a photo nor a form",
    "429": "too many photos wait; try again after the seconds of Retry-After",
    "503": "the server is stopping, out of memory, or took too long; try again",
}


def openapi(limits: Limits, top: int) -> dict[str, Any]:
    """Return the description.

    Args:
        limits: the limits of the server.
        top: number of classes in an answer, unless the request names another one.
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": "regraft serve", "version": __version__},
        "paths": {
            "/predict": {"post": _predict(limits, top)},
            "/health": {"get": _get("Whether the server answers, and with which model.", "application/json", {})},
            "/metrics": {"get": _get("Figures in the text format of Prometheus.", "text/plain", _TEXT)},
        },
        "components": {
            "schemas": {
                "Prediction": _PREDICTION,
                "Error": {"type": "object", "required": ["error"], "properties": {"error": _TEXT}},
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _predict(limits: Limits, top: int) -> dict[str, Any]:
    photos = {"type": "array", "maxItems": limits.photos, "items": {"type": "string", "format": "binary"}}
    form = {"type": "object", "required": [FIELD], "properties": {FIELD: photos}}
    answer = {
        "type": "object",
        "required": ["classes", "predictions"],
        "properties": {
            "classes": {"type": "array", "items": _TEXT},
            "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
        },
    }
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "summary": "Classify photos.",
        "description": f"At most {limits.body:,} bytes, and {limits.pixels:,} pixels for each photo.",
        "parameters": [
            {
                "name": "top",
                "in": "query",
                "description": "Number of classes in the answer.",
                "schema": {"type": "integer", "minimum": 1, "default": top},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "image/*": {"schema": {"type": "string", "format": "binary"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "multipart/form-data": {"schema": form},
            },
        },
        "responses": {
            "200": {"description": "A prediction for each photo.", "content": {"application/json": {"schema": answer}}},
            **{status: {"description": text, "content": error} for status, text in _ERRORS.items()},
        },
    }


def _get(summary: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    content = {media_type: {"schema": schema or {"type": "object"}}}
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}}}
