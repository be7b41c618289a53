"""Pages of the Python API: for each public name a directive, which mkdocstrings fills from the docstring."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "regraft"
MODULES = {
    "regraft": "The functions and classes of `import regraft as rg`.",
    "regraft.callbacks": "The callbacks of `Trainer.fit` and `rg.train`; see [callbacks](../callbacks.md).",
    "regraft.training": "The `Trainer` and its parts, for any torch module; see [Trainer](../callbacks.md#trainer).",
}


def reference_pages() -> dict[str, str]:
    """Return the pages of the API by their paths in the site."""
    return {f"reference/{module}.md": _page(module, text) for module, text in MODULES.items()}


def _page(module: str, text: str) -> str:
    members = [
        place for place in public_names(module) if module != "regraft" or not place.startswith("regraft.training")
    ]
    members.sort(key=_rank)
    directives = "\n\n".join(f"::: {place}" for place in members)
    return f"# {module}\n\n{text}\n\n{directives}\n"


def _rank(place: str) -> int:
    """Return the place of a name on a page: the functions that train first, errors last."""
    return 0 if ".workflows.train." in place else 1 if ".workflows." in place else 3 if ".errors." in place else 2


def public_names(module: str) -> list[str]:
    """Return the places of the public names of a module, such as `regraft.models.classifier.Classifier`.

    They are read from the imports of the module, or of its stub where it loads its names lazily: nothing is imported.
    """
    folder = PACKAGE.joinpath(*module.split(".")[1:])
    stub = folder / "__init__.pyi"
    tree = ast.parse((stub if stub.exists() else folder / "__init__.py").read_text(encoding="utf-8"))
    public = _all_of(tree)
    places = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            source = f"{module}.{node.module}" if node.level else node.module
            places += [f"{source}.{name.name}" for name in node.names if public is None or name.name in public]
    return [place for place in places if not place.endswith("__version__")]


def _all_of(tree: ast.Module) -> set[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    return None
