"""final: retrained on every image, two files a model, which answer as the model does."""

import dataclasses
import functools

import pandas as pd
import pytest

from sglib.data.splits import make_split
from sglib.models import files
from sglib.studies.final import FINAL, retrain, save
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.tables import BY_NAME
from sglib.training import fit as fit_module
from sglib.training.fit import fit, fit_until_learned

SMOKE = Config(profile="smoke")


@pytest.fixture(scope="module")
def models(tiny_faces):
    """Return what two epochs on the reference engine give, from the first seed on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], max_epochs=2))
        patch.setattr(fit_module, "fit", functools.partial(fit, engine="reference"))
        patch.setattr(fit_module, "LEARNS_AT", 0.0)
        return retrain(tiny_faces, SMOKE, seed=3)


def test_the_papers_settings_on_every_image(models, tiny_faces, monkeypatch):
    assert list(models) == list(FINAL)
    model = models["final_2"]
    (member,) = model.members
    assert (member.network, member.head, member.seed) == ("ConvNN_2", "sigmoid", 3)
    assert (model.name, model.data, model.data_digest) == ("final_2", "tiny", tiny_faces.digest)
    assert (model.mirror, model.scaling) == (False, "unit")  # the paper looks once
    assert model.notes["settings"]["l2"] == 5e-6
    assert (model.notes["profile"], model.notes["engine"]) == ("smoke", "reference-cpu")
    row = dataclasses.replace(BY_NAME["final_2"], n_epochs=2)
    monkeypatch.setattr(fit_module, "fit", functools.partial(fit, engine="reference"))
    monkeypatch.setattr(fit_module, "LEARNS_AT", 0.0)
    _, done = fit_until_learned(row, tiny_faces, make_split(tiny_faces, "all"), seed=3)
    assert all((model.states[0][name] == value).all() for name, value in done.weights.items())


def test_save_writes_models_and_predictions(models, tiny_faces, tmp_path):
    report = save(models, tiny_faces, folder=tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        *("final_1.csv", "final_1.safetensors", "final_2.csv", "final_2.safetensors"),
    ]
    for name in FINAL:
        path = tmp_path / "new" / f"{name}.csv"
        assert b"\r" not in path.read_bytes()
        table = pd.read_csv(path)
        assert table.columns.tolist() == ["id", "result"]
        assert table["id"].tolist() == tiny_faces.ids.tolist()
        again = files.load(tmp_path / "new" / f"{name}.safetensors").ensemble()
        probs = again.predict(tiny_faces.images)
        assert table["result"].tolist() == (probs > 0.5).astype(int).tolist()
        row = report.loc[name]
        assert row["images"] == 40
        assert row["sunglasses"] == pytest.approx(table["result"].mean())
        assert row["test_acc"] == pytest.approx((table["result"] == tiny_faces.labels).mean())
        assert (row["model"], row["predictions"]) == (f"{name}.safetensors", f"{name}.csv")


def test_no_accuracy_where_labels_are_held_back(models, tiny_faces, tmp_path):
    held_back = dataclasses.replace(tiny_faces, labels=None)
    report = save(models, held_back, folder=tmp_path)
    assert report["test_acc"].isna().all()
    assert report["sunglasses"].between(0, 1).all()


def test_the_default_folder_is_named_after_the_training_set(
    models, tiny_faces, tmp_path, monkeypatch
):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    save(models, tiny_faces)
    assert (tmp_path / "models" / "tiny" / "final_1.safetensors").is_file()
