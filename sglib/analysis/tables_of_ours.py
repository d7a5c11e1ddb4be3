"""Tables of our models on people held out: accuracy by person, comparisons, what to expect."""

import numpy as np
import pandas as pd

from sglib.analysis.people import compare_people, person_interval
from sglib.data.faces import FaceSet
from sglib.models.networks import count_parameters
from sglib.models.ours import build_network
from sglib.training.shipped import SHIPPED


def per_person(frame: pd.DataFrame, faces: FaceSet) -> pd.DataFrame:
    """Return accuracy per person and row, seeds averaged.

    Returns:
        index subject; columns (name, "clean") and (name, "copies").
    """
    truth = dict(zip(faces.ids.tolist(), faces.labels.tolist(), strict=True))
    clean = [
        np.mean([(prob > 0.5) == truth[name] for name, prob in zip(ids, probs, strict=True)])
        for ids, probs in zip(frame["val_ids"], frame["val_probs"], strict=True)
    ]
    values = frame[["name", "subject"]].assign(clean=clean, copies=frame["copy_acc"])
    table = values.pivot_table(index="subject", columns="name", values=["clean", "copies"])
    return table.swaplevel(axis=1)[
        [(name, kind) for name in dict.fromkeys(frame["name"]) for kind in ("clean", "copies")]
    ]


def model_table(
    frame: pd.DataFrame, faces: FaceSet, *, reference: str | None = None
) -> pd.DataFrame:
    """Return accuracy on people not seen per row, and the paired difference to a reference row.

    Args:
        frame: from `better.run_models`.
        faces: the set.
        reference: name of a row.

    Returns:
        index name: clean, low, high (Wilson over people), worst person, copies with the same, and
        with a reference difference, diff_low, diff_high (on the copies, t over people), p (exact
        sign flips), n_people, n_seeds, seconds.
    """
    people = per_person(frame, faces)
    rows = {}
    for name in dict.fromkeys(frame["name"]):
        clean, copies = people[(name, "clean")].dropna(), people[(name, "copies")].dropna()
        interval = person_interval(clean.to_numpy(), kind="rate")
        on_copies = person_interval(copies.to_numpy(), kind="rate")
        one = frame[frame["name"] == name]
        row = {
            "clean": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "worst": clean.min(),
            "copies": copies.mean(),
            "copies_low": on_copies.low,
            "copies_high": on_copies.high,
        }
        if reference is not None:
            found = compare_people(copies, people[(reference, "copies")].dropna())
            row |= {
                "difference": found.effect,
                "diff_low": found.interval.low,
                "diff_high": found.interval.high,
                "p": found.p,
            }
        row |= {
            "n_people": len(clean),
            "n_seeds": one["seed"].nunique(),
            "seconds": one["seconds"].mean(),
        }
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def sizes() -> pd.DataFrame:
    """Return the shipped models: network, parameters of one, networks averaged, teacher."""
    rows = {
        name: {
            "network": model.photos.network,
            "parameters": count_parameters(build_network(model.photos.network)),
            "networks": model.n_networks,
            "teacher": model.teacher or "–",
        }
        for name, model in SHIPPED.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def expectation(table: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy to expect on people never seen, for reading.

    Args:
        table: from `model_table`.

    Returns:
        model, photographs (mean and interval over people), distorted copies (the same).
    """
    return pd.DataFrame(
        {
            "model": table.index,
            "photographs": [
                f"{row.clean:.4f} [{row.low:.4f}, {row.high:.4f}]" for row in table.itertuples()
            ],
            "distorted copies": [
                f"{row.copies:.4f} [{row.copies_low:.4f}, {row.copies_high:.4f}]"
                for row in table.itertuples()
            ],
            "people": table["n_people"].astype(int).to_list(),
        }
    )
