"""Committed results: tables and figures in `reports/`, and the table that opens the README.

Everything is computed from the run store; a study that is not stored is run first. No photograph is
ever written.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from sglib.analysis import captions as reproduction
from sglib.analysis import claims as verdicts
from sglib.analysis import effects, generalisation
from sglib.analysis import runs as results
from sglib.analysis import tables_of_ours as better_tables
from sglib.analysis.plots import curves as plots
from sglib.analysis.plots import generalisation as plots_generalisation
from sglib.data.faces import FaceData
from sglib.files import replacing, repo_root, reports_dir
from sglib.models import files as weight_files
from sglib.report import readme
from sglib.report.card import model_card, to_markdown
from sglib.studies import ablations
from sglib.studies import ours as better
from sglib.studies import run as study
from sglib.studies.profiles import Config
from sglib.studies.tables import PAPER
from sglib.studies.tables import study as study_by_name
from sglib.training.shipped import SHIPPED

COMPARED = ("augmentation", "l2", "dropout", "final")


def publish(faces: FaceData, config: Config) -> list[Path]:
    """Write `reports/` (tables, figures, README.md) and the results in the README.

    Args:
        faces: the data set; its name and digest stand in `reports/README.md`.
        config: profile, seeds, jobs.

    Returns:
        the files written.
    """
    mpl.use("Agg")
    plots.use_style()
    every = {
        name: study.run(name, faces.train, config) for name in (*COMPARED, "scaling", "l2_sweep")
    }
    every["folds"] = study.run("verdicts", faces.train, config)
    every["people"] = study.run("verdicts", faces.train, config, scheme="person")
    runs = {name: results.learned(frame) for name, frame in every.items()}
    folds, people = runs["folds"], runs["people"]
    twelve = reproduction.compare_with_printed(runs["scaling"])
    symmetric = reproduction.compare_with_printed(runs["scaling"], suffix="_symmetric")
    compared = pd.concat(
        [
            effects.effects(runs[name], study_by_name(name).comparisons).assign(study=name)
            for name in COMPARED
        ]
    )
    schemes = generalisation.compare_schemes(folds, people)
    claims = {"folds": verdicts.claims_table(folds), "people": verdicts.claims_table(people)}
    words = verdicts.verdict_table(claims["folds"], claims["people"])
    paper_runs = folds[folds["name"].isin([row.name for row in PAPER])]

    written = [
        _write_table("printed_and_reproduced", twelve.assign(scaling="[0, 1]")),
        _write_table("printed_and_reproduced_symmetric", symmetric.assign(scaling="[-1, 1]")),
        _write_table("scaling", reproduction.scaling_table(twelve, symmetric), index=True),
        _write_table("runs", results.run_values(pd.concat([every["scaling"], every["people"]]))),
        _write_table("stuck", results.stuck_table(every["scaling"]), index=True),
        _write_table("effects", compared.drop(columns=["values", "technique"])),
        _write_table("l2_sweep", results.summary(runs["l2_sweep"]), index=True),
        _write_table("rates", results.rates_table(paper_runs, faces.train), index=True),
        _write_table("seconds", results.seconds_table(paper_runs), index=True),
        _write_table("random_and_unseen", schemes, index=True),
        _write_table("claims_random_folds", claims["folds"]),
        _write_table("claims_unseen_people", claims["people"]),
        _write_table("verdicts", words, index=True),
    ]
    history = results.history_frame(paper_runs)
    by_model = {
        model: [row.name for row in PAPER if row.model == model]
        for model in dict.fromkeys(row.model for row in PAPER)
    }
    figures: dict[str, Callable[[], Figure]] = {
        "printed": lambda: plots.printed_panels(twelve),
        "effects": lambda: plots.plot_differences(compared).figure,
        "random_and_unseen": lambda: plots_generalisation.plot_schemes(schemes).figure,
        "loss_floor": lambda: plots_generalisation.plot_floor(
            generalisation.printed_points(), generalisation.our_points(paper_runs)
        ),
        **{
            f"curves_{model}": partial(
                plots.curve_grid, history, names, printed=reproduction.captions(names)
            )
            for model, names in by_model.items()
        },
    }
    written += [_write_figure(name, draw) for name, draw in figures.items()]
    about = readme.facts(faces, config, every["scaling"], every["people"])
    parts = [about, readme.result_table(twelve, symmetric, schemes), readme.verdict_lines(words)]
    if shipped := {name: SHIPPED[name] for name in weight_files.shipped() if name in SHIPPED}:
        ours = better.run_models(shipped, faces.train, better.repeat(config), label="ours")
        table = better_tables.model_table(ours, faces.train)
        written.append(_write_table("ours_on_unseen_people", table, index=True))
        shown = to_markdown(better_tables.expectation(table).set_index("model"))
        parts += ["Ours, on the same people held out (notebook 07):", shown]
        if config.profile == "full":  # the others train shorter models than are shipped
            once = replace(config, seeds=1)
            for name, rows in (("ablation", ablations.ABLATION), ("table_1", ablations.TABLE_1)):
                without = better.run_models(rows, faces.train, once, label=name)
                worth = better_tables.model_table(without, faces.train, reference=next(iter(rows)))
                written.append(_write_table(name, worth, index=True))
            card = model_card(faces.train, ours)
            written.append(_write_text(weight_files.weights_dir() / "README.md", card))
    parts += readme.speed_lines(reports_dir() / "tables" / "benchmarks.csv")
    block = "\n\n".join(parts)
    report = f"# Results\n\n{_REPORT}\n\n{block}\n"
    written.append(_write_text(reports_dir() / "README.md", report))
    written.append(_write_text(repo_root() / "README.md", readme.between_marks(block)))
    return written


_REPORT = """Written by `sglib publish` from the run store; nothing here is edited by hand.

`tables/` holds the numbers: every single run (`runs.csv`), the captions beside them
(`printed_and_reproduced.csv`), paired differences (`effects.csv`), accuracy on random folds and on
people not seen (`random_and_unseen.csv`), the claims and verdicts. `figures/` holds the same as
pictures, without a photograph. `html/` is built by `make reports` and not committed."""


def _write_table(name: str, table: pd.DataFrame, *, index: bool = False) -> Path:
    path = reports_dir() / "tables" / f"{name}.csv"
    if isinstance(table.columns, pd.MultiIndex):
        table = table.set_axis(["_".join(column) for column in table.columns], axis=1)
    return _write_text(path, table.to_csv(index=index, float_format="%.6g", lineterminator="\n"))


def _write_figure(name: str, draw: Callable[[], Figure]) -> Path:
    import matplotlib.pyplot as plt

    path = reports_dir() / "figures" / f"{name}.png"
    figure = draw()
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100, bbox_inches="tight")
    plt.close(figure)
    # 256 colours are enough for lines and text, at a third of the size; nothing about the software
    # goes into the file, so that equal runs give equal bytes
    with Image.open(drawn) as image:
        few = image.convert("RGB").quantize(256)
    with replacing(path) as temporary:
        few.save(temporary, "PNG", optimize=True)
    return path


def _write_text(path: Path, text: str) -> Path:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
