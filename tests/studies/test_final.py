"""final: retrained on every image; a stuck seed is passed over; two files a model."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest

from sglib.analysis.runs import STUCK_BELOW
from sglib.models import files as weight_files
from sglib.models.networks import build_model
from sglib.predict.classifier import Classifier
from sglib.studies import final
from sglib.studies.final import FINAL, predict_set, retrain, save
from sglib.studies.profiles import PROFILES, Config
from sglib.training.fit import fit
from sglib.training.reference import Fit

SMOKE = Config(profile="smoke")


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int, int]]:
    """Stand in for training: seeds up to 2 are stuck; return (row, epochs, images, seed) seen."""
    seen = []

    def fake(row, faces, split, *, seed, device):
        assert len(split.val) == 0
        seen.append((row.name, row.n_epochs, len(split.train), seed))
        state = {key: value.numpy() for key, value in build_model(row.model).state_dict().items()}
        # It was good on the way, which does not count.
        ends = STUCK_BELOW - 0.01 if seed <= 2 else STUCK_BELOW
        return Fit({"train_acc": np.array([0.9, ends])}, state, np.empty(0), "fake", 0.0)

    monkeypatch.setattr(final, "fit", fake)
    return seen


def test_a_stuck_seed_is_passed_over(tiny_faces, fits):
    models = retrain(tiny_faces, SMOKE, seed=1)
    assert fits == [(name, 12, 40, seed) for name in FINAL for seed in (1, 2, 3)]
    assert list(models) == list(FINAL)
    model = models["final_2"]
    (member,) = model.members
    assert (member.network, member.head, member.scaling, member.seed) == (
        *("ConvNN_2", "sigmoid", "unit", 3),
    )
    assert (model.name, model.data, model.data_digest) == ("final_2", "tiny", tiny_faces.digest)
    assert model.notes["settings"]["l2"] == 5e-6
    assert model.notes["profile"] == "smoke"


def test_a_seed_that_learns_is_kept(tiny_faces, fits):
    retrain(tiny_faces, SMOKE, seed=5)
    assert [seed for *_, seed in fits] == [5, 5]


def test_at_most_ten_seeds_are_tried(tiny_faces, fits, caplog):
    retrain(tiny_faces, SMOKE, seed=-20)
    assert [seed for *_, seed in fits] == [*range(-20, -10)] * 2
    said = "final_1: none of the seeds -20 to -11 learned anything on tiny in 12 epochs"
    assert caplog.messages[0].startswith(said)
    assert "0.69, expected 0.7 or more" in caplog.messages[0]


def test_the_paper_trains_sixty_epochs(tiny_faces, fits):
    retrain(tiny_faces, Config(profile="paper"), seed=3)
    assert [epochs for _, epochs, *_ in fits] == [60, 60]


@pytest.fixture(scope="module")
def models(tiny_faces):
    """Return what two epochs on the reference engine give."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], max_epochs=2))
        patch.setattr(final, "fit", functools.partial(fit, engine="reference"))
        patch.setattr(final, "STUCK_BELOW", 0.0)
        return retrain(tiny_faces, SMOKE)


def test_real_models_have_the_papers_settings(models, tiny_faces):
    assert models["final_1"].notes["settings"]["n_epochs"] == 2
    assert models["final_1"].notes["engine"] == "reference-cpu"
    found = predict_set(models["final_1"], tiny_faces)
    assert found.columns.tolist() == ["id", "probability", "result"]
    assert found["id"].tolist() == tiny_faces.ids.tolist()
    assert found["result"].tolist() == (found["probability"] > 0.5).astype(int).tolist()


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
        model = Classifier(weight_files.load(tmp_path / "new" / f"{name}.safetensors"))
        probs = model.probabilities(tiny_faces.images)
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
    monkeypatch.setattr(final, "models_dir", lambda: tmp_path)
    save(models, tiny_faces)
    assert (tmp_path / "tiny" / "final_1.csv").is_file()


def test_a_table_that_breaks_off_leaves_the_old_one(models, tiny_faces, tmp_path, monkeypatch):
    (tmp_path / "final_1.csv").write_text("old")
    real = pd.DataFrame.to_csv

    def broken(table, path, **options):
        real(table.head(3), path, **options)
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", broken)
    with pytest.raises(OSError, match="disk full"):
        save(models, tiny_faces, folder=tmp_path)
    assert (tmp_path / "final_1.csv").read_text() == "old"


def test_a_failed_write_leaves_no_temporary_file(models, tiny_faces, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError("no space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OSError, match="no space"):
        save(models, tiny_faces, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["final_1.safetensors"]
