"""One HTML file that classifies photos in a browser, offline: the model, ONNX Runtime Web and the page in it."""

from __future__ import annotations

import base64
import importlib.resources
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regraft.errors import ConfigError
from regraft.export.photo_script import photo_script
from regraft.report.page import page, text

_PARTS = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""Files of the npm package onnxruntime-web, in its folder ``dist``."""

INSTALL_HINT = (
    "npm install onnxruntime-web   then   regraft export RUN --format web --runtime node_modules/onnxruntime-web"
)
"""The command that puts the runtime in place."""


def find_runtime(folder: Path | None) -> tuple[Path, Path]:
    """Return the two files of ONNX Runtime Web.

    Args:
        folder: folder of the npm package; None for ``node_modules/onnxruntime-web`` in the current folder.

    Raises:
        ConfigError: they are not there; the message has the command that installs them.
    """
    place = folder if folder is not None else Path("node_modules") / "onnxruntime-web"
    for inside in (place, place / "dist"):
        parts = [inside / name for name in _PARTS]
        if all(path.is_file() for path in parts):
            return parts[0], parts[1]
    raise ConfigError(
        f"--format web needs the npm package onnxruntime-web, but {place} has no {_PARTS[0]}\n  {INSTALL_HINT}"
    )


def web_page(model: bytes, facts: Mapping[str, Any], runtime: tuple[Path, Path]) -> str:
    """Return the page.

    Args:
        model: the ONNX file, whose input is ``photo``.
        facts: names of the classes, and how photos are decoded: `regraft.export.formats.Job.program_facts`.
        runtime: the files of `find_runtime`.
    """
    code, wasm = (path.read_bytes() for path in runtime)
    classes = list(facts["classes"])
    few = ", ".join(classes[:12]) + (" …" if len(classes) > 12 else "")
    body = f"""<header class="top"><h1>Photo classifier</h1></header>
<main><p class="lead">It knows {len(classes):,} classes: {text(few)}.</p>
<label id="drop">Drop photos here, or press to choose them
<input id="files" type="file" accept="image/*" multiple></label>
<div class="buttons"><button id="camera" type="button">Use the camera</button>
<button id="shoot" type="button" hidden>Classify the picture</button></div>
<video id="video" autoplay playsinline muted hidden></video>
<p id="status" role="status">Loading …</p>
<section id="answers" aria-label="Answers" aria-live="polite"></section></main>
<script type="application/json" id="facts">{_json(facts)}</script>
{_data("runtime", code)}{_data("wasm", wasm)}{_data("model", model)}"""
    files = importlib.resources.files("regraft.export") / "web"
    style, script = ((files / name).read_text(encoding="utf-8") for name in ("web.css", "web.js"))
    return page(
        "Photo classifier",
        body,
        css=[style],
        js=["\n".join(["(() => {", photo_script(module=False), script, "})();"])],
        scripts_from=["blob:", "'wasm-unsafe-eval'"],
        allow=["media-src blob: mediastream:"],
    )


def _json(value: Mapping[str, Any]) -> str:
    """Return a value as JSON that cannot end the element around it."""
    return json.dumps(dict(value)).replace("<", "\\u003c")


def _data(name: str, content: bytes) -> str:
    return f'<script type="text/plain" id="{name}">{base64.b64encode(content).decode()}</script>\n'
