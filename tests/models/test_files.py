"""files: what is written is read; what is foreign is refused in one line; ONNX answers alike."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from model_fakes import make_model, save_model
from predict_fakes import random_images
from safetensors.numpy import save_file

from sglib import SglibError, __version__
from sglib.models import files
from sglib.models.files import FORMAT_VERSION, Member, ModelFile, export_onnx

_ALONE = """
import sys
import numpy as np, onnxruntime
path, images, probs = sys.argv[1:]
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
(given,), (made,) = session.get_inputs(), session.get_outputs()
assert (given.name, given.type, given.shape[1:]) == ("images", "tensor(uint8)", [30, 32]), given
assert (made.name, made.type, len(made.shape)) == ("probability", "tensor(float)", 1), made
images = np.load(images)
np.save(probs, session.run(None, {"images": images})[0])
(one,) = session.run(None, {"images": images[:1]})
assert abs(one - np.load(probs)[:1]).max() < 1e-6
assert "sglib" not in sys.modules and "torch" not in sys.modules
print(session.get_modelmeta().custom_metadata_map["sglib"])
"""


def test_round_trip(tmp_path: Path) -> None:
    notes = {"ece": 0.01, "recipe": {"n_epochs": 3}}
    model = make_model("ConvNN_2", "face9k", mirror=True, threshold=0.4, notes=notes)
    path = files.save(tmp_path / "new" / "m.safetensors", model)
    again = files.load(path)
    assert again.header() == model.header()
    assert again.members == model.members
    assert again.sglib_version == __version__
    for before, after in zip(model.states, again.states, strict=True):
        assert before.keys() == after.keys()
        for key in before:
            np.testing.assert_array_equal(before[key], after[key])
            assert before[key].dtype == after[key].dtype
    assert [p.name for p in path.parent.iterdir()] == ["m.safetensors"]


def test_same_model_same_bytes(tmp_path: Path) -> None:
    one = save_model(tmp_path / "a", "face9k").read_bytes()
    assert save_model(tmp_path / "b", "face9k").read_bytes() == one


def test_names_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "weights_dir", lambda: tmp_path / "weights")
    save_model(tmp_path / "weights", name="base")
    assert files.shipped() == ["base"]
    assert files.load("base").name == "base"
    with pytest.raises(SglibError, match="no model 'bse': shipped models: base; or give a"):
        files.load("bse")
    with pytest.raises(SglibError, match=r"gone\.safetensors: no such file"):
        files.load("gone.safetensors")
    monkeypatch.chdir(tmp_path / "weights")
    assert files.load("base.safetensors").name == "base"


def test_refuses_foreign_and_damaged_files(tmp_path: Path) -> None:
    good = save_model(tmp_path).read_bytes()

    def load(content: bytes) -> ModelFile:
        (tmp_path / "x.safetensors").write_bytes(content)
        return files.load(tmp_path / "x.safetensors")

    assert load(good).name == "fake"
    for content in (b"", b"\x80\x04pickle", good[:-7], good[: len(good) // 2], good[8:]):
        with pytest.raises(SglibError, match=r"x\.safetensors: damaged model file"):
            load(content)
    save_file({"a": np.zeros(2)}, tmp_path / "y.safetensors")
    with pytest.raises(SglibError, match=r"y\.safetensors: expected format version 3 of sglib"):
        files.load(tmp_path / "y.safetensors")


MEMBER = {"network": "ConvNN_2"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 9}, "expected format version 3 of sglib, got 9"),
        ({"members": 3}, "damaged model file"),
        ({"members": []}, "damaged model file"),
        ({"members": [MEMBER | {"head": "tanh"}]}, "head must be sigmoid or logit, got 'tanh'"),
        ({"members": [MEMBER | {"head": ["logit"]}]}, "head must be sigmoid or logit"),
        ({"members": [{"network": {"a": 1}}]}, "network must be a text, got {'a': 1}"),
        ({"members": [MEMBER | {"seed": "0"}]}, "seed must be a whole number or none, got '0'"),
        ({"members": [MEMBER, MEMBER, "x"]}, "damaged model file"),
        ({"surprise": 1}, "damaged model file"),
        ({"name": {"a": "b"}}, "name must be a text that is not empty, got {'a': 'b'}"),
        ({"name": ""}, "name must be a text"),
        ({"threshold": 1.5}, r"threshold must be a number in \[0, 1\], got 1\.5"),
        ({"threshold": True}, r"threshold must be a number in \[0, 1\], got True"),
        ({"mirror": "yes"}, "mirror must be true or false"),
        ({"scaling": 7}, "scaling must be unit or symmetric"),
        ({"data": None}, "data must be a text"),
        ({"notes": [1]}, "notes must be names with values"),
    ],
    ids=str,
)
def test_refuses_odd_headers(tmp_path: Path, change: dict, message: str) -> None:
    model = make_model()
    header = {"name": "m", "members": [MEMBER], "format_version": FORMAT_VERSION} | change
    tensors = {f"0.{k}": v for k, v in model.states[0].items()}
    path = tmp_path / "m.safetensors"
    save_file(tensors, path, metadata={"sglib": json.dumps(header)})
    with pytest.raises(SglibError, match=message) as caught:
        files.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_weights_must_fit_their_network() -> None:
    model = make_model("ConvNN_2")
    wrong = ModelFile("m", (Member("ConvNN_1"),), model.states)
    with pytest.raises(SglibError, match="m: weights do not fit ConvNN_1"):
        wrong.ensemble()
    with pytest.raises(SglibError, match="no network 'mine'; there are: ConvNN_1"):
        ModelFile("m", (Member("mine"),), model.states).ensemble()


def test_refuses_on_writing(tmp_path: Path) -> None:
    with pytest.raises(SglibError, match=r"must end in \.safetensors"):
        files.save(tmp_path / "m.pt", make_model())
    (tmp_path / "file").touch()
    with pytest.raises(SglibError, match="cannot write"):
        files.save(tmp_path / "file" / "m.safetensors", make_model())
    with pytest.raises(SglibError, match="expected weights for each of 1 or more members"):
        ModelFile(name="m", members=(Member("face9k"),), states=())


@pytest.mark.slow
def test_onnx_runs_alone(tmp_path: Path) -> None:
    """Two networks, two views and a sigmoid head: all of it is in the file."""
    model = make_model("ConvNN_1", "face9k", head="sigmoid", mirror=True, threshold=0.3)
    images = random_images(50)
    path = export_onnx(tmp_path / "new" / "m.onnx", model)
    assert [p.name for p in path.parent.iterdir()] == ["m.onnx"]
    np.save(tmp_path / "images.npy", images)
    arguments = [str(path), str(tmp_path / "images.npy"), str(tmp_path / "probs.npy")]
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, *arguments],
        capture_output=True, text=True, check=True, timeout=100, cwd=tmp_path,
    )  # fmt: skip
    probs = np.load(tmp_path / "probs.npy")
    np.testing.assert_allclose(probs, model.ensemble().predict(images), atol=1e-5)
    facts = json.loads(done.stdout)
    assert facts["classes"] == ["open", "sunglasses"]
    assert (facts["height"], facts["width"], facts["threshold"]) == (30, 32, 0.3)
    assert facts["members"][0] == {"network": "ConvNN_1", "head": "sigmoid", "seed": 0}
    assert b".py" not in path.read_bytes()  # nothing of the exporter's folders


@pytest.mark.slow
def test_an_onnx_file_that_answers_otherwise_gets_no_name(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(files, "TOLERANCE", -1.0)
    with pytest.raises(SglibError, match=r"m\.onnx: differs from the model by more than"):
        export_onnx(tmp_path / "m.onnx", make_model())
    assert not list(tmp_path.iterdir())


def test_an_onnx_file_needs_its_extra(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(SglibError, match=r"needs onnxscript: pip install '\.\[study,export"):
        export_onnx(tmp_path / "m.onnx", make_model())


@pytest.mark.parametrize("name", files.shipped())
def test_shipped_onnx_files_are_those_of_the_weights(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model, images = files.load(name), random_images(40)
    session = onnxruntime.InferenceSession(str(files.weights_dir() / f"{name}.onnx"))
    facts = json.loads(session.get_modelmeta().custom_metadata_map["sglib"])
    assert {key: facts[key] for key in model.header()} == json.loads(json.dumps(model.header()))
    (probs,) = session.run(["probability"], {"images": images})
    np.testing.assert_allclose(probs, model.ensemble().predict(images), atol=1e-5)
