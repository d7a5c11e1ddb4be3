"""The paper's five conclusions as claims with a test each, and the verdict on each.

The claims, their comparisons and the rule (`stats.verdict`) stand here before any run. Each is
asked twice: over random folds of the same people, where the interval is Nadeau and Bengio's
corrected t, and over people held out whole, where a person is one observation and the test flips
signs.
"""

import dataclasses

import pandas as pd

from sglib.analysis.effects import compare_folds, points
from sglib.analysis.people import person_interval, sign_flip_test
from sglib.analysis.runs import paired_differences, run_values
from sglib.analysis.stats import (
    ONE_IMAGE,
    Comparison,
    Direction,
    holm,
    verdict,
)
from sglib.studies.paper import CONCLUSIONS

MEASURE = "val_acc_mean"  # validation accuracy, mean of the last ten epochs
GAP = "train − val"  # the reference of a claim about the gap between the two accuracies


@dataclasses.dataclass(frozen=True)
class Claim:
    """One conclusion for one network.

    Args:
        number: place in `paper.CONCLUSIONS`, from 1.
        row: experiment that the claim speaks for.
        reference: experiment it is compared with, or `GAP`.
        direction: what is claimed of the difference row − reference.
    """

    number: int
    row: str
    reference: str
    direction: Direction = "greater"

    @property
    def label(self) -> str:
        """The comparison in short; unique among `CLAIMS`."""
        return f"{self.row}: {GAP}" if self.reference == GAP else f"{self.row} − {self.reference}"


CLAIMS = (
    Claim(1, "baseline_1", GAP),
    Claim(1, "baseline_2", GAP),
    Claim(2, "l2_1", "baseline50_1"),
    Claim(2, "l2_2", "baseline50_2"),
    Claim(3, "flip_1", "baseline_1", "not greater"),
    Claim(3, "flip_2", "baseline_2", "not greater"),
    Claim(4, "dropout50_1", "dropout25_1"),
    Claim(4, "dropout50_2", "dropout25_2"),
    Claim(5, "final_1", "baseline60_1"),
    Claim(5, "final_2", "baseline60_2"),
)


def claims() -> pd.DataFrame:
    """Return the claims as they were written before any run."""
    return pd.DataFrame(
        {
            "conclusion": [CONCLUSIONS[claim.number - 1] for claim in CLAIMS],
            "difference in accuracy": [claim.label for claim in CLAIMS],
            "claimed to be": [f"{claim.direction} than 0" for claim in CLAIMS],
        },
        index=pd.Index([claim.number for claim in CLAIMS], name="number"),
    )


def claim_differences(frame: pd.DataFrame, claim: Claim) -> pd.DataFrame:
    """Return a claim's difference in every run that both sides have.

    Args:
        frame: runs of `experiments.STUDIES["verdicts"]`, all of one scheme.

    Returns:
        fold, seed, n_train, n_val, difference (fraction).

    Raises:
        ValueError: the frame lacks a row of the claim.
    """
    if claim.reference != GAP:
        return paired_differences(frame, claim.row, claim.reference, measure=MEASURE)
    row = run_values(frame)
    row = row[row["name"] == claim.row]
    if row.empty:
        raise ValueError(f"no runs of {claim.row} to judge")
    return row[["fold", "seed", "n_train", "n_val"]].assign(
        difference=row["train_acc_mean"] - row[MEASURE]
    )


def compare(frame: pd.DataFrame, claim: Claim) -> Comparison:
    """Test a claim: over folds (scheme `kfold`) or over people (scheme `person`).

    Raises:
        ValueError: the frame is of another scheme, or of several.
    """
    schemes = set(frame["scheme"])
    runs = claim_differences(frame, claim)
    if schemes == {"kfold"}:
        return compare_folds(runs)
    if schemes == {"person"}:
        people = runs.groupby("fold")["difference"].mean()  # seeds are not people
        if len(people) < 2:
            return compare_folds(runs[:0])
        return Comparison(
            person_interval(people, kind="difference"), sign_flip_test(people.to_numpy())
        )
    raise ValueError(f"expected runs of scheme kfold or person, got {sorted(schemes)}")


def claims_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Test all claims on the runs of one scheme; p is corrected for their number (Holm).

    Returns:
        one row per claim: number, conclusion, comparison, effect, low, high (fractions, 95 %),
        p_holm, n (folds × seeds, or people), method, verdict.
    """
    found = {claim.label: compare(frame, claim) for claim in CLAIMS}
    adjusted = holm({label: comparison.p for label, comparison in found.items()})
    rows = []
    for claim in CLAIMS:
        interval = found[claim.label].interval
        word = verdict(
            interval,
            adjusted[claim.label],
            direction=claim.direction,
            smallest_effect=ONE_IMAGE if claim.direction == "not greater" else None,
        )
        rows.append(
            {
                "number": claim.number,
                "conclusion": CONCLUSIONS[claim.number - 1],
                "comparison": claim.label,
                "effect": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "p_holm": adjusted[claim.label],
                "n": interval.n,
                "method": interval.method,
                "verdict": word,
            }
        )
    return pd.DataFrame(rows)


def verdict_table(random_split: pd.DataFrame, unseen_people: pd.DataFrame) -> pd.DataFrame:
    """Give each conclusion one word on the random split and one on people not seen.

    A conclusion speaks of both networks: it is confirmed if it is for both, refuted if it is for
    either, else undecided.

    Args:
        random_split, unseen_people: from `claims_table`.

    Returns:
        index number; conclusion, random split, unseen people.
    """
    table = pd.DataFrame({"conclusion": CONCLUSIONS}, index=range(1, len(CONCLUSIONS) + 1))
    for name, claims in (("random split", random_split), ("unseen people", unseen_people)):
        table[name] = claims.groupby("number")["verdict"].agg(_joint)
    return table.rename_axis("number")


def conclusions(random_split: pd.DataFrame, unseen_people: pd.DataFrame) -> pd.DataFrame:
    """Return all claims of both designs in one table, each with its conclusion's joint verdict.

    Args:
        random_split, unseen_people: from `claims_table`.

    Returns:
        design, then the columns of `claims_table`, then joint: the word of `verdict_table`.
    """
    joint = verdict_table(random_split, unseen_people)
    parts = {"random split": random_split, "unseen people": unseen_people}
    tables = [
        claims.assign(joint=claims["number"].map(joint[design])).set_axis(
            pd.Index([design] * len(claims), name="design")
        )
        for design, claims in parts.items()
    ]
    return pd.concat(tables).reset_index()


def _joint(words: pd.Series) -> str:
    if (words == "confirmed").all():
        return "confirmed"
    return "refuted" if (words == "refuted").any() else "undecided"


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Format `claims_table` for reading, in percentage points."""
    return pd.DataFrame(
        {
            "effect (points)": table["effect"].map(points).to_list(),
            "95 % interval": [
                f"[{points(low)}, {points(high)}]"
                for low, high in zip(table["low"], table["high"], strict=True)
            ],
            "p (Holm)": [f"{p:.4f}" for p in table["p_holm"]],
            "n": table["n"].to_numpy(),
            "verdict": table["verdict"].to_numpy(),
        },
        index=pd.Index(table["comparison"], name="claim"),
    )
