"""verdicts: ten written claims, one rule, over folds and over people."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from run_fakes import make_frame, make_run
from scipy import stats as sps
from statsmodels.stats.multitest import multipletests

from sglib.analysis.claims import (
    CLAIMS,
    GAP,
    claim_differences,
    claims,
    claims_table,
    compare,
    conclusions,
    readable,
    verdict_table,
)
from sglib.analysis.stats import ONE_IMAGE
from sglib.cli import main
from sglib.studies import run as study
from sglib.studies.paper import CONCLUSIONS
from sglib.studies.tables import STUDIES

ROWS = [row.name for row in STUDIES["verdicts"].rows]
# Validation accuracy above 0.9 by row; rows that are not named stay at 0.9.
LIFTS = {
    "l2_1": 0.03,
    "l2_2": -0.03,
    "flip_1": 0.005,  # surely more than 0, and surely less than one image
    "flip_2": 0.03,
    "dropout50_2": 0.03,
    "final_1": 0.03,
}
REFERENCES = {claim.reference for claim in CLAIMS}
FLIP, DROPOUT = CLAIMS[4], CLAIMS[6]


def make_runs(scheme="kfold", *, lifts=LIFTS, wobble=0.001, n_folds=4, n_seeds=3):
    """Return runs of every row whose differences to a reference are its lift ± wobble.

    The sign alternates from fold to fold, so that an even number leaves the mean alone.
    """
    return make_frame(
        *(
            make_run(
                name,
                scheme=scheme,
                fold=fold,
                seed=seed,
                val_acc=0.9 + lifts.get(name, 0) + (name not in REFERENCES) * wobble * (-1) ** fold,
                train_acc=0.99 + wobble * (-1) ** fold,
            )
            for name in ROWS
            for fold in range(n_folds)
            for seed in range(n_seeds)
        )
    )


def words(table):
    return dict(zip(table["comparison"], table["verdict"], strict=True))


EXPECTED = {
    "baseline_1: train − val": "confirmed",
    "baseline_2: train − val": "confirmed",
    "l2_1 − baseline50_1": "confirmed",
    "l2_2 − baseline50_2": "refuted",
    "flip_1 − baseline_1": "confirmed",
    "flip_2 − baseline_2": "refuted",
    "dropout50_1 − dropout25_1": "undecided",
    "dropout50_2 − dropout25_2": "confirmed",
    "final_1 − baseline60_1": "confirmed",
    "final_2 − baseline60_2": "undecided",
}


def test_the_claims_are_about_rows_that_are_run():
    assert len(CLAIMS) == len({claim.label for claim in CLAIMS}) == 10
    assert {claim.row for claim in CLAIMS} | REFERENCES - {GAP} <= set(ROWS)
    assert [claim.number for claim in CLAIMS] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    rows = {row.name: row for row in STUDIES["verdicts"].rows}
    for claim in CLAIMS:
        if claim.reference != GAP:
            row, reference = rows[claim.row], rows[claim.reference]
            assert row.model == reference.model
            assert row.n_epochs == reference.n_epochs


def test_claims_as_written():
    table = claims()
    assert table.index.tolist() == [claim.number for claim in CLAIMS]
    assert table["conclusion"].tolist() == [text for text in CONCLUSIONS for _ in range(2)]
    assert table["difference in accuracy"].tolist() == list(EXPECTED)
    assert table["claimed to be"].tolist() == [
        "not greater than 0" if number == 3 else "greater than 0" for number in table.index
    ]


@pytest.mark.parametrize("scheme", ["kfold", "person"])
def test_known_differences_get_their_words(scheme):
    table = claims_table(make_runs(scheme, n_folds=12))
    assert words(table) == EXPECTED
    effects = table.set_index("comparison")["effect"]
    assert effects["l2_2 − baseline50_2"] == pytest.approx(-0.03)
    assert effects["baseline_1: train − val"] == pytest.approx(0.09)
    assert (table["low"] <= table["effect"]).all()
    assert (table["effect"] <= table["high"]).all()
    assert set(table["n"]) == {36 if scheme == "kfold" else 12}


@pytest.mark.parametrize(
    ("lift", "wobble", "word"),
    [
        (0.0, 0.001, "confirmed"),
        (0.005, 0.001, "confirmed"),
        (-0.03, 0.001, "confirmed"),
        (ONE_IMAGE, 0.001, "refuted"),
        (0.03, 0.001, "refuted"),
        (0.0, 0.05, "undecided"),
    ],
)
def test_no_help_is_less_than_one_image(lift, wobble, word):
    table = claims_table(make_runs(lifts={"flip_1": lift}, wobble=wobble))
    assert words(table)["flip_1 − baseline_1"] == word


def test_folds_by_hand():
    frame = make_frame(
        *(
            make_run(name, fold=fold, seed=seed, val_acc=value, n_train=80, n_val=20)
            for name, values in (
                ("flip_1", [0.92, 0.94, 0.90, 0.96]),
                ("baseline_1", [0.9, 0.9, 0.9, 0.9]),
            )
            for (seed, fold), value in zip(np.ndindex(2, 2), values, strict=True)
        )
    )
    found = compare(frame, FLIP)
    differences = np.array([0.02, 0.04, 0, 0.06])
    error = differences.std(ddof=1) * math.sqrt(1 / 4 + 20 / 80)
    half = sps.t.ppf(0.975, 3) * error
    assert found.effect == pytest.approx(0.03)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.03 - half, 0.03 + half))
    assert found.p == pytest.approx(2 * sps.t.sf(0.03 / error, 3))
    assert found.interval.n == 4


def test_people_by_hand():
    per_person = [0.01, 0.02, 0.03, 0.06]
    frame = make_frame(
        *(
            make_run(name, scheme="person", fold=fold, seed=seed, val_acc=0.5 + value)
            for name, shift in (("dropout50_1", 1), ("dropout25_1", 0))
            for fold, gain in enumerate(per_person)
            for seed, value in enumerate((shift * (gain - 0.2), shift * (gain + 0.2)))
        )
    )
    found = compare(frame, DROPOUT)
    half = sps.t.ppf(0.975, 3) * np.std(per_person, ddof=1) / 2
    assert (found.interval.low, found.interval.high) == pytest.approx((0.03 - half, 0.03 + half))
    assert found.interval.n == 4  # seeds are not people
    assert found.p == 2 / 2**4


def test_the_gap_is_training_minus_validation_of_the_same_run():
    frame = make_frame(
        make_run("baseline_1", fold=0, train_acc=1.0, val_acc=0.9),
        make_run("baseline_1", fold=1, train_acc=0.8, val_acc=0.9),
        make_run("baseline_2", fold=0, train_acc=0.0),
    )
    runs = claim_differences(frame, CLAIMS[0])
    assert runs["difference"].tolist() == pytest.approx([0.1, -0.1])
    assert runs.columns.tolist() == ["fold", "seed", "n_train", "n_val", "difference"]


def test_the_mean_of_the_last_ten_epochs_is_compared():
    late = np.concatenate([np.full(11, 0.9), [1.0]])
    frame = make_frame(make_run("flip_1", val_acc=late), make_run("baseline_1", val_acc=0.9))
    assert claim_differences(frame, FLIP)["difference"].tolist() == pytest.approx([0.01])


@pytest.mark.parametrize("scheme", ["kfold", "person"])
def test_p_is_corrected_for_all_ten_claims(scheme):
    frame = make_runs(scheme, wobble=0.03, n_folds=6)
    raw = [compare(frame, claim).p for claim in CLAIMS]
    table = claims_table(frame)
    assert table["p_holm"].tolist() == pytest.approx(multipletests(raw, method="holm")[1])


def test_what_the_correction_takes_away_is_undecided():
    table = claims_table(make_runs("person", n_folds=8))  # p cannot be below 10 · 2/2⁸ = 0.078
    sure = table.set_index("comparison").loc["l2_1 − baseline50_1"]
    assert sure["low"] > 0
    assert sure["p_holm"] == pytest.approx(20 / 256)
    assert set(words(table).values()) == {"confirmed", "undecided"}
    assert [name for name, word in words(table).items() if word == "confirmed"] == [
        "flip_1 − baseline_1"  # the only claim that needs no p value
    ]


@pytest.mark.parametrize("schemes", [("kfold", "person"), ("holdout",)])
def test_other_and_mixed_schemes_are_refused(schemes):
    frame = pd.concat([make_runs(scheme) for scheme in schemes], ignore_index=True)
    with pytest.raises(ValueError, match="scheme kfold or person, got .*" + schemes[-1]):
        claims_table(frame)


@pytest.mark.parametrize("scheme", ["kfold", "person"])
def test_one_fold_or_person_decides_nothing(scheme):
    table = claims_table(make_runs(scheme, n_folds=1, n_seeds=1))
    assert set(table["verdict"]) == {"undecided"}
    assert set(table["p_holm"]) == {1.0}
    assert set(readable(table)["effect (points)"]) == {"–"}


def test_a_conclusion_speaks_of_both_networks():
    table = claims_table(make_runs(n_folds=12))
    other = table.assign(verdict="confirmed")
    other.loc[other["comparison"] == "final_2 − baseline60_2", "verdict"] = "refuted"
    other.loc[other["comparison"] == "final_1 − baseline60_1", "verdict"] = "undecided"
    joint = verdict_table(table, other)
    assert joint.index.tolist() == [1, 2, 3, 4, 5]
    assert joint["conclusion"].tolist() == list(CONCLUSIONS)
    assert joint["random split"].tolist() == [
        *("confirmed", "refuted", "refuted", "undecided", "undecided"),
    ]
    assert joint["unseen people"].tolist() == ["confirmed"] * 4 + ["refuted"]


def test_readable_is_in_percentage_points():
    table = readable(claims_table(make_runs("person", n_folds=12)))
    assert table.index.tolist() == list(EXPECTED)
    row = table.loc["l2_2 − baseline50_2"]
    assert row["effect (points)"] == "-3.00"
    assert row["95 % interval"] == "[-3.07, -2.93]"
    assert row["p (Holm)"] == "0.0049"
    assert row[["n", "verdict"]].tolist() == [12, "refuted"]


def test_conclusions_joins_both_designs():
    folds = claims_table(make_runs("kfold", n_folds=12))
    people = claims_table(make_runs("person", n_folds=12, lifts={"flip_1": 0.05}))
    table = conclusions(folds, people)
    assert table["design"].tolist() == ["random split"] * 10 + ["unseen people"] * 10
    joint = verdict_table(folds, people)
    for row in table.itertuples():
        assert row.joint == joint.loc[row.number, row.design]
    apart = table[table["comparison"] == "flip_1 − baseline_1"].set_index("design")["verdict"]
    assert apart["unseen people"] == "refuted"
    assert apart["random split"] == words(folds)["flip_1 − baseline_1"] != "refuted"


@pytest.mark.parametrize("claim", [CLAIMS[0], CLAIMS[2]])
def test_a_claim_without_runs_is_an_error(claim):
    frame = make_frame(make_run("flip_1", fold=0))
    with pytest.raises(ValueError, match=f"no runs of {claim.row}"):
        claim_differences(frame, claim)


def test_the_command_judges_both_designs(monkeypatch, tmp_path):
    asked = []

    def stored(name, faces, config, *, scheme, store):
        asked.append((name, scheme, config.profile, store.folder))
        return make_runs(scheme, n_folds=12)

    monkeypatch.setattr(study, "run", stored)
    command = ["study", "conclusions", "--profile", "smoke", "--data", "synthetic"]
    done = CliRunner().invoke(main, [*command, "--store", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert asked == [("verdicts", scheme, "smoke", tmp_path) for scheme in ("kfold", "person")]
    table = pd.read_csv(io.StringIO(done.stdout))
    expected = conclusions(*(claims_table(make_runs(s, n_folds=12)) for s in ("kfold", "person")))
    assert table["verdict"].tolist() == expected["verdict"].tolist()
    assert table.columns.tolist() == expected.columns.tolist()
