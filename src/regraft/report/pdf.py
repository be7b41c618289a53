"""A page as PDF, printed by a browser of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from regraft.disk.atomic import write_bytes
from regraft.errors import UserError

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "brave-browser",
)
"""Programs that can print a page without a window, by name."""

PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
SECONDS = 120


def find_browser() -> str | None:
    """Return the path of a browser that can print, or None."""
    programs = (shutil.which(name) for name in BROWSERS)
    return next((path for path in programs if path), None) or next(
        (path for path in PLACES if Path(path).exists()), None
    )


def print_pdf(html: Path, pdf: Path) -> None:
    """Print a page on the disk into a PDF file.

    Args:
        html: the page.
        pdf: the file to write.

    Raises:
        UserError: there is no browser, or it cannot print the page.
    """
    browser = find_browser()
    if browser is None:
        raise UserError(
            f"--pdf: found no browser that can print; expected Chrome, Chromium, Edge or Brave\n"
            f"  install one of them, or open {html} in any browser and print it"
        )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "page.pdf"
        words = ["--headless", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={folder}/profile"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            words.append("--no-sandbox")  # Chromium refuses to run as root with it
        words += [f"--print-to-pdf={out}", html.resolve().as_uri()]
        try:
            done = subprocess.run([browser, *words], capture_output=True, timeout=SECONDS, check=False)  # noqa: S603
            problem = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = [str(error)]
        if not out.exists():
            raise UserError(f"--pdf: {browser} could not print the page: {' '.join(problem) or 'it gave no reason'}")
        write_bytes(pdf, out.read_bytes())
