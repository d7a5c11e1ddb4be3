"""Runs the notebook series with papermill and writes it as a site.

Everything is built in a folder beside the site and moved into place, one rename each, after the
last notebook has succeeded: a failure at any moment leaves the last good pages as they are.
"""

import ast
import contextlib
import functools
import json
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path

import nbformat
import papermill
import psutil
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError, strip_color
from traitlets.config import Config as TraitletsConfig

from sglib import SglibError
from sglib.files import repo_root, reports_dir
from sglib.report.compare import write_comparison
from sglib.report.pages import duration, write_site
from sglib.studies.profiles import Config

KERNEL = "python3"  # the environment's own: ipykernel installs it under this name
# Other users of the machine cannot listen to the kernel; without keys ipykernel 7.4 warns.
KERNEL_CONFIG = TraitletsConfig({"KernelManager": {"transport_encryption": "auto"}})
HOUR = 3600
CELL_TIMEOUT = {"smoke": HOUR // 4, "paper": 6 * HOUR, "full": 48 * HOUR}  # seconds
FILES = "files.json"  # what a site consists of: nothing else in its folder is ever touched

log = logging.getLogger("sglib")


class NotebookError(SglibError):
    """A notebook of the series failed; the pages are the last good ones."""


def build_reports(
    config: Config,
    *,
    only: Sequence[str] = (),
    parameters: Mapping[str, object] | None = None,
    notebooks_dir: Path | None = None,
    out_dir: Path | None = None,
) -> Path:
    """Run the series and write its pages; return the path of the index page.

    Args:
        config: profile, data, seeds, jobs and device.
        only: names (`01_baseline`) or numbers (`01`) of notebooks to run; the others keep theirs.
        parameters: further values for the `parameters` cells of the notebooks that are run.
        notebooks_dir: holds `NN_*.ipynb`; default `notebooks` in the checkout.
        out_dir: takes the pages; default `reports/html` in the checkout.

    Raises:
        SglibError: there is no such notebook or parameter.
        NotebookError: a notebook failed.
    """
    source, out = _folders(notebooks_dir, out_dir)
    series = list_series(source)
    chosen = _choose(series, only)
    with _building(out) as work:
        for path in series:
            if path not in chosen and (kept := out / path.name).is_file():
                shutil.copy(kept, work)
        execute(chosen, work, config, parameters)
        write_site(work, published=source, command=_command(config, only, parameters))
        return _finish(work, out)


def build_comparison(
    config: Config,
    name: str,
    sets: Sequence[Mapping[str, object]],
    *,
    parameters: Mapping[str, object] | None = None,
    notebooks_dir: Path | None = None,
    out_dir: Path | None = None,
) -> Path:
    """Run one notebook once per set of parameters; return the path of the page that compares them.

    Args:
        config, parameters, notebooks_dir, out_dir: as for `build_reports`; a set goes before both.
        name: of the notebook.
        sets: name → value, two or more; the page goes into the folder `compare_<name>` of the site.

    Raises:
        SglibError, NotebookError: as for `build_reports`; nothing has been run if a set is wrong.
    """
    source, out = _folders(notebooks_dir, out_dir)
    [path] = _choose(list_series(source), [name])
    out, common = out / f"compare_{path.stem}", parameters or {}
    for values in sets:
        _checked(path, config, {**common, **values})
    with _building(out) as work:
        for number, values in enumerate(sets, start=1):
            execute([path], work, config, {**common, **values})
            (work / path.name).rename(work / f"{path.stem}-{number:02}.ipynb")
        told = [f'--set "{" ".join(f"{k}={v}" for k, v in values.items())}"' for values in sets]
        command = " ".join([_command(config, [name], common), *told])
        write_comparison(work, sets, command=command)
        return _finish(work, out)


def build_published(notebooks_dir: Path | None = None, out_dir: Path | None = None) -> Path:
    """Write the pages of the committed notebooks with the outputs they hold; run nothing."""
    source, out = _folders(notebooks_dir, out_dir)
    with _building(out) as work:
        for path in list_series(source):
            shutil.copy(path, work)
        write_site(work, published=source, command="sglib report --published")
        return _finish(work, out)


def execute(
    notebooks: Sequence[Path],
    into: Path,
    config: Config,
    parameters: Mapping[str, object] | None = None,
) -> None:
    """Run notebooks and write them, executed, into a folder; one line for each on stderr.

    Kernels spend their time on imports, so several run side by side and share the workers between
    them; under the profile `full` runs take the time, and each notebook has all workers.

    Raises:
        SglibError: a parameter is unknown or of another type; nothing has been run then.
        NotebookError: a notebook failed; the others are stopped.
    """
    logging.getLogger("papermill").setLevel(logging.WARNING)  # our line per notebook is enough
    side_by_side = 1 if config.profile == "full" else min(config.n_jobs, len(notebooks))
    shared = replace(config, jobs=max(1, config.n_jobs // side_by_side))
    values = [_checked(path, shared, parameters or {}) for path in notebooks]
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this environment's kernel
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # a warning per kernel start
    how = f"{side_by_side} at a time, profile {config.profile}, data {config.data}"
    print(f"running {len(notebooks)} notebooks, {how}", file=sys.stderr, flush=True)
    run = functools.partial(_run, into=into, timeout=CELL_TIMEOUT[config.profile])
    with ThreadPoolExecutor(side_by_side) as pool:
        futures = {pool.submit(run, *pair): pair[0] for pair in zip(notebooks, values, strict=True)}
        try:
            for n_done, future in enumerate(as_completed(futures), start=1):
                name, place = futures[future].stem, f"[{n_done}/{len(notebooks)}]"
                print(f"{place} {name} … {duration(future.result())}", file=sys.stderr, flush=True)
        except BaseException:  # of a notebook, or Ctrl-C
            pool.shutdown(wait=False, cancel_futures=True)
            for child in psutil.Process().children():
                if "ipykernel_launcher" in child.cmdline():  # not a helper of joblib's
                    for process in (*child.children(recursive=True), child):
                        process.kill()
            raise


def list_series(source: Path) -> list[Path]:
    """Return the notebooks of a folder in their order."""
    series = sorted(source.glob("[0-9][0-9]_*.ipynb"))
    if not series:
        raise SglibError(f"{source}: expected notebooks named NN_question.ipynb, found none")
    return series


def as_set(text: str) -> dict[str, object]:
    """Return the parameters in "seeds=5 data=course"; blanks stand between them, or in quotes."""
    pairs = [word.partition("=") for word in shlex.split(text)]
    if not pairs or not all(name and sign for name, sign, _ in pairs):
        raise SglibError(f"--set {text!r}: expected NAME=VALUE …, such as 'seeds=5 data=course'")
    return {name: literal(value) for name, _, value in pairs}


def literal(text: str) -> object:
    """Return a parameter as typed on the command line: a Python literal, else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _choose(series: list[Path], only: Sequence[str]) -> list[Path]:
    for wanted in only:
        if not any(wanted in (path.stem, path.name, path.stem[:2]) for path in series):
            known = ", ".join(path.stem for path in series)
            raise SglibError(f"no notebook {wanted!r}; there are {known}")
    return [p for p in series if not only or {p.stem, p.name, p.stem[:2]} & set(only)]


def _checked(path: Path, config: Config, parameters: Mapping) -> dict[str, object]:
    """Return the values for a notebook's `parameters` cell; papermill would pass on any."""
    declared = papermill.inspect_notebook(path)
    for name, value in parameters.items():
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise SglibError(f"{path.name}: no parameter {name!r}; there are {known}")
        default = ast.literal_eval(declared[name]["default"])
        wanted = (int, float) if isinstance(default, float) else type(default)
        if default is not None and (
            not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool)
        ):
            raise SglibError(
                f"{path.name}: {name} must be like {default!r} ({type(default).__name__}), "
                f"got {value!r}"
            )
    try:
        replace(config, **{k: v for k, v in parameters.items() if k in asdict(config)})
    except SglibError as error:
        raise SglibError(f"{path.name}: {error}") from None
    values = {k: v for k, v in asdict(config).items() if k in declared and v is not None}
    return values | dict(parameters)


def _run(path: Path, values: Mapping[str, object], *, into: Path, timeout: int) -> float:
    """Execute one notebook in its own folder; return the seconds it took."""
    try:
        executed = papermill.execute_notebook(
            path,
            into / path.name,
            parameters=values,
            kernel_name=KERNEL,
            language="python",
            resources={"metadata": {"path": str(path.parent)}},  # `cwd=` would move all threads
            progress_bar=False,
            request_save_on_cell_execute=False,
            execution_timeout=timeout,
            config=KERNEL_CONFIG,
        )
    except (PapermillExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise _explained(path, error, injected=bool(values)) from error
    finally:
        ensure_event_loop().close()  # this thread's own
    return executed.metadata.papermill.duration


def _explained(path: Path, error: Exception, *, injected: bool) -> NotebookError:
    """Log the failing cell with the end of its traceback; return the error as one line."""
    if not isinstance(error, PapermillExecutionError):  # no cell is named: dead or too slow
        return NotebookError(f"{path.name}: {type(error).__name__}: {_first_line(str(error))}")
    cells = nbformat.read(path, as_version=4).cells
    tagged = [i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    # papermill's own cell follows the tagged one; count as the author does
    number = error.cell_index + 1 - (injected and tagged and error.cell_index > tagged[0])
    lines = strip_color("\n".join(error.traceback)).splitlines()
    log.error("%s", "\n".join(f"    {line}" for line in lines[-30:]))
    exception = f"{error.ename}: {_first_line(error.evalue)}".removesuffix(": ")
    return NotebookError(f"{path.name}, cell {number} of {len(cells)}: {exception}")


def _first_line(text: str) -> str:
    return next((line.strip() for line in strip_color(text).splitlines() if line.strip()), "")


def _folders(source: Path | None, out: Path | None) -> tuple[Path, Path]:
    source = (source or repo_root() / "notebooks").resolve()
    return source, (out or reports_dir() / "html").resolve()


@contextlib.contextmanager
def _building(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside the site and remove it; what a killed run left there goes."""
    work = out.with_name(f".{out.name}-building")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
    finally:
        shutil.rmtree(work)


def _finish(work: Path, out: Path) -> Path:
    """Move everything into place, the index last, and drop what was ours."""
    made = sorted(path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file())
    made.sort(key=lambda name: name == "index.html")
    listed = out / FILES
    before = json.loads(listed.read_text(encoding="utf-8")) if listed.is_file() else []
    (out / "data").mkdir(parents=True, exist_ok=True)
    for name in made:
        os.replace(work / name, out / name)
    for name in set(before) - set(made):
        (out / name).unlink(missing_ok=True)
    listed.write_text(json.dumps(made, indent=1), encoding="utf-8")
    return out / "index.html"


def _command(config: Config, only: Sequence[str], parameters: Mapping | None) -> str:
    parts = ["sglib report", f"--profile {config.profile}", f"--data {config.data}"]
    parts += [f"--seeds {config.seeds}"] if config.seeds else []
    parts += [f"--device {config.device}"] if config.device != "cpu" else []
    parts += [f"--notebook {name}" for name in only]
    return " ".join(parts + [f"-p {name} {value}" for name, value in (parameters or {}).items()])
