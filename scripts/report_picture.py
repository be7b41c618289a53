"""Picture of a report for README.md and the site: docs/images/report.png, from a training on the embedded digits.

    python scripts/report_picture.py

trains a linear probe on 600 digits, opens the report in Chromium, and saves its upper part with few colors. It needs
the development tools and a Chromium (`sh scripts/install_browser.sh`).
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import regraft as rg
from regraft.sample.digits import write_digits

TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "report.png"
WIDTH, HEIGHT = 1280, 960
PER_CLASS = 60
COLORS = 96
LARGEST = 200_000


def main() -> int:
    """Write the picture; return the exit code."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        photos = Path("digits")
        write_digits(photos, per_class=PER_CLASS)
        run = rg.train(photos, recipe="linear-probe")
        picture = screenshot(run.folder / "report.html")
    TARGET.parent.mkdir(exist_ok=True)
    picture.quantize(COLORS, dither=Image.Dither.NONE).save(TARGET, optimize=True)
    size = TARGET.stat().st_size
    print(f"wrote {TARGET.name}, {size / 1000:.0f} kB")
    return 0 if size <= LARGEST else 1


def screenshot(page: Path) -> Image.Image:
    """Return the upper part of a page as Chromium shows it.

    Raises:
        SystemExit: there is no Chromium.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("no Chromium on this machine: sh scripts/install_browser.sh")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        view.goto(page.resolve().as_uri())
        return Image.open(io.BytesIO(view.screenshot())).convert("RGB")


if __name__ == "__main__":
    sys.exit(main())
