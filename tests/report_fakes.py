"""Executed notebooks without a kernel: what `show` displays is caught and stored as outputs."""

import copy
import functools
from collections.abc import Callable
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from sglib.report import show
from sglib.studies.profiles import Config


class Part:
    """A FaceSet as far as `show.provenance` reads it."""

    def __init__(self, name: str) -> None:
        self.name, self.digest = name, name[0] * 64

    def __len__(self) -> int:
        return 1378


def fake_faces(name: str = "synthetic") -> SimpleNamespace:
    return SimpleNamespace(name=name, train=Part(f"{name}-train"), test=None)


def caught(*functions: Callable[[], None]) -> list[NotebookNode]:
    """Call functions that show something; return what a notebook would store of it."""
    outputs = []
    with pytest.MonkeyPatch.context() as patch:

        def display(bundle: dict, raw: bool, metadata: dict) -> None:
            outputs.append(new_output("display_data", data=bundle, metadata=metadata))

        patch.setattr(show, "display", display)
        for function in functions:
            function()
    return outputs


def lines(n_runs: int = 3) -> plt.Figure:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3))
    for ax in axes:
        for i in range(n_runs):
            (line,) = ax.plot(np.arange(5), np.arange(5) * i)
            line.set_gid(f"run {i} <a>")
    return figure


def faces_drawn() -> plt.Figure:
    figure, ax = plt.subplots()
    ax.imshow(np.arange(960).reshape(30, 32), cmap="gray")
    return figure


WIDE = pd.DataFrame(
    {f"a column with a long name {i}": [0.5, 1234, f"text <{i}>"] for i in range(9)}
).assign(name=["one", "two", "three"])


@functools.cache  # drawing takes its time
def _executed(name: str, *, profile: str = "paper", data: str = "synthetic") -> NotebookNode:

    lead = name.startswith("00")
    numbers = {"baseline": (0.951, 0.94, 0.96), "gap": (0.1,)}
    code = [
        ([lambda: show.provenance(fake_faces(data), Config(profile))], ["hide-input"]),
        ([lambda: show.figure(lines(), alt="rising lines", caption="n = 3", lead=lead)], []),
        ([lambda: show.figure(faces_drawn(), alt="a face", save="face")], []),
        ([lambda: show.table(WIDE.set_index("name"), caption="Wide <b>", save="wide")], []),
        ([lambda: show.table(WIDE.iloc[:, :2], caption="Small", lead=lead)], []),
        ([lambda: show.table(WIDE, caption="Folded", fold=True)], []),
        ([lambda: show.headline(f"Finding of {name}: **0.951**", numbers=numbers, lead=lead)], []),
        ([lambda: show.answer(f"Answer of {name}: `x` **y**")], []),
    ]
    cells = [
        new_markdown_cell(f"# {name[:2]} · Title of {name}\n\n**Question.** Does *it* work?"),
        new_code_cell('profile = "smoke"', metadata={"tags": ["parameters"]}),
        new_code_cell('profile = "paper"', metadata={"tags": ["injected-parameters"]}),
        new_markdown_cell("## Method\n\nSee [next](01_second.ipynb#Answer). ln(1 + 1/e)"),
        *(
            new_code_cell(f"cell({i})", metadata={"tags": tags}, outputs=caught(*functions))
            for i, (functions, tags) in enumerate(code)
        ),
        new_code_cell(
            "plain",
            outputs=[
                new_output("stream", name="stderr", text="\r 5%|#  | 1/20"),
                new_output("stream", name="stderr", text="a message"),
                new_output("stream", name="stdout", text="<b>printed</b> " + 300 * "x"),
                new_output("display_data", {"application/javascript": "alert(6)"}),
                new_output("execute_result", {"text/html": WIDE.to_html(), "text/plain": "x"}),
            ],
        ),
        new_markdown_cell("## Answer\n\n### A part\n\n## Caveats\n\nNone."),
    ]
    notebook = new_notebook(cells=cells)
    notebook.metadata["papermill"] = {"duration": 61.7}
    return notebook


def executed(name: str, *, profile: str = "paper", data: str = "synthetic") -> NotebookNode:
    """Return a notebook that shows one of everything; 00 holds what the index leads with."""
    return copy.deepcopy(_executed(name, profile=profile, data=data))
