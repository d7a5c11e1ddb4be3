"""people: averages by hand, a variance that is known, the drop of a made-up study."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from flat_runs import answered, make_frame, make_run, make_study

from sglib import SglibError
from sglib.analysis import people, stats
from sglib.analysis.runs import flatten
from sglib.data.faces import FaceSet


def test_answers_know_what_is_on_the_photograph(tiny_faces: FaceSet) -> None:
    frame = make_frame(*answered(tiny_faces, "baseline_1", {"p1": 0.3}))
    long = people.answers(frame, tiny_faces)
    assert len(long) == len(tiny_faces)
    assert (~long["correct"]).sum() == 3
    assert set(long.loc[~long["correct"], "person"]) == {"p1"}
    row = long.iloc[0]
    place = tiny_faces.ids.tolist().index(row["id"])
    assert (row["pose"], row["label"]) == (tiny_faces.pose[place], tiny_faces.labels[place])
    other = frame.assign(val_ids=[["nobody"]] * 4, val_probs=[[0.5]] * 4)
    with pytest.raises(SglibError, match="no image 'nobody'"):
        people.answers(other, tiny_faces)


def test_a_person_is_averaged_within_a_run_then_over_runs() -> None:
    # run 0 has 1 of 2, run 1 has 1 of 1: 0.75, whereas the pooled answers give 2/3
    long = pd.DataFrame(
        {"person": "a", "seed": [0, 0, 1], "id": ["x", "y", "x"], "correct": [True, False, True]}
    )
    row = people.person_means(long).loc["a"]
    assert (row["accuracy"], row["photographs"], row["seeds"]) == (0.75, 2, 2)


def test_the_drop_is_paired_by_person(tiny_faces: FaceSet) -> None:
    rows = answered(tiny_faces, "baseline_1", {"p0": 0.2, "p1": 0.4})
    rows += answered(tiny_faces, "baseline_1", {}, scheme="kfold")
    rows += answered(tiny_faces, "flip_1", {})  # one design only
    table = people.by_person(make_frame(*rows), tiny_faces)
    unseen = table[(table["design"] == people.UNSEEN) & (table["name"] == "baseline_1")]
    found = unseen[unseen["population"] == "learned"].set_index("person")["accuracy"]
    assert found.to_dict() == pytest.approx({"p0": 0.8, "p1": 0.6, "p2": 1.0, "p3": 1.0})
    drop = people.drop_table(table).set_index("name")
    assert drop.index.tolist() == ["baseline_1"]
    row, expected = drop.loc["baseline_1"], stats.t_interval([0.2, 0.4, 0, 0], level=0.95)
    assert (row["random"], row["unseen"], row["worst"]) == pytest.approx((1, 0.85, 0.6))
    assert row[["drop", "drop_low", "drop_high"]].tolist() == pytest.approx(
        [expected.mean, expected.low, expected.high]
    )
    rate, _ = stats.people_rate([8, 6, 10, 10], [10] * 4)
    assert (row["low"], row["high"]) == pytest.approx((rate.low, rate.high))


def test_variance_split_finds_what_was_put_in() -> None:
    rng = np.random.default_rng(1)
    person, technique = rng.normal(0, 0.08, 40), rng.normal(0, 0.03, 30)
    rest = rng.normal(0, 0.02, (40, 30))
    rows = [
        make_run(f"t{t}", scheme="person", fold=p, seed=seed, n_epochs=10,
                 val_acc=0.85 + person[p] + technique[t] + rest[p, t] + rng.normal(0, 0.05))
        for p in range(40) for t in range(30) for seed in range(3)
    ]  # fmt: skip
    table = people.variance_split(flatten(make_frame(*rows))).set_index("part")
    put_in = [person.std(ddof=1), technique.std(ddof=1), rest.std(), 0.05]
    assert table.index.tolist() == ["person", "technique", "rest", "seed"]
    assert table["sd"].tolist() == pytest.approx(put_in, rel=0.1)
    assert table["share"].sum() == pytest.approx(1)
    assert table["share_of_means"].sum() == pytest.approx(1)
    assert np.isnan(table.loc["seed", "share_of_means"])


def test_variance_split_is_an_analysis_of_variance() -> None:
    frame = make_study({"flip_1": 0.8, "l2_1": 0.9}, scheme="person", n_folds=6, n_seeds=4, sd=0.03)
    runs = flatten(frame)
    cells = runs.groupby(["fold", "name"], as_index=False)["val_acc_mean"].mean()
    model = smf.ols("val_acc_mean ~ C(fold) + C(name)", cells).fit()
    table = people.variance_split(runs).set_index("part")
    expected = 1 - model.rsquared
    assert table.loc["rest", "share_of_means"] == pytest.approx(expected)
    assert table.loc["seed", "sd"] == pytest.approx(0.03, rel=0.2)


def test_early_stopping_takes_the_epoch_of_the_other_people() -> None:
    early, late = [0.9, 0.5, *[0.6] * 10], [0.5, 0.8, *[0.7] * 10]
    rows = [
        make_run("l2_1", scheme="person", fold=i, val_acc=of)
        for i, of in enumerate((early, late, late))
    ]
    failed = make_run("l2_1", scheme="person", fold=0, seed=1, val_acc=0.5, train_acc=0.5)
    table = people.early_stopping(make_frame(*rows, failed)).set_index("fold")
    assert table["epoch"].tolist() == [2, 1, 1]  # early and late together: 0.7 first
    assert table["stopped"].tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert table["last"].tolist() == pytest.approx([0.6, 0.7, 0.7])
    assert table["oracle"].tolist() == pytest.approx([0.9, 0.8, 0.8])


def test_errors_by_what_is_on_the_photograph(tiny_faces: FaceSet) -> None:
    frame = make_frame(*answered(tiny_faces, "baseline_1", {"p1": 0.5}))
    by_person = people.error_table(frame, tiny_faces, "person").set_index("person")
    assert by_person.loc["p1", "accuracy"] == 0.5
    assert by_person.loc["p1", "wrong"] == 5
    by_class = people.error_table(frame, tiny_faces, "class").set_index("class")
    assert by_class["photographs"].sum() == len(tiny_faces)
    assert by_class.loc["open", "people"] == 4
    assert by_class.loc["open", "low"] < by_class.loc["open", "accuracy"]
    with pytest.raises(SglibError, match="no accuracy by 'hair'"):
        people.error_table(frame, tiny_faces, "hair")
