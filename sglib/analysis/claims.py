"""The paper's five conclusions as comparisons, and one word on each.

Fixed before the runs: δ (`effects`: one image of a split, 1.33 points, for these photographs; 2
points for other people) and the comparisons of conclusions 1 to 4. How conclusion 5 is judged
(accuracy given learning, failures apart with a δ of 5 points) was changed after 10 to 13
repetitions had been seen; its word must be read so until other runs repeat it.

The rule. A conclusion says of each comparison that it is "better" (by more than δ), "not better"
or "not worse", for both networks. Each is a one-sided test at 5 %; the opposite is tested at the
other side of the same border. A conclusion is *confirmed* where all its comparisons agree (each at
5 %: an intersection of tests needs no adjustment), *refuted* where the opposite of one holds (Holm
over the comparisons of the conclusion), else *open*.

A run that fails to train shows it on its training images and would be started again. So accuracy
is judged given that both runs learned, and failing is an outcome of its own, which conclusion 5
must answer for too. Every comparison of accuracy over all runs stands beside.
"""

from typing import NamedTuple

import pandas as pd

from sglib.analysis.effects import QUESTIONS, Pair, compare
from sglib.analysis.stats import ALPHA, OPPOSITE, holm
from sglib.studies.paper import CONCLUSIONS


class Claim(NamedTuple):
    """One comparison that a conclusion stands on, and what the conclusion says of it.

    Where it says nothing ("") the comparison is shown beside it and decides nothing.
    """

    number: int  # place in `paper.CONCLUSIONS`, from 1
    pair: Pair
    says: str


def plain(name: str) -> str:
    """Return the experiment without the technique and with as many epochs."""
    kind, network = name.split("_")
    longer = {"l2": "50", "final": "60", "dropout25": "50", "dropout50": "50"}.get(kind, "")
    if kind.startswith("dropout") and network == "1":  # §4.4: 40 epochs for ConvNN_1, 50 for 2
        longer = ""
    return f"baseline{longer}_{network}"


def _claims() -> tuple[Claim, ...]:
    better, not_worse = "better", "not worse"
    found = []
    for i in (1, 2):
        flip, l2, final = f"flip_{i}", f"l2_{i}", f"final_{i}"
        half, quarter = f"dropout50_{i}", f"dropout25_{i}"
        found += [
            # The plain networks have a gap; beside it, which technique makes it smaller.
            Claim(1, Pair(f"baseline_{i}"), better),
            *(Claim(1, Pair(row, plain(row), "gap"), "") for row in (flip, half, final)),
            # L2 makes the gap smaller, beats the plain network, and no technique beats it.
            Claim(2, Pair(l2, plain(l2), "gap"), better),
            Claim(2, Pair(l2, plain(l2)), better),
            *(Claim(2, Pair(l2, other), not_worse) for other in (flip, quarter, half, final)),
            Claim(3, Pair(flip, plain(flip)), "not better"),
            Claim(4, Pair(half, quarter), better),
            # It beats the plain network, no alternative beats it, and none fails less often.
            Claim(5, Pair(final, plain(final)), better),
            *(Claim(5, Pair(final, other), not_worse) for other in (flip, l2, quarter, half)),
            *(
                Claim(5, Pair(final, other, "failures"), not_worse)
                for other in (plain(final), flip, l2, quarter, half)
            ),
        ]
    return tuple(sorted(found, key=lambda claim: claim.number))


CLAIMS = _claims()


def claims_table() -> pd.DataFrame:
    """Return the comparisons as fixed: number, conclusion, comparison, says ("–": shown only)."""
    rows = [(c.number, CONCLUSIONS[c.number - 1], c.pair.label, c.says or "–") for c in CLAIMS]
    return pd.DataFrame(rows, columns=["number", "conclusion", "comparison", "says"])


def verdicts(runs: pd.DataFrame) -> pd.DataFrame:
    """Judge every comparison of every conclusion, on both questions and both populations.

    Args:
        runs: from `runs.flatten`, of study `verdicts` in schemes kfold and person.

    Returns:
        number, conclusion and the columns of `effects.compare`; `says`, what the conclusion says
        of the comparison; `answer`: "agrees", "contradicts", "open", or "" where the row does not
        decide.
    """
    parts = []
    for number, conclusion in enumerate(CONCLUSIONS, start=1):
        says = {claim.pair: claim.says for claim in CLAIMS if claim.number == number}
        table = compare(runs, says, with_p=True)
        table.insert(0, "number", number)
        table.insert(1, "conclusion", conclusion)
        pairs = table[["row", "reference", "measure"]].itertuples(index=False, name=None)
        table["says"] = [says[Pair(*pair)] for pair in pairs]
        judged = (table["population"] == "learned") | (table["measure"] == "failures")
        table["answer"] = ""
        for _, family in table[judged & (table["says"] != "")].groupby("question"):
            table.loc[family.index, "answer"] = _answers(family)
        parts.append(table)
    table = pd.concat(parts, ignore_index=True)
    return table.drop(columns=[name for name in table if name.startswith("p: ")])


def _answers(family: pd.DataFrame) -> list[str]:
    rows = family.to_dict("records")
    against = holm([row[f"p: {OPPOSITE[row['says']]}"] for row in rows])
    return [
        "agrees" if row[f"p: {row['says']}"] < ALPHA else "contradicts" if p < ALPHA else "open"
        for row, p in zip(rows, against, strict=True)
    ]


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return one word per conclusion and question: confirmed, refuted or open, by the rule above.

    Args:
        table: from `verdicts`.

    Returns:
        index number; conclusion, and a column for each question that has runs.
    """
    decides = table[table["answer"] != ""]
    words = decides.groupby(["number", "question"])["answer"].agg(_word).unstack()
    questions = [question for question in QUESTIONS if question in words]
    conclusions = pd.Series(CONCLUSIONS, index=range(1, len(CONCLUSIONS) + 1), name="conclusion")
    return conclusions.to_frame().join(words[questions]).rename_axis("number")


def _word(answers: pd.Series) -> str:
    if (answers == "agrees").all():
        return "confirmed"
    return "refuted" if (answers == "contradicts").any() else "open"
