"""The examples of docs/predict.md, run as they stand in a folder with some pictures."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from model_fakes import save_model
from predict_fakes import write_jpegs

from sglib.cli import main
from sglib.models import files as weight_files

PAGE = Path(__file__).resolve().parents[2] / "docs" / "predict.md"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> Iterator[tuple[str, str]]:
    """Yield (kind, text): each line of a console block, each Python block."""
    for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "python":
            yield kind, text
        else:
            yield from ((kind, line.removeprefix("$ ")) for line in text.splitlines())


def call(line: str) -> None:
    if line.startswith("pip install "):
        return
    source, _, command = line.rpartition(" | ")
    stdin = (
        subprocess.run(shlex.split(source), capture_output=True, check=True).stdout
        if source
        else b""
    )
    program, *arguments = shlex.split(command)
    assert program == "sglib"
    result = CliRunner().invoke(main, arguments, input=stdin, catch_exceptions=False)
    # a random picture has no face: that is a row, and status 1
    assert result.exit_code == int("--crop auto" in line), result.stderr


@pytest.mark.slow
def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("cv2", "onnxruntime", "onnxscript"):
        pytest.importorskip(module)
    monkeypatch.setattr(weight_files, "weights_dir", lambda: tmp_path / "weights")
    for name in ("base", "paper_1"):
        save_model(tmp_path / "weights", name=name)
    write_jpegs(tmp_path / "photos", 6)
    known = [f"{i}.jpg,{i % 2},{'ab'[i // 3]}" for i in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,person", *known]))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    n_run = 0
    for kind, text in examples():
        if kind == "console":
            call(text)
        else:
            exec(compile(text, str(PAGE), "exec"), names)
        n_run += 1
    assert n_run > 15
    assert len(pd.read_csv("predictions.csv")) == 6
    assert pd.read_csv("course.csv")["id"].tolist() == list(range(6))
    assert len(pd.read_parquet("parts")) == 6
    assert Path("why/000000-1.png").exists()
    assert "Worst mistakes" in Path("mistakes.html").read_text()
    assert names["scores"].shape == (24,)
    assert names["accuracies"].shape == (4,)
    assert names["probability"].shape == (5,)
    assert np.isfinite(names["probability"]).all()


def test_page_names_what_there_is() -> None:
    text = PAGE.read_text(encoding="utf-8")
    options = main.commands["predict"].params[1:] + main.commands["evaluate"].params[1:]
    for option in options:
        assert any(f"{name} " in text or f"`{name}`" in text for name in option.opts), option.name
