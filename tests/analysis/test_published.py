"""published: sources go to disk and back, and every table and figure is made of them alone."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flat_runs import make_study

from sglib.analysis import people, published, runs
from sglib.data.faces import FaceSet
from sglib.files import repo_root
from sglib.report.publish import rebuild
from sglib.studies import controls
from sglib.studies.profiles import Config
from sglib.studies.tables import study

KFOLD = ("scaling", "verdicts", "augmentation", "l2_sweep", "logit")


def made(name: str, scheme: str = "kfold", *, seed: int = 0) -> pd.DataFrame:
    """Return what `studies.run.run` would of a study."""
    rng = np.random.default_rng(seed)
    rows = study(name).rows
    frame = make_study(
        {row.name: 0.85 + rng.normal(0, 0.01) for row in rows},
        scheme=scheme,
        n_seeds=2,
        n_folds=5 if scheme == "kfold" else 4,
    )
    settings = pd.DataFrame([vars(row) for row in rows]).set_index("name")
    for field in ("model", "head", "scaling", "l2", "p_drop"):
        frame[field] = frame["name"].map(settings[field])
    frame["train_acc"] = [
        row if rng.random() < 0.9 else np.full_like(row, 0.5) for row in frame["train_acc"]
    ]
    return frame


@pytest.fixture
def sources(tiny_faces: FaceSet, monkeypatch: pytest.MonkeyPatch) -> published.Sources:
    def run(name, faces, config, *, scheme="kfold", engine="compiled"):
        frame = made(name, scheme, seed=engine != "compiled").assign(engine=engine)
        fold = frame["fold"] % 4 if scheme == "person" else frame["fold"] * 0
        ids = [
            faces.ids[faces.subjects == f"p{i}"] if scheme == "person" else faces.ids for i in fold
        ]
        probs = [np.linspace(0, 1, len(each)) for each in ids]
        return frame.assign(val_ids=ids, val_probs=probs)

    monkeypatch.setattr(published, "run", run)
    return published.collect(tiny_faces, Config(profile="smoke", seeds=2))


def test_sources_go_to_disk_and_back(sources: published.Sources, tmp_path: Path) -> None:
    paths = published.write(sources, tmp_path)
    assert [path.name for path in paths] == [
        "runs.parquet", "curves.csv", "people.csv", "look_up.csv",
    ]  # fmt: skip
    back = published.read(tmp_path)
    pd.testing.assert_frame_equal(back["runs"], sources["runs"], check_dtype=False, atol=1e-6)
    again = {path: path.read_bytes() for path in published.write(back, tmp_path / "again")}
    assert [path.read_bytes() for path in paths] == list(again.values())
    facts = {"images", "val_ids", "val_probs", "val_acc"}
    assert not facts & set(back["runs"].columns)


def test_everything_is_made_of_the_sources_alone(
    sources: published.Sources, tmp_path: Path
) -> None:
    published.write(sources, tmp_path)
    found = published.tables(published.read(tmp_path))
    assert set(found) == {
        "captions", "failures", "verdicts", "conclusions", "unseen", "references",
    }  # fmt: skip
    assert all(len(table) for table in found.values())
    assert len(found["captions"]) == 6 * 2 * 2 * 48
    assert found["failures"]["n"].sum() == len(
        runs.flatten(pd.concat([made("scaling"), made("logit")]))
    )
    written = rebuild(tmp_path)
    assert {path.stem for path in written if path.suffix == ".csv"} == set(found)
    assert "verdicts.png" in {path.name for path in written}
    assert all(path.stat().st_size > 50 for path in written)


def test_runs_made_twice_stay_out_of_the_tables(sources: published.Sources) -> None:
    flat, again = published._split(sources)
    assert published.AGAIN not in set(flat["engine"])
    assert set(again["name"]) == {"baseline_1", "baseline_2"}
    assert set(again["scheme"]) == {"kfold", "person"}


def test_people_and_look_up_are_as_on_the_pages(
    sources: published.Sources, tiny_faces: FaceSet
) -> None:
    assert set(sources["people"]["design"]) == set(people.DESIGNS.values())
    expected = controls.references(tiny_faces, Config(profile="smoke", seeds=2))
    pd.testing.assert_frame_equal(sources["look_up"], expected)


@pytest.mark.skipif(
    not (repo_root() / "reports" / "runs.parquet").exists(), reason="nothing is published yet"
)
def test_what_is_published_is_rebuilt_from_the_runs(tmp_path: Path) -> None:
    reports = repo_root() / "reports"
    for path in ("runs.parquet", *(f"tables/{n}.csv" for n in ("curves", "people", "look_up"))):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(reports / path, tmp_path / path)
    for path in rebuild(tmp_path):
        assert path.read_bytes() == (reports / path.relative_to(tmp_path)).read_bytes(), path.name
