"""Where models err: accuracy by person, pose and expression, and their most confident mistakes.

Takes stored runs, those of the paper's rows (`study.run_study`) and of our models
(`better.run_models`) alike, alone or concatenated.
"""

import numpy as np
import pandas as pd

from sglib import SglibError
from sglib.analysis.people import per_person_means, person_interval
from sglib.analysis.runs import predictions
from sglib.data.faces import CLASSES, FaceSet
from sglib.metrics import to_preds

_COLUMNS = {"person": "subjects", "pose": "pose", "expression": "expression", "class": "labels"}
BY = tuple(_COLUMNS)


def answers(frame: pd.DataFrame, faces: FaceSet) -> pd.DataFrame:
    """Unfold stored runs of either kind into one row per run and held-out image.

    Args:
        frame: runs, with name, scheme, fold, seed, val_ids and val_probs.
        faces: the set that they ran on.

    Returns:
        name, scheme, fold, seed, id, prob (of sunglasses), label, correct, and person, pose,
        expression and class (the label's word) where the set knows them.
    """
    if faces.labels is None:
        raise SglibError(f"{faces.name}: the labels are held back, cannot tell errors")
    unknown = set(np.concatenate([np.asarray(ids, str) for ids in frame["val_ids"]]))
    unknown -= set(faces.ids.tolist())
    if unknown:
        raise SglibError(
            f"{faces.name} has no image {str(min(unknown))!r}; are the runs of this set?"
        )
    long = predictions(frame, faces).rename(
        columns={"probs": "prob", "labels": "label", "subjects": "person"}
    )
    long["correct"] = long.pop("preds") == long["label"]
    return long.assign(**{"class": np.array(CLASSES)[long["label"]]})


def error_table(frame: pd.DataFrame, faces: FaceSet, by: str) -> pd.DataFrame:
    """Return accuracy on held-out images by person, pose, expression or class.

    Accuracy is averaged over a person's images, then over runs, then over people. With scheme
    `person` the people are unseen; with `kfold` others of their images were trained on.

    Args:
        frame: runs, see `answers`; rows of one name and scheme belong together.
        faces: the set that they ran on.
        by: one of `BY`.

    Returns:
        one row per name, scheme and value of `by`: name, scheme, the column `by`, accuracy, low
        and high (95 %, Wilson over people; NaN where there is only one person, as by person),
        n_people, n_images (different ones), n_wrong (answers, all runs), n_answers.

    Raises:
        SglibError: unknown `by`, or the set does not know it.
    """
    if by not in BY:
        raise SglibError(f"by must be one of {', '.join(BY)}, got {by!r}")
    for field in (_COLUMNS[by], "subjects"):
        if getattr(faces, field) is None:
            raise SglibError(f"{faces.name}: {field} is not known")
    rows = []
    for (name, scheme, value), part in answers(frame, faces).groupby(
        ["name", "scheme", by], sort=False
    ):
        people = per_person_means(part["correct"], part["person"], runs=part["seed"])
        low = high = np.nan
        if len(people) > 1:
            interval = person_interval(people.to_numpy(), kind="rate")
            low, high = interval.low, interval.high
        rows.append(
            {
                "name": name,
                "scheme": scheme,
                by: value,
                "accuracy": people.mean(),
                "low": low,
                "high": high,
                "n_people": len(people),
                "n_images": part["id"].nunique(),
                "n_wrong": int((~part["correct"]).sum()),
                "n_answers": len(part),
            }
        )
    order = {name: place for place, name in enumerate(dict.fromkeys(frame["name"]))}
    return (
        pd.DataFrame(rows)
        .sort_values(["name", "scheme", by], key=lambda c: c.map(order) if c.name == "name" else c)
        .reset_index(drop=True)
    )


def confident_mistakes(frame: pd.DataFrame, faces: FaceSet, *, n: int = 10) -> pd.DataFrame:
    """List the images that are most confidently taken for the other class, runs averaged.

    Args:
        frame: runs, see `answers`.
        faces: the set that they ran on.
        n: at most so many per name and scheme.

    Returns:
        name, scheme, id, class (the true one), confidence (mean probability of the wrong class,
        above 0.5 but for ties), wrong (share of the runs that err), n_runs, and person, pose and
        expression where known; the most confident first. The paper's sigmoid outputs keep its
        probabilities below 0.732.
    """
    long = answers(frame, faces)
    facts = [c for c in ("person", "pose", "expression", "class") if c in long]
    images = long.groupby(["name", "scheme", "id"], sort=False)
    table = images.agg(
        prob=("prob", "mean"),
        label=("label", "first"),
        wrong=("correct", lambda right: 1 - right.mean()),
        n_runs=("correct", "size"),
        **{fact: (fact, "first") for fact in facts},
    ).reset_index()
    table["confidence"] = np.where(table["label"] == 1, 1 - table["prob"], table["prob"])
    table = table[to_preds(table["prob"].to_numpy()) != table["label"]]
    order = {name: place for place, name in enumerate(dict.fromkeys(frame["name"]))}
    table = (
        table.assign(place=table["name"].map(order))
        .sort_values(["place", "scheme", "confidence", "id"], ascending=[True, True, False, True])
        .groupby(["name", "scheme"], sort=False)
        .head(n)
    )
    columns = ["name", "scheme", "id", "class", "confidence", "wrong", "n_runs"]
    return table[[*columns, *(f for f in facts if f != "class")]].reset_index(drop=True)
