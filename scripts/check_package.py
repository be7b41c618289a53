"""Check of the package as a user gets it: `make package`. Builds sdist and wheel, installs the wheel, uses it.

    python scripts/check_package.py [--keep FOLDER]

1. builds the sdist, and the wheel from the sdist, into a temporary folder;
2. checks that the sdist has every file of the repository and the wheel every file of the package, and that pytest can
   collect the tests of the sdist;
3. installs the wheel with constraints.txt into an empty virtual environment;
4. in another folder, runs `regraft demo` and examples/lesson.py with that environment, and imports timm as users do.

Step 3 first tries to install torch from the index that README.md names, and prints a line if that is unreachable.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
FIT = """
import torch, torchvision.extension
print("fits" if torchvision.extension._has_ops() else "does not fit")
"""


def main() -> int:
    """Check the package; return 0, or raise where a step fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="folder for sdist and wheel, which are deleted otherwise")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regraft-package-") as name:
        folder = Path(name).resolve()
        os.environ["REGRAFT_CACHE"] = str(folder / "cache")
        sdist, wheel = build(folder / "dist")
        check_sdist(sdist, folder)
        check_wheel(wheel)
        python = install(wheel, folder / "venv")
        use(python, folder)
        if arguments.keep:
            shutil.copytree(folder / "dist", arguments.keep, dirs_exist_ok=True)
    print(f"== package: {sdist.name} and {wheel.name} are complete and work")
    return 0


def build(out: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from it, and return their paths."""
    say("build")
    run(sys.executable, "-m", "build", "--outdir", out, ROOT)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def check_sdist(sdist: Path, folder: Path) -> None:
    """Check that no file of the repository is missing from the sdist, and that its tests can be collected.

    Raises:
        SystemExit: a file is missing.
    """
    say("sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    require(sdist, [name for name in repository_files() if not (unpacked / name).is_file()])
    run(
        sys.executable, "-m", "pytest", "--collect-only", "-q", "-q", "-p", "no:cacheprovider", cwd=unpacked, quiet=True
    )


def check_wheel(wheel: Path) -> None:
    """Check that no file of the package is missing from the wheel, such as the style of a page.

    The wheel has the compiled catalogues of translations; their sources (``.po``) are in the sdist only.

    Raises:
        SystemExit: a file is missing.
    """
    say("wheel")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    package = [name.removeprefix("src/") for name in repository_files() if name.startswith("src/")]
    require(wheel, [name for name in package if name not in packed and not name.endswith(".po")])


def repository_files() -> list[str]:
    """Return the files that git tracks, without the hidden ones."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout.decode()
    return [name for name in listed.split("\0") if name and not name.startswith(".")]


def require(archive: Path, missing: list[str]) -> None:
    """Raise where files are missing from an archive."""
    if missing:
        raise SystemExit(f"{archive.name} lacks {len(missing)} files: {', '.join(missing[:10])}")


def install(wheel: Path, place: Path) -> Path:
    """Install ``wheel`` into an empty virtual environment; return its Python."""
    say("install")
    run(sys.executable, "-m", "venv", place)
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-c", CONSTRAINTS]
    pair = [line for line in CONSTRAINTS.read_text().split() if line.startswith(("torch==", "torchvision=="))]
    advice = [*pip, "--retries", "0", "--timeout", "15", *pair, "--index-url", CPU_INDEX]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if subprocess.run(list(map(str, advice)), env=environment, capture_output=True, check=False).returncode:
        print(f"{CPU_INDEX} is unreachable: torch and torchvision come from the default index")
    run(*pip, wheel)
    run(python, "-m", "pip", "--disable-pip-version-check", "check")
    return python


def use(python: Path, folder: Path) -> None:
    """Run the demo, a lesson and the user's own import of timm from another folder, with the installed package."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(ROOT / "examples" / "lesson.py", elsewhere)
    say("use")
    where = "import regraft, pathlib; print(pathlib.Path(regraft.__file__).resolve().parent)"
    place = run(python, "-c", where, cwd=elsewhere, quiet=True).strip()
    if not Path(place).is_relative_to(folder):
        raise SystemExit(f"regraft is imported from {place}; expected the installed package below {folder}")
    run(python, "-c", "import regraft, timm; print('timm', timm.__version__)", cwd=elsewhere)
    fits = run(python, "-c", f"import regraft\n{FIT}", cwd=elsewhere, quiet=True).strip()
    print(f"torchvision {fits} torch: import timm works {'alone' if fits == 'fits' else 'after import regraft'}")
    if fits == "fits":
        run(python, "-c", "import timm", cwd=elsewhere)
    run(python.with_name("regraft"), "demo", cwd=elsewhere)
    run(python, "lesson.py", cwd=elsewhere)


def run(*command: object, cwd: Path = ROOT, quiet: bool = False) -> str:
    """Run a command without this repository's source on the path, and return its output if ``quiet``.

    Raises:
        SystemExit: the command fails; its output is shown.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PIP_CONSTRAINT"] = str(CONSTRAINTS)
    output = subprocess.PIPE if quiet else None
    stderr = subprocess.STDOUT if quiet else None
    sys.stdout.flush()
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, stdout=output, stderr=stderr, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout or ''}\n{' '.join(map(str, command))} ended with exit code {done.returncode}")
    return done.stdout or ""


def say(step: str) -> None:
    """Print the name of a step."""
    print(f"== package: {step}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
