"""What the model card (`sglib/weights/README.md`) repeats of the shipped models' files."""

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
