"""How much work a notebook does: the profiles, and the check of a notebook's parameters."""

import ast
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from sglib import SglibError
from sglib.data.faces import DATA_CHOICES
from sglib.files import check_device, n_usable_cpus
from sglib.studies.tables import Study
from sglib.training.settings import Experiment


@dataclass(frozen=True)
class Profile:
    """How many runs a study makes of each experiment."""

    name: str
    purpose: str
    n_seeds: int  # repetitions; each has its own split, initialisation, order and masks
    n_folds: int | None = None  # how many folds of the scheme are run; None = all
    max_epochs: int | None = None  # upper limit on an experiment's epochs; None = as printed

    def limit(self, row: Experiment) -> Experiment:
        """Return the experiment with its epochs limited, under its name."""
        return replace(row, n_epochs=min(row.n_epochs, self.max_epochs or row.n_epochs))

    def shorten(self, study: Study) -> Study:
        """Return the study with the epochs of its rows limited."""
        return replace(study, rows=tuple(map(self.limit, study.rows)))


PROFILES = {
    "smoke": Profile("smoke", "does everything run? (no number means anything)", 1, 2, 12),
    "paper": Profile("paper", "the paper's protocol, every fold once", 1),
    "full": Profile("full", "a hundred repetitions, for statistics", 100),
}


@dataclass(frozen=True)
class Config:
    """The parameters of a notebook or a command, checked, since Papermill checks nothing."""

    profile: str = "paper"  # one of `PROFILES`
    data: str = "auto"  # one of `DATA_CHOICES`
    seeds: int | None = None  # number of repetitions; None takes the profile's
    jobs: int | None = None  # runs at a time; None takes one per processor that may be used
    device: str = "cpu"  # of PyTorch; on any other than "cpu" the reference engine runs

    def __post_init__(self) -> None:
        for field, known in (("profile", tuple(PROFILES)), ("data", DATA_CHOICES)):
            value = getattr(self, field)
            if value not in known:
                raise SglibError(f"{field} must be one of {', '.join(known)}, got {value!r}")
        for field in ("seeds", "jobs"):
            value = getattr(self, field)
            if value is not None and (type(value) is not int or not 1 <= value <= 10_000):
                raise SglibError(f"{field} must be a whole number from 1 to 10000, got {value!r}")
        check_device(self.device)

    @classmethod
    def of(cls, names: Mapping[str, object]) -> "Config":
        """Return the parameters among a notebook's `globals()`.

        Raises:
            SglibError: papermill was given a parameter that the notebook does not declare. It only
                warns, and a misspelt `-p profil full` would run the default.
        """
        cells = names.get("In", [])  # what was run so far, of IPython
        for declared, injected in itertools.pairwise(cells):
            if not injected.startswith("# Parameters\n"):
                continue
            known = _assigned(declared)
            if wrong := _assigned(injected) - known:
                wrong, known = (", ".join(sorted(part)) for part in (wrong, known))
                raise SglibError(f"no parameter {wrong}; there are: {known}")
        return cls(**{field.name: names[field.name] for field in fields(cls)})  # type: ignore[arg-type]

    @property
    def n_seeds(self) -> int:
        """Number of repetitions that will be run."""
        return self.seeds or PROFILES[self.profile].n_seeds

    @property
    def n_jobs(self) -> int:
        """Number of runs at a time."""
        return self.jobs or n_usable_cpus()


def _assigned(cell: str) -> set[str]:
    """Return the names that a cell assigns."""
    names = (node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name))
    return {node.id for node in names if isinstance(node.ctx, ast.Store)}
