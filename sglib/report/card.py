"""What the model card (`sglib/weights/README.md`) repeats of the models' files and tables."""

import pandas as pd

from sglib.models import files as weight_files


def model_files() -> pd.DataFrame:
    """Return one row per shipped model: its networks, seeds and training set."""
    files = [weight_files.load(name) for name in weight_files.shipped()]
    return pd.DataFrame(
        {
            "model": [file.name for file in files],
            "networks": [len(file.members) for file in files],
            "network": [file.members[0].network for file in files],
            "seeds": [", ".join(str(member.seed) for member in file.members) for file in files],
            "trained on": [f"{file.data}, sha256 {file.data_digest[:16]}" for file in files],
        }
    )


def people(rows: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy by person, a column per model; one person has no interval.

    Args:
        rows: `reports/tables/by_person.csv`.
    """
    return rows.pivot(index="person", columns="name", values="accuracy").reset_index()


def outside(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each model's share of false alarms on faces of another kind.

    Args:
        rows: `reports/tables/outside.csv`.

    Returns:
        model; as_predicted (as `sglib predict` fits them) and hinted, of the same pictures; least,
        median and most of all sizes and fills.
    """
    fitted = rows[rows["fill"].str.startswith("as predict")].set_index("model")
    shares = rows[~rows["fill"].str.startswith("as predict")].groupby("model")["called_sunglasses"]
    table = fitted[["called_sunglasses", "hinted"]].set_axis(["as_predicted", "hinted"], axis=1)
    return table.join(shares.agg(least="min", median="median", most="max")).reset_index()
