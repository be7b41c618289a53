"""`regraft lesson`: lessons on transfer learning, listed and copied."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from regraft.cli.exits import FAILED
from regraft.cli.options import PATH, SETTINGS, Choice, output_options, pass_session
from regraft.cli.output import Session
from regraft.language.choice import known_language, language

_EXAMPLES = """\b
Examples:
  regraft lesson list
  regraft lesson copy 1
  regraft lesson copy 3 --format script
  regraft lesson check 6_exercise.ipynb"""


@cloup.group(name="lesson", context_settings=SETTINGS, short_help="Learn transfer learning.", epilog=_EXAMPLES)
def lesson() -> None:
    """Seven lessons on transfer learning, with an exercise: notebooks that run offline in about a minute each."""


@lesson.command(name="list", short_help="List the lessons.")
@output_options(quiet="Print only numbers and titles.")
@pass_session
def list_lessons(session: Session) -> None:
    """List the lessons with their numbers."""
    from regraft.lessons.lesson import lessons

    if session.json:
        session.print_json([{"number": one.number, "title": one.title, "name": one.name} for one in lessons()])
        return
    for one in lessons(language()):
        session.print(f"{one.number}  {one.title}")


@lesson.command(name="copy", short_help="Put a lesson into the current folder.")
@cloup.argument("number", type=int, help="Number of the lesson.")
@cloup.option("-o", "--out", type=PATH, metavar="FOLDER", help="Folder to write into. Default: the current one.")
@cloup.option(
    "--format", "form", type=Choice(["notebook", "script"]), default="notebook", show_default=True,
    help="notebook: for Jupyter. script: Python with # %% between the cells.",
)  # fmt: skip
@cloup.option("--lang", type=Choice(["en", "zh-TW"]), help="Language of the text. Default: that of all messages.")
@cloup.option("--solution", is_flag=True, help="Put the solution of the exercise there instead.")
@output_options(quiet="Print only the file.")
@pass_session
def copy_lesson(session: Session, number: int, out: Path | None, form: str, lang: str | None, solution: bool) -> None:
    """Put lesson NUMBER into the current folder. Your files are never replaced."""
    from regraft.disk.atomic import make_folder, write_text
    from regraft.errors import ConfigError
    from regraft.lessons.lesson import find_lesson, find_solution

    chosen = known_language(lang) if lang else language()
    found = (find_solution if solution else find_lesson)(number, chosen)
    folder = out or Path()
    file = folder / f"{found.name}{'.ipynb' if form == 'notebook' else '.py'}"
    content = found.notebook() if form == "notebook" else found.script
    if file.exists() and file.read_text(encoding="utf-8", errors="replace") != content:
        raise ConfigError(f"{file} exists and differs from the lesson; rename it, or choose another folder with -o")
    make_folder(folder)
    write_text(file, content)
    if session.json:
        session.print_json({"file": str(file), "number": found.number, "title": found.title})
    elif session.quiet:
        session.print(str(file))
    else:
        session.print(f"{file}: {found.title}")
        if form == "notebook":
            session.print(f"open it with:  jupyter lab {file.name}")


@lesson.command(name="check", short_help="Grade the exercise, task by task.")
@cloup.argument("notebook", type=PATH, help="Your notebook (.ipynb) or script (.py) of lesson 6.")
@cloup.option("--no-run", is_flag=True, help="Grade the answers.json that lies next to it, without running it.")
@output_options(quiet="Print only the number of solved tasks.")
@pass_session
def check_lesson(session: Session, notebook: Path, no_run: bool) -> None:
    """Run NOTEBOOK from its first cell to its last, and grade what it leaves in answers.json.

    The cells run in a process of their own, in the folder of the notebook, and write their files there as in Jupyter.
    Run only notebooks of people whom you trust. Results are compared, not source text: any library may be used. Each
    task that is not solved gets a hint, and the exit code is 1.
    """
    from regraft.lessons.grading.grade import grade_notebook

    screen = session.screen()
    if not no_run and not session.json and not session.quiet:
        screen.line("run", f"{notebook.name}, from the first cell to the last; this may take minutes")
    grade = grade_notebook(notebook, run=not no_run)
    if session.json:
        session.print_json(grade.as_dict())
    elif session.quiet:
        session.print(f"{grade.solved}/{len(grade.verdicts)}")
    else:
        if grade.error:
            screen.warn(f"the notebook ended with an error:\n{grade.error}")
        for verdict in grade.verdicts:
            state = "not graded" if verdict.skipped else "solved" if verdict.is_solved else "not yet"
            screen.line(f"task {verdict.task}", f"{state} · {verdict.title}")
            if verdict.hint:
                screen.line("", verdict.hint)
        screen.line("grade", f"{grade.solved} of {len(grade.verdicts)} tasks are solved")
    if not grade.passed:
        raise click.exceptions.Exit(FAILED)
