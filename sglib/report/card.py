"""The model card of the shipped models, written from the stored runs: `sglib/weights/README.md`."""

import pandas as pd

from sglib.analysis.calibration_of_ours import calibration_table
from sglib.analysis.errors_by import error_table
from sglib.analysis.tables_of_ours import model_table
from sglib.data.faces import FaceSet
from sglib.models import files as weight_files

_INTRODUCTION = """# Model card

Written by `sglib publish` from the run store and the model files; nothing here is edited by hand.

The files in this folder tell whether the person in a 30 × 32 grayscale head-and-shoulders
photograph wears sunglasses. `paper_1` and `paper_2` are the paper's final configurations (§4.5),
retrained on all training photographs; `small`, `base` and `best` are ours
(`sglib/training/shipped.py`, notebook 07).
`sglib ship NAME --data course` makes a file again."""

_USE = """## Intended use and limits

For pictures framed like the training set: one person, head and shoulders, indoors, taken about
1999 in one laboratory. Twelve people were photographed for training, most of them men with short
hair, so the models are not fit for decisions about people, nor for other framings without `--crop
auto`. Ordinary glasses count as no sunglasses. The probability is calibrated on people held out,
not on other cameras."""


def model_card(faces: FaceSet, runs: pd.DataFrame) -> str:
    """Return the card as Markdown.

    Args:
        faces: the training set.
        runs: of `shipped.SHIPPED` on people held out, from `better.run_models`.
    """
    files = [weight_files.load(name) for name in weight_files.shipped()]
    about = pd.DataFrame(
        {
            "networks": [len(file.members) for file in files],
            "network": [file.members[0].network for file in files],
            "seeds": [", ".join(str(member.seed) for member in file.members) for file in files],
            "temperature": [f"{file.temperature:.3g}" for file in files],
            "trained on": [f"{file.data}, sha256 {file.data_digest[:16]}" for file in files],
        },
        index=pd.Index([file.name for file in files], name="model"),
    )
    table = model_table(runs, faces)
    unseen = pd.DataFrame(
        {
            "photographs [95 % over people]": [
                f"{row.clean:.4f} [{row.low:.4f}, {row.high:.4f}]" for row in table.itertuples()
            ],
            "distorted copies [95 %]": [
                f"{row.copies:.4f} [{row.copies_low:.4f}, {row.copies_high:.4f}]"
                for row in table.itertuples()
            ],
            "worst person": [f"{value:.3f}" for value in table["worst"]],
            "people": table["n_people"].astype(int),
            "seeds": table["n_seeds"].astype(int),
        },
        index=table.index.rename("model"),
    )
    parts = [
        _INTRODUCTION,
        "## Files\n\n" + to_markdown(about),
        "## People not seen\n\nCross-validated: each of the people was held out once, all their "
        "photographs and ten distorted copies of each predicted. Where none is wrong, the people "
        "show no spread, and the interval is that of so many people who are wholly right or wrong."
        "\n\n" + to_markdown(unseen),
    ]
    for by in ("person", "pose", "expression"):
        wide = error_table(runs, faces, by).pivot(index=by, columns="name", values="accuracy")
        parts.append(f"### By {by}\n\n" + to_markdown(wide.map(lambda value: f"{value:.4f}")))
    parts.append(
        "## Calibration\n\nOn the copies of people held out; `after` and the threshold judge each "
        "person by what was fitted on the others.\n\n"
        + to_markdown(calibration_table(runs).map(lambda value: f"{value:.4g}"))
    )
    return "\n\n".join([*parts, _USE]) + "\n"


def to_markdown(table: pd.DataFrame) -> str:
    """Return a table of text as Markdown, the index first."""
    head = [table.index.name or "", *map(str, table.columns)]
    lines = [
        head,
        ["---"] * len(head),
        *([str(i), *map(str, row)] for i, *row in table.itertuples()),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
