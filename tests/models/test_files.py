import json
from pathlib import Path

import numpy as np
import pytest
from model_fakes import make_model, save_model
from safetensors.numpy import save_file

from sglib import SglibError, __version__
from sglib.models import files as weight_files
from sglib.models.files import Member, ModelFile


def test_round_trip(tmp_path: Path) -> None:
    model = make_model(
        "ConvNN_2",
        "small",
        mirror=True,
        shift=1,
        threshold=0.4,
        bias=-0.25,
        notes={"ece": 0.01, "recipe": {"n_epochs": 3}},
    )
    path = weight_files.save(tmp_path / "new" / "m.safetensors", model)
    again = weight_files.load(path)
    assert again.members == model.members
    for field in (
        "name",
        "mirror",
        "shift",
        "temperature",
        "bias",
        "threshold",
        "data",
        "data_digest",
    ):
        assert getattr(again, field) == getattr(model, field)
    assert again.notes == model.notes
    assert again.sglib_version == __version__
    for before, after in zip(model.states, again.states, strict=True):
        assert before.keys() == after.keys()
        for key in before:
            np.testing.assert_array_equal(before[key], after[key])
            assert before[key].dtype == after[key].dtype
    assert [p.name for p in path.parent.iterdir()] == ["m.safetensors"]


def test_doubt_is_kept(tmp_path: Path) -> None:
    path = save_model(tmp_path, mirror=True, shift=1, doubt=2.5)
    assert weight_files.load(path).doubt == 2.5


def test_same_model_same_bytes(tmp_path: Path) -> None:
    one = save_model(tmp_path / "a", "small").read_bytes()
    assert save_model(tmp_path / "b", "small").read_bytes() == one


def test_names_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_files, "weights_dir", lambda: tmp_path / "weights")
    with pytest.raises(SglibError, match="no model 'base': shipped models: none in this"):
        weight_files.load("base")
    save_model(tmp_path / "weights", name="base")
    assert weight_files.shipped() == ["base"]
    assert weight_files.load("base").name == "base"
    with pytest.raises(SglibError, match="no model 'bse': shipped models: base; or give a"):
        weight_files.load("bse")
    with pytest.raises(SglibError, match=r"gone\.safetensors: no such model file"):
        weight_files.load("gone.safetensors")
    monkeypatch.chdir(tmp_path / "weights")
    assert weight_files.load("base.safetensors").name == "base"


def test_refuses_foreign_and_damaged_files(tmp_path: Path) -> None:
    good = save_model(tmp_path).read_bytes()

    def load(content: bytes) -> ModelFile:
        (tmp_path / "x.safetensors").write_bytes(content)
        return weight_files.load(tmp_path / "x.safetensors")

    assert load(good).name == "fake"
    for content in (b"", b"\x80\x04pickle", good[:-7], good[: len(good) // 2], good[8:]):
        with pytest.raises(SglibError, match=r"x\.safetensors: damaged model file"):
            load(content)
    save_file({"a": np.zeros(2)}, tmp_path / "y.safetensors")
    with pytest.raises(SglibError, match="but not a model of sglib"):
        weight_files.load(tmp_path / "y.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format version 2; this sglib reads 1"),
        ({"members": 3}, "damaged model file"),
        ({"members": [{"network": "small", "head": "tanh"}]}, "head must be sigmoid or logit"),
        ({"members": []}, "damaged model file"),
        ({"surprise": 1}, "damaged model file"),
        ({"temperature": 0}, "temperature must be > 0"),
        ({"doubt": 0}, "doubt must be > 0 or None"),
        ({"threshold": 1.5}, r"threshold must be in \[0, 1\]"),
    ],
)
def test_refuses_odd_headers(tmp_path: Path, change: dict, message: str) -> None:
    model = make_model()
    header = {
        "name": "m",
        "members": [{"network": "ConvNN_2"}],
        "format_version": 1,
    } | change
    tensors = {f"0.{k}": v for k, v in model.states[0].items()}
    save_file(tensors, tmp_path / "m.safetensors", metadata={"sglib": json.dumps(header)})
    with pytest.raises(SglibError, match=message):
        weight_files.load(tmp_path / "m.safetensors")


def test_refuses_on_writing(tmp_path: Path) -> None:
    with pytest.raises(SglibError, match=r"must end in \.safetensors"):
        weight_files.save(tmp_path / "m.pt", make_model())
    (tmp_path / "file").touch()
    with pytest.raises(SglibError, match="cannot write"):
        weight_files.save(tmp_path / "file" / "m.safetensors", make_model())
    with pytest.raises(SglibError, match="scaling must be unit or symmetric, got 'z'"):
        Member("small", scaling="z")
    with pytest.raises(SglibError, match="as many members as states"):
        ModelFile(name="m", members=(Member("small"),), states=())
