"""The library's imports go one way, from the ground up, those inside functions included."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "sglib"
FLOORS = {
    "data": {"metrics"},
    "models": {"data", "metrics"},
    "training": {"models", "data", "metrics"},
    "studies": {"training", "models", "data", "metrics"},
    "analysis": {"studies", "training", "models", "data", "metrics"},
    "predict": set(),
    "report": {"analysis", "studies", "training", "models", "data", "metrics", "predict"},
    "files": set(),
    "metrics": set(),
    "cli": {"report", "predict", "analysis", "studies", "training", "models", "data", "metrics"},
}
MODULES = sorted(ROOT.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Return the dotted names of sglib that a file imports, wherever the statement stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module and node.module.split(".")[0] == "sglib":
                names |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            names |= {name.name for name in node.names if name.name.split(".")[0] == "sglib"}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    inside = path.relative_to(ROOT).with_suffix("").parts
    if inside in {("__init__",), ("__main__",)}:
        return
    allowed = FLOORS[inside[0]] | {inside[0], "files", "SglibError", "__version__"}
    wrong = {name for name in imported(path) if name.split(".")[1] not in allowed}
    assert not wrong, f"{'.'.join(inside)} must not import {', '.join(sorted(wrong))}"


def test_no_two_modules_import_each_other() -> None:
    graph = {module_name(path): modules_of(imported(path)) for path in MODULES}
    for start in graph:
        seen, stack = set(), list(graph[start])
        while stack:
            here = stack.pop()
            assert here != start, f"{start} is part of a circle of imports"
            if here not in seen:
                seen.add(here)
                stack += graph.get(here, ())


def module_name(path: Path) -> str:
    parts = ("sglib", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def modules_of(names: set[str]) -> set[str]:
    """Return the modules that hold the names; the root's own names are no module's."""
    known = {module_name(path) for path in MODULES}
    found = {name if name in known else name.rpartition(".")[0] for name in names}
    return found - {"sglib"}


def test_the_top_has_at_most_ten_entries() -> None:
    entries = {path.relative_to(ROOT).parts[0] for path in MODULES} - {"__init__.py", "__main__.py"}
    assert len(entries) <= 10, sorted(entries)
