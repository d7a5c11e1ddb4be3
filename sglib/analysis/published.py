"""`reports/` and what it is computed from: flat runs and small tables, no photograph, no training.

`collect` gathers the sources of the stored runs once; `tables` and `figures` need nothing else.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from sglib.analysis import captions, claims, effects, people, runs
from sglib.analysis.effects import PHOTOGRAPHS, Pair
from sglib.analysis.plots import compare, curves
from sglib.data.faces import FaceSet
from sglib.files import replacing
from sglib.studies import controls
from sglib.studies.profiles import Config
from sglib.studies.run import run
from sglib.studies.tables import study

AGAIN = "compiled-shuffled"  # the engine of the A/A runs
DRAWN = {
    # figure → experiments whose curves it shows
    "curves_baseline": ("baseline_1", "baseline_2"),
    "curves_augmentation": ("flip_1", "flip_2"),
    "curves_l2": ("l2_1", "l2_2"),
    "curves_dropout": ("dropout25_1", "dropout50_1", "dropout25_2", "dropout50_2"),
    "curves_logit": ("baseline_1", "baseline_1_logit"),
}
Sources = dict[str, pd.DataFrame]


def collect(faces: FaceSet, config: Config) -> Sources:
    """Return what the published tables and figures are computed from; runs what is not stored.

    Returns:
        "runs", from `runs.flatten`, those of A/A included; "curves", of the experiments in
        `DRAWN`; "people", from `people.by_person`; "look_up", from `controls.references`.
    """
    kfold = ("scaling", "verdicts", "augmentation", "l2_sweep", "logit")
    frames = [run(name, faces, config) for name in kfold]
    frames += [run(name, faces, config, scheme="person") for name in ("verdicts", "augmentation")]
    again = [run("baseline", faces, config, scheme=s, engine=AGAIN) for s in ("kfold", "person")]
    drawn = {name for names in DRAWN.values() for name in names}
    folds = pd.concat(frames[: len(kfold)])
    return {
        "runs": runs.flatten(pd.concat([*frames, *again]), sorted(set(faces.subjects))),
        "curves": runs.curves(folds[folds["name"].isin(drawn)]),
        "people": people.by_person(pd.concat([frames[1], frames[len(kfold)]]), faces),
        "look_up": controls.references(faces, config),
    }


def write(sources: Sources, folder: Path) -> list[Path]:
    """Write `runs.parquet` and `tables/*.csv` into a folder; return them."""
    written = [folder / "runs.parquet"]
    reals = sources["runs"].select_dtypes("float").columns
    small = sources["runs"].astype(dict.fromkeys(reals, "float32"))
    with replacing(written[0]) as path:
        small.to_parquet(path, index=False, compression="zstd", compression_level=19)
    for name in ("curves", "people", "look_up"):
        written.append(folder / "tables" / f"{name}.csv")
        with replacing(written[-1]) as path:
            sources[name].to_csv(path, index=False, float_format="%.5g", lineterminator="\n")
    return written


def read(folder: Path) -> Sources:
    """Return what `write` has written."""
    flat = pd.read_parquet(folder / "runs.parquet")
    reals = flat.select_dtypes("float32").columns
    flat = flat.astype(dict.fromkeys(reals, "float64")).round(dict.fromkeys(reals, 6))
    tables = {
        n: pd.read_csv(folder / "tables" / f"{n}.csv") for n in ("curves", "people", "look_up")
    }
    return {"runs": flat, **tables}


def tables(sources: Sources) -> dict[str, pd.DataFrame]:
    """Return the published tables that rest on the paper's runs, by file name."""
    flat, _ = _split(sources)
    verdicts = claims.verdicts(flat)
    return {
        "captions": captions.captions(captions.fold_means(flat)),
        "failures": runs.failures(_of(flat, "scaling", "logit"), ["head", "scaling", "p_drop"]),
        "verdicts": verdicts,
        "conclusions": claims.cells(verdicts).reset_index(),
        "unseen": people.drop_table(sources["people"]),
        "references": _look_up(sources).reset_index(),
    }


def figures(sources: Sources) -> dict[str, Callable[[], Figure]]:
    """Return the published figures that rest on the paper's runs: file name → what draws it."""
    flat, again = _split(sources)
    seen = sources["people"].query("population == 'learned'")
    means = captions.fold_means(flat).query(
        "measure == 'val_acc' and population == 'learned' and scaling == 'unit' "
        "and reading in ('last epoch', 'best accuracy')"
    )
    printed = captions.printed_table().query("measure == 'val_acc'")
    copied = "the nearest photograph's label"
    line = {copied: tuple(_look_up(sources).loc[copied, ["kfold", "person"]])}
    split = people.variance_split(_of(flat, "verdicts", scheme="person"))
    split = split.assign(share=split["share_of_means"]).dropna(subset="share")
    sweep = _of(flat, "l2_sweep")
    by_l2 = runs.failures(sweep, ["l2", "model"])
    main = claims.verdicts(flat).query("answer != '' and says != 'not worse'")
    nothing = effects.aa_rows(again).query("row == 'baseline_1'")
    nothing = nothing.assign(comparison="A/A: nothing changed")
    return {
        "mechanism": curves.mechanism,
        "captions": lambda: curves.captions(means, printed).figure,
        "l2": lambda: curves.sweep(runs.population(sweep, "learned"), by_l2),
        "aa": lambda: _differences(flat, again, "augmentation"),
        "dropout": lambda: _differences(flat, again, "dropout"),
        "people": lambda: compare.people(seen.query("name == 'baseline_1'"), line).figure,
        "heat": lambda: compare.heat(seen.query("design == 'people not seen'")).figure,
        "variance": lambda: compare.variance(split).figure,
        "verdicts": lambda: compare.forests(pd.concat([nothing, main])),
        **{
            figure: partial(
                curves.panels,
                sources["curves"],
                names,
                measure="loss" if figure == "curves_logit" else "acc",
            )
            for figure, names in DRAWN.items()
        },
    }


def _split(sources: Sources) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the study's runs, and the differences of those made twice."""
    flat = sources["runs"]
    twice = flat["engine"] == AGAIN
    return flat[~twice], effects.again(flat[~twice], flat[twice])


def _of(flat: pd.DataFrame, *studies: str, scheme: str = "kfold") -> pd.DataFrame:
    names = {row.name for name in studies for row in study(name).rows}
    return flat[(flat["scheme"] == scheme) & flat["name"].isin(names)]


def _look_up(sources: Sources) -> pd.DataFrame:
    return sources["look_up"].groupby(["reference", "scheme"])["val_acc"].mean().unstack()


def _differences(flat: pd.DataFrame, again: pd.DataFrame, name: str) -> Figure:
    pairs = [Pair(*pair) for pair in study(name).comparisons]
    options = {"questions": [PHOTOGRAPHS], "populations": ["learned"]}
    table = effects.compare(flat, pairs, **options)
    table = pd.concat([effects.aa_rows(again).head(1), table])
    return compare.differences(compare.draws(flat, again, pairs), table).figure
