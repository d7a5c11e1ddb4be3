"""others: from answers to accuracy over people, and which estimate told it."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as sps

from sglib.analysis import others, people, phrases
from sglib.analysis.plots import others as plots
from sglib.data.synthetic import render_faces
from sglib.studies import others as study
from sglib.studies.paper import PRINTED

NAMES = list(PRINTED.index)


@pytest.fixture(scope="module")
def asked():
    return render_faces(n_subjects=4, name="others").subset(np.arange(0, 124, 4))


@pytest.fixture(scope="module")
def exam(asked):
    return study.exam(asked)


def answered(name, exam, wrong, *, outcome="learned"):
    """Return a run that is wrong where `wrong` is True."""
    return {
        "name": name,
        "outcome": outcome,
        "val_probs": np.where(wrong, 1 - exam.labels, exam.labels),
    }


@pytest.fixture(scope="module")
def long(exam):
    """Experiment k is wrong about k photographs of the first person, however they are shown."""
    first = np.flatnonzero((exam.subjects == "s01") & np.char.startswith(exam.ids, "as taken"))
    rows = []
    for k, name in enumerate(NAMES):
        wrong = np.isin(np.arange(len(exam)), first[: k // 2])
        rows += [answered(name, exam, wrong), answered(name, exam, ~wrong, outcome="never")]
    rows.append(answered("base", exam, np.zeros(len(exam), bool)))
    return others.answers(pd.DataFrame(rows), exam)


@pytest.fixture(scope="module")
def known():
    """Return accuracies as `people.by_person` gives them: 0.9 on random folds, 0.8 or so unseen."""
    rows = [
        (name, design, "learned", f"p{i}", accuracy + 0.01 * (i % 2), 32)
        for name in NAMES
        for design, accuracy in ((people.RANDOM, 0.9), (people.UNSEEN, 0.8))
        for i in range(12)
    ]
    columns = ["name", "design", "population", "person", "accuracy", "photographs"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture(scope="module")
def table(long, known, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:  # nothing was published before
        patch.setattr(others, "reports_dir", lambda: tmp_path_factory.mktemp("reports"))
        return others.table(long, known)


def test_runs_that_failed_are_counted_and_left_out(long):
    one = long[long["name"] == NAMES[0]]
    assert one["right"].eq(1).all()
    assert set(one["runs"]) == {2}
    assert set(one["failed"]) == {1}


def test_a_person_is_one_observation(table, asked):
    last = table.set_index("name").loc[NAMES[-1]]
    n = (asked.subjects == "s01").sum()
    assert last["others"] == pytest.approx((3 + (n - 5) / n) / 4)
    assert last["worst"] == pytest.approx((n - 5) / n)
    assert last["low"] < last["others"] <= last["high"]
    assert (last["people"], last["copies"]) == (4, 1)
    assert table.set_index("name").loc["base", ["printed", "random"]].isna().all()
    assert last["printed"] == 0.984
    assert last["random"] == pytest.approx(0.905)
    assert last["new_low"] < last["unseen"] < last["new_high"]


def test_estimates_are_held_against_the_people(table, long):
    found = others.truth(table, long).set_index("estimate")
    of_people = table[table["name"].isin(NAMES)]["others"].mean()
    assert found["others"].to_list() == pytest.approx([of_people] * 3)
    assert found.loc["printed", "error"] == pytest.approx(PRINTED["val_acc"].mean() - of_people)
    rho = sps.spearmanr(PRINTED["val_acc"], table["others"].iloc[:12].astype(float)).statistic
    assert found.loc["printed", "rank"] == pytest.approx(rho)
    assert found["rank"].isna().to_list() == [False, True, True]  # all 0.905: no order
    assert found["people"].to_list() == [4] * 3
    assert "On 4 other people the 12 experiments score" in phrases.truth(found.reset_index(), table)


def test_what_tells_the_truth_is_named(table, long):
    told = others.truth(table.assign(printed=table["others"]), long)
    text = phrases.truth(told, table)
    assert "points [−" in text
    assert "nearest is what **printed** told" in text
    assert "+0.0 points" in text
    assert "not contradicted" in text
    assert "`base` 1.000" in text
    assert "no expectation was published before" in text
    sure = told.assign(low=[0.02, -0.1, -0.3], high=[0.1, 0.1, -0.1], error=[0.05, 0.0, -0.2])
    text = phrases.truth(sure, table)
    assert text.index("**too high**") < text.index("not contradicted") < text.index("**too low**")
    assert phrases.truth_in_short(told)[0].startswith("On 4 other people")


def test_what_was_published_before_is_what_was_expected(long, known, tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    (tmp_path / "reports" / "tables").mkdir(parents=True)
    models = {"model": ["base"], "clean": [0.99], "new_low": [0.93], "new_high": [0.999]}
    pd.DataFrame(models).to_csv(tmp_path / "reports" / "tables" / "models.csv", index=False)
    table = others.table(long, known)
    assert table.iloc[-1][["unseen", "new_low", "new_high"]].to_list() == [0.99, 0.93, 0.999]
    assert "**outside** the expected 0.930 to 0.999" in phrases.truth(
        others.truth(table, long), table
    )


def test_without_people_the_estimates_stand_alone(exam, known, tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    none = study.exam(exam.subset(np.arange(0)))
    nobody = others.answers(pd.DataFrame(columns=["name", "outcome", "val_probs"]), none)
    table = others.table(nobody, known)
    assert table["others"].isna().all()
    assert table["unseen"].notna().all()
    found = others.truth(table, nobody)
    assert found["people"].eq(0).all()
    text = phrases.truth(found, table)
    assert text.startswith("Not known yet: the originals are not here. `sglib data fetch-cmu`")
    assert "printed 0.976" in text
    assert phrases.truth_in_short(found) == []
    assert phrases.numbers(table.dropna(subset="others"), "experiment", "others") == {}
    assert others.tables(nobody) == {}
    assert others.published(none) == {}
    plots.estimates(table, others.by(nobody, "person", as_one=False))
    assert "other people" not in plots.tell(table)


def test_the_published_table_is_shown_where_the_originals_are_not(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    path = tmp_path / "reports" / "tables" / "eight_more_people.csv"
    path.parent.mkdir(parents=True)
    path.write_text("name,others\nfinal_1,0.9\n")
    assert others.published(asked) == {}
    drawn = render_faces(n_subjects=1, name="synthetic-others")
    assert others.published(drawn)["eight_more_people"]["others"].to_list() == [0.9]


def test_tables_by_person_pose_and_distortion(long, asked):
    found = others.tables(long)
    assert list(found) == ["person", "pose", "distortion"]
    person = found["person"].set_index(["name", "person"])["accuracy"]
    assert person["base", "s01"] == 1
    n = (asked.subjects == "s01").sum()
    assert person["paper", "s01"] == pytest.approx(1 - np.mean([k // 2 for k in range(12)]) / n)
    assert set(found["distortion"]["distortion"]) == {*study.DISTORTIONS, study.COPIES}
    assert found["pose"].groupby("name")["photographs"].sum().to_list() == [len(asked)] * 2


def test_the_figure_shows_every_row(table, long, plot_style):
    people = others.by(long, "person", as_one=False)
    ax = plots.estimates(table, people)
    assert [text.get_text() for text in ax.texts] == table["experiment"].to_list()
    assert "Told: 0.98, 0.90, 0.81; found: 0.9" in ax.figure.legends[0].get_title().get_text()
    assert "baseline, ConvNN_1 printed 0.976" in plots.tell(table)


def test_learning_counts_people_and_takes_what_learned():
    rows = [("people2", 0, "learned", 0.7), ("people2", 0, "learned", 0.8)]
    rows += [("people2", 1, "never", 0.5), ("person", 3, "learned", 0.9)]
    flat = pd.DataFrame(rows, columns=["scheme", "fold", "outcome", "val_acc_mean"])
    found = others.learning(flat.assign(name="baseline_1"), 20)
    assert found[["n_people", "accuracy"]].to_numpy().tolist() == [[2, 0.75], [19, 0.9]]
