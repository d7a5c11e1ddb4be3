"""Our models on people not seen: how right they are on copies, what each part gains.

Takes the runs of `studies.ours`, those of the paper's networks among them.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sglib.analysis.people import answers, person_means, rate_of
from sglib.analysis.stats import t_interval
from sglib.data.faces import FaceSet

LEAST = 1e-7  # a probability closer to 0 or 1 counts as this: float32 cannot tell them apart


def copy_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how right our models' runs are on distorted copies of people not seen.

    Args:
        frame: from `studies.ours.run_models`.

    Returns:
        one row per name, seed and person: right (share of the copies), log_loss (mean, nats).
    """
    columns = ["copy_people", "copy_labels", "copy_probs"]
    long = frame[["name", "seed", *columns]].explode(columns, ignore_index=True)
    long = long.rename(columns=lambda name: name.removeprefix("copy_"))
    label, prob = long["labels"].astype(int), long["probs"].astype(float)
    given = np.where(label == 1, prob, 1 - prob).clip(LEAST, 1)
    long = long.assign(right=(prob > 0.5) == (label == 1), log_loss=-np.log(given))
    keys = ["name", "seed", "people"]
    means = long.groupby(keys, sort=False)[["right", "log_loss"]].mean().reset_index()
    return means.rename(columns={"people": "person"})


def gains(scores: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return what each row gains over its reference on copies: accuracy and log loss.

    Args:
        scores: from `copy_scores`.
        pairs: (row, reference).

    Returns:
        comparison (the row), reference; effect, low, high (accuracy, 95 %, t over people);
        less_loss (nats, positive is better) with people_low, people_high (95 %, t over people) and
        seeds_low, seeds_high (the same over seeds, each the mean over people); people, seeds.
    """
    wide = scores.pivot(index=["person", "seed"], columns="name", values=["right", "log_loss"])
    rows = []
    for row, reference in pairs:
        right = (wide["right", row] - wide["right", reference]).dropna()
        less = (wide["log_loss", reference] - wide["log_loss", row]).dropna()
        accuracy = t_interval(right.groupby("person").mean(), level=0.95)
        of_people, of_seeds = (
            t_interval(less.groupby(unit).mean(), level=0.95) for unit in ("person", "seed")
        )
        found = {"comparison": row, "reference": reference, "effect": accuracy.mean}
        found |= {"low": accuracy.low, "high": accuracy.high, "less_loss": of_people.mean}
        found |= {"people_low": of_people.low, "people_high": of_people.high}
        found |= {"seeds_low": of_seeds.low, "seeds_high": of_seeds.high}
        rows.append(found | {"people": of_people.n, "seeds": of_seeds.n})
    return pd.DataFrame(rows)


def model_table(frame: pd.DataFrame, faces: FaceSet) -> pd.DataFrame:
    """Return our models' accuracy on people not seen.

    Args:
        frame: from `studies.ours.run_models`.
        faces: the set.

    Returns:
        index name: clean (photographs), low, high (95 %, beta-binomial over people), new_low,
        new_high (the same of eight new people), wrong (answers), of (how many), worst person;
        copies (distorted copies), copies_low, copies_high, log_loss (of copies, mean over people),
        seed_sd (of that mean); failed (share of the runs that did not learn; they count in all
        else), people, seeds, seconds. The models were selected on these people.
    """
    long, scores = answers(frame, faces), copy_scores(frame)
    rows = {}
    for name in dict.fromkeys(frame["name"]):
        found, of_copies = long[long["name"] == name], scores[scores["name"] == name]
        means = person_means(found)
        rate, new = rate_of(means)
        # ten copies of a photograph are one observation
        right = of_copies.groupby("person")["right"].mean()
        on_copies = rate_of(means.assign(accuracy=right))[0]
        loss = of_copies.groupby("seed")["log_loss"].mean()
        row = {"clean": rate.mean, "low": rate.low, "high": rate.high}
        row |= {"new_low": new.low, "new_high": new.high, "wrong": int((~found["correct"]).sum())}
        row |= {"of": len(found), "worst": means["accuracy"].min(), "copies": on_copies.mean}
        row |= {"copies_low": on_copies.low, "copies_high": on_copies.high}
        row |= {"log_loss": loss.mean(), "seed_sd": loss.std(), "people": rate.n}
        runs = frame[frame["name"] == name]
        row |= {"failed": runs["failed"].astype(float).mean(), "seeds": means["seeds"].max()}
        rows[name] = row | {"seconds": runs["seconds"].mean()}
    return pd.DataFrame.from_dict(rows, orient="index")
