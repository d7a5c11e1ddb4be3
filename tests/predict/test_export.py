import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from model_fakes import random_images, save_model

from sglib import SglibError
from sglib.cli_predict import export as export_command
from sglib.models import files as weight_files
from sglib.predict import export
from sglib.predict.classifier import load
from sglib.predict.export import OPSET, export_model

IMAGES = random_images(50)
_ALONE = """
import json, sys
import numpy as np, onnxruntime
path, images, probs = sys.argv[1:]
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
(given,), (made,) = session.get_inputs(), session.get_outputs()
assert given.name == "images" and given.type == "tensor(uint8)", given
assert given.shape[1:] == [30, 32] and made.name == "probability" and made.type == "tensor(float)"
images = np.load(images)
both = [session.run(None, {"images": part})[0] for part in (images, images[:1])]
np.save(probs, both[0])
assert abs(both[1] - both[0][:1]).max() < 1e-6
assert "sglib" not in sys.modules and "torch" not in sys.modules
print(json.dumps(session.get_modelmeta().custom_metadata_map))
"""


@pytest.mark.slow
@pytest.mark.parametrize("network", ["ConvNN_1", "base"])
def test_onnx_runs_alone(tmp_path: Path, network: str) -> None:
    pytest.importorskip("onnxscript")
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = save_model(tmp_path, network, mirror=network == "base", threshold=0.3)
    path = export_model(model, "onnx", tmp_path / "new" / "m.onnx")
    assert os.listdir(path.parent) == ["m.onnx"]  # one file, no weights beside it
    np.save(tmp_path / "images.npy", IMAGES)
    arguments = [str(path), str(tmp_path / "images.npy"), str(tmp_path / "probs.npy")]
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, *arguments],
        capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    probs = np.load(tmp_path / "probs.npy")
    np.testing.assert_allclose(probs, load(model).probabilities(IMAGES), atol=1e-5)
    assert '"threshold": "0.3"' in done.stdout
    assert '"labels": "open,sunglasses"' in done.stdout
    assert [one.version for one in onnx.load(path).opset_import if not one.domain] == [OPSET]


@pytest.mark.parametrize("network", ["ConvNN_2", "small"])
@pytest.mark.filterwarnings("ignore:.torch.jit.load. is:FutureWarning")
def test_torchscript(tmp_path: Path, network: str) -> None:
    model = save_model(tmp_path, network, "ConvNN_1", mirror=True, shift=1)
    path = export_model(model, "torchscript", tmp_path / "m.pt")
    program = torch.jit.load(path)
    for images in (IMAGES, IMAGES[:1]):
        got = program(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(got, load(model).probabilities(images), atol=1e-5)


def test_safetensors(tmp_path: Path) -> None:
    model = save_model(tmp_path, "small", notes={"a": 1})
    path = export_model(model, "safetensors", tmp_path / "copy.safetensors")
    assert path.read_bytes() == model.read_bytes()
    assert weight_files.load(path).notes == {"a": 1}


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = save_model(tmp_path / "source", name="mine")
    result = CliRunner().invoke(export_command, ["--model", str(model), "--to", "torchscript"])
    assert result.exit_code == 0
    assert result.stdout == "mine.pt\n"
    assert Path("mine.pt").exists()
    assert CliRunner().invoke(export_command, ["--to", "keras"]).exit_code == 2


def test_what_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        export, "_write_torchscript", lambda *_: lambda images: np.ones(len(images))
    )
    with pytest.raises(SglibError, match=r"m\.pt: differs from the model by .*; not written"):
        export_model(save_model(tmp_path), "torchscript", tmp_path / "m.pt")
    assert not (tmp_path / "m.pt").exists()


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = save_model(tmp_path)
    with pytest.raises(SglibError, match="export to one of onnx, torchscript, safetensors"):
        export_model(model, "keras")
    (tmp_path / "file").touch()
    with pytest.raises(SglibError, match="cannot write"):
        export_model(model, "torchscript", tmp_path / "file" / "m.pt")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SglibError, match=r"pip install 'sglib\[export\]'"):
        export_model(model, "onnx", tmp_path / "m.onnx")
