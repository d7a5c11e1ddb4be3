"""Nothing that comes from outside is executed: the calls that could do so do not occur."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "sglib").rglob("*.py"))
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
CALLS = {"eval", "exec", "compile", "torch.load", "np.load", "yaml.load", "joblib.load"}
CALLS |= {"os.system", "os.popen", "pd.read_pickle"}
READ_BY_US = {"np.load"}  # of arrays only: `allow_pickle` stays off


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def found(tree: ast.AST) -> list[str]:
    """Return what could execute foreign content."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [a.name for a in node.names if a.name.partition(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            names.append(node.module or "")
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            options = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            if name in CALLS - READ_BY_US or options.get("shell") or options.get("allow_pickle"):
                names.append(name)
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_executes_what_it_reads(path):
    assert found(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "eval(text)",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(line, shell=True)",
    ],
)
def test_the_search_finds_what_it_looks_for(text):
    assert found(ast.parse(text))
