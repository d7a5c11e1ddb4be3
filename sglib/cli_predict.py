"""The commands `sglib predict` and `sglib export`: parse, call the library, no logic.

They import torch only when they run, so that `sglib --help` answers at once.
"""

import sys

import click

from sglib import SglibError
from sglib.predict.writers import FORMATS


class Shard(click.ParamType):
    """A part of a job array, such as 3/16."""

    name = "i/N"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (i, N) of a text such as 3/16."""
        if isinstance(value, tuple):
            return value
        which, _, count = value.partition("/")
        if not (which.isdecimal() and count.isdecimal() and 1 <= int(which) <= int(count)):
            self.fail(f"expected i/N with 1 <= i <= N, such as 3/16, got {value!r}", param, ctx)
        return int(which), int(count)


_model = click.option(
    "--model",
    default="base",
    show_default=True,
    metavar="NAME|FILE",
    help="A model that ships with the package, or a .safetensors file.",
)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-o", "--output", metavar="FILE|DIR", help="Default: stdout.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="Default: by the ending of FILE; else a table on a terminal, CSV elsewhere.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Sunglasses above this probability; default: the model's own.",
)
@_model
@click.option("--device", default="cpu", show_default=True, help="A PyTorch device.")
@click.option("--jobs", type=click.IntRange(1, 1000), help="Threads; default: one per processor.")
@click.option(
    "--crop",
    type=click.Choice(("none", "auto")),
    default="none",
    show_default=True,
    help="auto finds the face and frames head and shoulders (extra [faces]).",
)
@click.option(
    "--explain",
    metavar="DIR",
    help="Write a PNG per picture that shows what the answer rests on.",
)
@click.option(
    "--shard",
    type=Shard(),
    default="1/1",
    help="Only every N-th file from the i-th on, as in a job array.",
)
def predict(
    paths: tuple[str, ...],
    output: str | None,
    format_: str | None,
    threshold: float | None,
    model: str,
    device: str,
    jobs: int | None,
    crop: str,
    explain: str | None,
    shard: tuple[int, int],
) -> None:
    """Say of pictures whether the person wears sunglasses.

    PATH is a file, a folder (with the folders in it), a pattern in quotes, or - for a list of
    files on stdin. Exit status 0: done; 1: some files had no prediction (their rows say why); 2:
    the command cannot be carried out; 130: interrupted, what was finished is written; 143: ended
    by SIGTERM, what was finished is in FILE.partial.
    """
    from sglib.predict.command import run

    try:
        status = run(
            paths,
            output=output,
            format=format_,
            threshold=threshold,
            model=model,
            device=device,
            jobs=jobs,
            crop=crop,
            explain=explain,
            shard=shard,
        )
    except SglibError as error:  # not 1: that is a run with some bad pictures
        click.echo(f"error: {error}", err=True)
        status = 2
    sys.exit(status)


@click.command()
@click.option(
    "--to",
    "target",
    type=click.Choice(("onnx", "torchscript", "safetensors")),
    required=True,
    help="onnx needs the extra [export].",
)
@_model
@click.option("-o", "--output", metavar="FILE", help="Default: the model's name, in this folder.")
def export(target: str, model: str, output: str | None) -> None:
    """Write a model for other programs: uint8 pictures (N, 30, 32) in, probabilities (N,) out."""
    from sglib.predict.export import export_model

    click.echo(export_model(model, target, output))
