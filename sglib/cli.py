"""The `sglib` command: parses, calls the library, prints. No logic of its own.

Data go to stdout, messages to stderr; exit status 0 done, 1 some inputs failed, 2 usage.
"""

import copy
import functools
import logging
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

import click

from sglib import SglibError, __version__
from sglib.data.faces import DATA_CHOICES
from sglib.predict.command import Shard, evaluate, predict
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.tables import STUDIES
from sglib.studies.tables import study as study_by_name

# Modules that import torch, Numba or matplotlib are imported where a command needs them, so that
# `sglib --help` and every usage error answer at once.


def _choice(flag: str, known: Iterable[str], default: str, text: str) -> Callable[..., Any]:
    kind = click.Choice(list(known))
    return click.option(flag, type=kind, default=default, show_default=True, help=text)


_purposes = "; ".join(f"{profile.name}: {profile.purpose}" for profile in PROFILES.values())
_profile = _choice("--profile", PROFILES, "paper", f"How many runs: {_purposes}.")
_auto = "auto takes the course set if it is imported, else the synthetic one."
_data = _choice("--data", DATA_CHOICES, "auto", _auto)
_seeds = click.option(
    "--seeds", type=click.IntRange(1, 10_000), help="Repetitions; else the profile's."
)
_jobs = click.option(
    "--jobs", type=click.IntRange(1, 10_000), help="Runs at a time; default: one per processor."
)
_device = click.option("--device", default="cpu", show_default=True, help="A PyTorch device.")


def _with(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Return the decorator that adds several options, shown in this order."""
    return lambda command: functools.reduce(lambda to, add: add(to), reversed(options), command)


def _config(values: dict[str, Any]) -> Config:
    """Take the parameters out of the options; a wrong one is wrong usage, status 2."""
    names = [field.name for field in fields(Config) if field.name in values]
    try:
        return Config(**{name: values.pop(name) for name in names})
    except SglibError as error:
        raise click.UsageError(str(error)) from None


def _scheme(_ctx: Any, _param: Any, value: str) -> str:
    """Return a name in `splits.SCHEMES` that validates, or people1, people2, …"""
    if value in ("holdout", "kfold", "person") or re.fullmatch(r"people[1-9]\d*", value):
        return value
    raise click.BadParameter(f"no scheme {value!r}")


class _Group(click.Group):
    """A group that prints `SglibError`, or what is not installed, as one line and exits with 1."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except SglibError as error:
            problem = str(error)
        except ModuleNotFoundError as error:
            if str(error.name).startswith("sglib"):
                raise
            problem = f"needs pip install '.[study]' (there is no {error.name})"
        click.echo(f"error: {problem}", err=True)
        sys.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sglib")
def main() -> None:
    """Sunglasses or not: a small-data overfitting study, and a classifier that came of it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)


main.add_command(predict)
main.add_command(evaluate)


@main.group()
def data() -> None:
    """Import and verify the course set and the public originals."""


@data.command("fetch")
@click.option(
    "--from", "source", metavar="FILE|URL", help="Default: $SGLIB_COURSE_ARCHIVE or the public one."
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

    train = load_data("course").train if course.is_imported() else None
    click.echo(cmu.fetch_cmu(source, train=train))
    if train is not None:
        table = cmu.overlap(cmu.load_cmu(), train)
        click.echo(table.to_string(index=False, float_format="%.1f"), err=True)


@data.command("check")
def data_check() -> None:
    """Verify counts, sizes, digests and tags of the imported set; exit status 1 if one is off."""
    from sglib.data.course import check

    table = check()
    click.echo(table.to_string(index=False))
    sys.exit(0 if table["ok"].all() else 1)


class _Studies(click.Group):
    """The command `study NAME` for every name in `STUDIES`, beside `study merge`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*STUDIES, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in self.commands:
            return self.commands[name]
        try:
            study = study_by_name(name)
        except SglibError as error:
            ctx.fail(str(error))
        command = copy.copy(_study)
        command.short_help = study.question
        rows = ", ".join(row.name for row in study.rows)
        command.help = f"{study.question}\n\nRows: {rows}"
        return command


@main.group("study", cls=_Studies)
def study_group() -> None:
    """Run a study, or load what is stored of it, and print its summary as CSV."""


@click.command()
@_with(_profile, _data, _seeds, _jobs, _device)
@click.option(
    "--scheme",
    callback=_scheme,
    default="kfold",
    show_default=True,
    help="How runs are validated: holdout, kfold, person, or people1, people2, … who train.",
)
@_choice(
    "--engine",
    ("auto", "reference", "compiled", "compiled-shuffled"),
    "auto",
    "auto takes the compiled engine where it applies; shuffled only rounds differently.",
)
@_choice("--backend", ("local", "dask"), "local", "Where the runs are done.")
@click.option("--scheduler", metavar="ADDRESS", help="Of Dask, such as tcp://host:8786.")
@click.option(
    "--shard",
    type=Shard(),
    default="1/1",
    help="Do only part i of N, as in a job array; `sglib study merge` joins the stores.",
)
@click.option("--store", metavar="DIR", help="Of the runs; default: runs/ or $SGLIB_RUNS.")
@click.pass_context
def _study(ctx: click.Context, backend: str, store: str | None, **options: Any) -> None:
    if (backend == "dask") != bool(options["scheduler"]):
        raise click.UsageError("--backend dask and --scheduler ADDRESS need each other")
    config, name = _config(options), str(ctx.info_name)
    from sglib.analysis.runs import summary
    from sglib.data import load_data
    from sglib.studies.run import run
    from sglib.studies.store import RunStore

    faces = load_data(config.data).train
    try:
        frame = run(name, faces, config, store=RunStore(store), **options)
    except KeyboardInterrupt:
        sys.exit(130)
    table = summary(frame)
    click.echo(
        f"{name}: {len(frame)} runs on {faces.name} {faces.digest[:12]}; {table['n_failed'].sum()} "
        "failed to learn their training images and are in the columns _all_, not in _learned_",
        err=True,
    )
    click.echo(table.to_csv(float_format="%.6g"), nl=False)


@study_group.command("merge", short_help="Join stores, such as those of a job array's shards.")
@click.argument("folders", nargs=-1, required=True)
@click.option("--into", metavar="DIR", help="Default: runs/ or $SGLIB_RUNS.")
def study_merge(folders: tuple[str, ...], into: str | None) -> None:
    """Copy the runs of FOLDERS that the store lacks into it; a run in both is kept once."""
    from sglib.studies.store import RunStore

    store = RunStore(into)
    for folder in folders:
        click.echo(f"{folder}: {store.take_from(RunStore(folder))} new runs", err=True)


@main.command()
@_with(_profile, _data, _seeds, _jobs, _device)
@click.option(
    "--notebook", "--only", "only", multiple=True, metavar="NN", help="Only these, such as 03_l2."
)
@click.option(
    "-p", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help="Of the notebooks."
)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar='"NAME=VALUE …"',
    help="Given two times or more, with one notebook: a page that compares its runs.",
)
@click.option(
    "--published", is_flag=True, help="Run nothing: the pages of the outputs in the notebooks."
)
def report(
    only: tuple[str, ...], parameters: Any, sets: tuple[str, ...], published: bool, **values: Any
) -> None:
    """Run the notebook series and export it as HTML; prints the path of the index page."""
    config = _config(values)
    if sets and (len(sets) < 2 or len(only) != 1):
        raise click.UsageError("--set is given two times or more, beside one --notebook")
    from sglib.report import build

    given = {name: build.literal(text) for name, text in parameters}
    if sets:
        compared = [build.as_set(text) for text in sets]
        made = build.build_comparison(config, only[0], compared, parameters=given)
    elif published:
        made = build.build_published()
    else:
        made = build.build_reports(config, only=only, parameters=given)
    click.echo(made)


@main.command()
@_with(_profile, _seeds, _jobs)
@_choice("--data", ("course", "synthetic"), "course", "synthetic only tries this command.")
@click.option("--from-runs", is_flag=True, help="Only what reports/runs.parquet is enough for.")
def publish(from_runs: bool, **values: Any) -> None:
    """Run the series and write what is committed of it: notebooks with outputs, tables, figures."""
    config = _config(values)
    from sglib.files import reports_dir
    from sglib.report.publish import publish, rebuild

    for path in rebuild(reports_dir()) if from_runs else publish(config):
        click.echo(path)


@main.command()
@click.argument("model", metavar="NAME|FILE")
@click.option("-o", "--output", metavar="FILE", help="Default: the model's name, in this folder.")
def export(model: str, output: str | None) -> None:
    """Write a model for other programs: an ONNX file, or safetensors where FILE ends so.

    NAME ships with the package, FILE is a .safetensors file; needs the extras [study,export].
    """
    from sglib.models import files

    file = files.load(model)
    target = output or f"{file.name}.onnx"
    write = files.save if target.endswith(files.SUFFIX) else files.export_onnx
    click.echo(write(target, file))


@main.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_data
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def ship(names: tuple[str, ...], data: str, seed: int) -> None:
    """Train the models that ship with the package (paper_1, paper_2, small, base, best)."""
    from sglib.data import load_data
    from sglib.report import ship

    if unknown := [name for name in names if name not in ship.NAMES]:
        known = ", ".join(ship.NAMES)
        raise click.UsageError(f"no shipped model {unknown[0]!r}; there are: {known}")
    faces = load_data(data).train
    for name in names:
        click.echo(ship.ship(name, faces, seed=seed))
