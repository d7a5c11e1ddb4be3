"""The `sglib` command: parses, calls the library, prints. No logic of its own.

Data go to stdout, messages to stderr; exit status 0 done, 1 some inputs failed, 2 usage.
"""

import logging
import sys
from pathlib import Path

import click

from sglib import SglibError, __version__
from sglib.predict.command import Shard, predict
from sglib.studies.profiles import DATA_CHOICES, PROFILES, Config
from sglib.studies.tables import STUDIES

# Modules that import torch, Numba or matplotlib are imported where a command needs them, so that
# `sglib --help` and every usage error answer at once.

_profile = click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="paper",
    show_default=True,
    help="How many runs: "
    + "; ".join(f"{profile.name}: {profile.purpose}" for profile in PROFILES.values()),
)
_data = click.option(
    "--data",
    type=click.Choice(DATA_CHOICES),
    default="auto",
    show_default=True,
    help="auto takes the course set if it is imported, else the synthetic one.",
)
_seeds = click.option(
    "--seeds", type=click.IntRange(1, 10_000), help="Repetitions; default: the profile's."
)
_jobs = click.option(
    "--jobs", type=click.IntRange(1, 10_000), help="Runs at a time; default: one per processor."
)
_device = click.option("--device", default="cpu", show_default=True, help="A PyTorch device.")
_store = click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the run store; default: runs/ or $SGLIB_RUNS.",
)


class _Group(click.Group):
    """A group that prints `SglibError` as one line and exits with 1."""

    def main(self, *args: object, **kwargs: object) -> object:
        try:
            return super().main(*args, **kwargs)  # type: ignore[arg-type]
        except SglibError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(1)


def _config(**values: object) -> Config:
    """Check the options; what is wrong with them is wrong usage, status 2."""
    try:
        return Config(**values)  # type: ignore[arg-type]
    except SglibError as error:
        raise click.UsageError(str(error)) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sglib")
def main() -> None:
    """Sunglasses or not: a small-data overfitting study, and a classifier that came of it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)


main.add_command(predict)


@main.group()
def data() -> None:
    """Import and verify the course set and the public originals."""


@data.command("fetch")
@click.option(
    "--from",
    "source",
    metavar="FILE|URL",
    help="An archive or folder with the public archive's layout; default: $SGLIB_COURSE_ARCHIVE, "
    "else the public archive at its pinned commit.",
)
def data_fetch(source: str | None) -> None:
    """Import the course set into data/course, verified by digest."""
    from sglib.data.course import fetch

    click.echo(fetch(source))


@data.command("fetch-cmu")
@click.option("--from", "source", metavar="PATH|URL", help="The originals; default: UCI's archive.")
def data_fetch_cmu(source: str | None) -> None:
    """Import the public originals and tell who of them is in the course set."""
    from sglib.data import cmu, course, load_data

    click.echo(cmu.fetch_cmu(source))
    if course.is_imported():
        table = cmu.overlap(cmu.load_cmu(), load_data("course").train)
        click.echo(table.to_string(index=False, float_format="%.1f"), err=True)


@data.command("check")
def data_check() -> None:
    """Verify counts, sizes, digests and tags of the imported set; exit status 1 if one is off."""
    from sglib.data.course import check

    table = check()
    click.echo(table.to_string(index=False))
    sys.exit(0 if table["ok"].all() else 1)


@main.group("study")
def study_group() -> None:
    """Run a study, or load what is stored of it, and print its summary as CSV."""


def _study_command(name: str) -> click.Command:
    @click.command(name, short_help=STUDIES[name].question)
    @_profile
    @_data
    @_seeds
    @_jobs
    @_device
    @click.option(
        "--scheme",
        type=click.Choice(["holdout", "kfold", "person"]),
        help=f"How runs are validated; default: {STUDIES[name].scheme}.",
    )
    @click.option(
        "--engine",
        type=click.Choice(["auto", "reference", "compiled"]),
        default="auto",
        show_default=True,
        help="auto takes the compiled engine where it applies.",
    )
    @click.option(
        "--backend", type=click.Choice(["local", "dask"]), default="local", show_default=True
    )
    @click.option("--scheduler", metavar="ADDRESS", help="Of Dask, such as tcp://host:8786.")
    @click.option(
        "--shard",
        "which_shard",
        metavar="i/N",
        type=Shard(),
        default="1/1",
        help="Do only part i of N, as in a job array; `sglib study merge` joins the stores.",
    )
    @_store
    def command(
        profile: str,
        data: str,
        seeds: int | None,
        jobs: int | None,
        device: str,
        store: Path | None,
        **options: object,
    ) -> None:
        from sglib.analysis import runs as results
        from sglib.data import load_data
        from sglib.studies.run import run
        from sglib.studies.store import RunStore

        config = _config(profile=profile, data=data, seeds=seeds, jobs=jobs, device=device)
        faces = load_data(data).train
        frame = run(name, faces, config, store=RunStore(store), **options)  # type: ignore[arg-type]
        click.echo(f"{name}: {len(frame)} runs on {faces.name} {faces.digest[:12]}", err=True)
        table = results.summary(frame)
        table.columns = ["_".join(column) for column in table.columns]
        click.echo(table.to_csv(float_format="%.6g"), nl=False)

    command.help = f"{STUDIES[name].question}\n\nRows: " + ", ".join(
        row.name for row in STUDIES[name].rows
    )
    return command


for _name in STUDIES:
    study_group.add_command(_study_command(_name))


@study_group.command("conclusions", short_help="The verdict on each of the paper's conclusions.")
@_profile
@_data
@_seeds
@_jobs
@_store
def study_conclusions(
    profile: str, data: str, seeds: int | None, jobs: int | None, store: Path | None
) -> None:
    """Judge the paper's five conclusions on random folds and on people held out, as CSV.

    Loads the runs of the study `verdicts` in both schemes, and runs what is not stored.
    """
    from sglib.analysis import claims as verdicts
    from sglib.analysis import runs as results
    from sglib.data import load_data
    from sglib.studies.run import run
    from sglib.studies.store import RunStore

    config = _config(profile=profile, data=data, seeds=seeds, jobs=jobs)
    faces = load_data(data).train
    folds, people = (
        run("verdicts", faces, config, scheme=scheme, store=RunStore(store))
        for scheme in ("kfold", "person")
    )
    try:
        claims = [verdicts.claims_table(results.learned(frame)) for frame in (folds, people)]
    except ValueError as error:
        raise SglibError(f"{error}: none of them learned anything; try more seeds") from error
    table = verdicts.conclusions(*claims)
    click.echo(table.to_csv(float_format="%.6g", index=False), nl=False)


@study_group.command("merge", short_help="Join stores, such as those of a job array's shards.")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), help="Default: runs/ or $SGLIB_RUNS.")
def study_merge(folders: tuple[Path, ...], into: Path | None) -> None:
    """Copy the runs of FOLDERS that the store lacks into it; a run in both is kept once."""
    from sglib.studies.store import RunStore

    store = RunStore(into)
    for folder in folders:
        click.echo(f"{folder}: {store.take_from(RunStore(folder))} new runs", err=True)


@main.command()
@_profile
@_data
@_seeds
@_jobs
@_device
@click.option(
    "--notebook",
    "--only",
    "only",
    multiple=True,
    metavar="NN",
    help="Only these notebooks, such as 03_l2.",
)
@click.option(
    "-p",
    "parameters",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="Another value for the notebooks' parameters cell.",
)
@click.option(
    "--published", is_flag=True, help="Run nothing: the pages of the outputs in the notebooks."
)
def report(
    only: tuple[str, ...],
    parameters: tuple[tuple[str, str], ...],
    published: bool,
    **values: object,
) -> None:
    """Run the notebook series and export it as HTML; prints the path of the index page."""
    from sglib.report.build import build_published, build_reports, literal

    if published:
        click.echo(build_published())
    else:
        given = {name: literal(text) for name, text in parameters}
        click.echo(build_reports(_config(**values), only=only, parameters=given))


@main.command()
@_profile
@click.option(
    "--data",
    type=click.Choice(["course", "synthetic"]),
    default="course",
    show_default=True,
    help="What is published; synthetic only if you say so.",
)
@_seeds
@_jobs
def publish(**values: object) -> None:
    """Run the series and write what is committed of it: notebooks with outputs, tables, figures."""
    from sglib.report.publish import publish as write

    for path in write(_config(**values)):
        click.echo(path)


@main.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_data
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def ship(names: tuple[str, ...], data: str, seed: int) -> None:
    """Train the models that ship with the package (paper_1, paper_2, small, base, best)."""
    from sglib.data import load_data
    from sglib.report.ship import NAMES
    from sglib.report.ship import ship as train_and_write

    if unknown := [name for name in names if name not in NAMES]:
        raise click.UsageError(f"no shipped model {unknown[0]!r}; there are: {', '.join(NAMES)}")
    faces = load_data(data).train
    for name in names:
        click.echo(train_and_write(name, faces, seed=seed))


@main.command()
def doctor() -> None:
    """Tell what this installation has: versions, processors, devices, data, store, kernels."""
    from sglib.doctor import examine

    rows = examine()
    for name, value, ok in rows:
        click.echo(f"{'ok ' if ok else 'BAD'}  {name:<22} {value}")
    sys.exit(0 if all(ok for _, _, ok in rows) else 1)
