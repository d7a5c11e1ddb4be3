"""claims: what was fixed, verdicts on made-up studies, the rule's words, the whole rule's level."""

import pandas as pd
import pytest
from flat_runs import make_study

from sglib.analysis import claims
from sglib.analysis.effects import PEOPLE, PHOTOGRAPHS
from sglib.analysis.runs import flatten
from sglib.studies.paper import CONCLUSIONS
from sglib.studies.tables import STUDIES

NAMES = [row.name for row in STUDIES["verdicts"].rows]
ROWS = {row.name: row for row in STUDIES["verdicts"].rows}


def made(changes: dict[str, float], **fields: object) -> pd.DataFrame:
    """Return runs of the whole study in both designs: 0.85, plus the changes of a technique."""
    accuracy = {
        name: 0.85 + next((by for of, by in changes.items() if name.startswith(of + "_")), 0.0)
        for name in NAMES
    }
    frames = [
        make_study(accuracy, **fields),
        make_study(accuracy, scheme="person", n_folds=12, **fields),
    ]
    return flatten(pd.concat(frames))


def test_every_comparison_is_of_one_network_and_of_a_row_that_is_run() -> None:
    for claim in claims.CLAIMS:
        row, reference, _ = claim.pair
        assert row in NAMES
        if reference:
            assert reference in NAMES
            assert ROWS[row].model == ROWS[reference].model


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("baseline")])
def test_the_plain_network_has_as_many_epochs(name: str) -> None:
    plain = ROWS[claims.plain(name)]
    assert plain.n_epochs == ROWS[name].n_epochs
    assert (plain.l2, plain.p_drop, plain.augment) == (0.0, 0.0, "none")


def test_all_five_conclusions_are_asked_of_both_networks() -> None:
    table = claims.claims_table()
    assert set(table["number"]) == {1, 2, 3, 4, 5}
    for _, part in table.groupby("number"):
        assert part["comparison"].str.contains("ConvNN_1").sum() * 2 == len(part)


def test_a_study_in_which_the_paper_is_right() -> None:
    runs = made({"l2": 0.08, "dropout50": 0.05, "final": 0.08}, train=0.99)
    table = claims.verdicts(runs)
    words = claims.cells(table)
    assert words["conclusion"].tolist() == list(CONCLUSIONS)
    for question in (PHOTOGRAPHS, PEOPLE):
        assert words[question].tolist() == ["confirmed"] * 5
    required = (
        "number conclusion question comparison effect low high delta n p_holm word population"
    )
    assert set(required.split()) <= set(table.columns)


def test_a_study_in_which_nothing_matters() -> None:
    words = claims.cells(claims.verdicts(made({})))
    assert words[PHOTOGRAPHS].tolist() == [
        "confirmed",
        "refuted",
        "confirmed",
        "refuted",
        "refuted",
    ]
    assert words[PEOPLE].tolist() == words[PHOTOGRAPHS].tolist()


def test_too_few_runs_leave_it_open() -> None:
    runs = made({}, n_seeds=2, sd=0.2)
    assert set(claims.cells(claims.verdicts(runs))[PHOTOGRAPHS]) <= {"open", "confirmed"}
    assert "open" in set(claims.cells(claims.verdicts(runs))[PHOTOGRAPHS])


def test_conclusion_5_answers_for_its_failures_and_the_others_do_not() -> None:
    best = {name: 0.95 if name.startswith("final") else 0.85 for name in NAMES}
    finals = {name: best.pop(name) for name in ("final_1", "final_2")}
    words = {}
    for failed in (0.0, 0.3):
        frames = [make_study(finals, n_seeds=40, failed=failed), make_study(best, n_seeds=40)]
        words[failed] = claims.cells(claims.verdicts(flatten(pd.concat(frames))))[PHOTOGRAPHS]
    assert words[0.0][5] == "confirmed"
    assert words[0.3][5] == "refuted"  # better where it learns, but it fails more often
    assert words[0.0].drop(5).tolist() == words[0.3].drop(5).tolist()


@pytest.mark.parametrize(
    ("answers", "word"),
    [
        (["agrees", "agrees"], "confirmed"),
        (["agrees", "open"], "open"),
        (["open", "contradicts"], "refuted"),
        (["agrees", "contradicts"], "refuted"),
    ],
)
def test_the_rule(answers: list[str], word: str) -> None:
    assert claims._word(pd.Series(answers)) == word


def test_one_design_alone() -> None:
    runs = made({})
    words = claims.cells(claims.verdicts(runs[runs["scheme"] == "kfold"]))
    assert list(words.columns) == ["conclusion", PHOTOGRAPHS]
