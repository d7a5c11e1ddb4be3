"""How much work a notebook does: the profiles, and the check of a notebook's parameters."""

import dataclasses

from sglib import SglibError
from sglib.data.faces import DATA_CHOICES
from sglib.files import check_device, n_usable_cpus
from sglib.studies.tables import Study
from sglib.training.settings import Experiment


@dataclasses.dataclass(frozen=True)
class Profile:
    """How many runs a study makes of each experiment.

    Args:
        n_seeds: repetitions; each has its own split, initialisation, order and masks.
        n_folds: how many folds of the scheme are run; None = all.
        max_epochs: upper limit on an experiment's epochs; None = as printed.
    """

    name: str
    purpose: str
    n_seeds: int
    n_folds: int | None = None
    max_epochs: int | None = None

    def shorten(self, study: Study) -> Study:
        """Return the study with the epochs limited; its rows keep their names."""
        return dataclasses.replace(study, rows=tuple(map(self._shorten_row, study.rows)))

    def _shorten_row(self, row: Experiment) -> Experiment:
        if self.max_epochs is None or row.n_epochs <= self.max_epochs:
            return row
        return dataclasses.replace(row, n_epochs=self.max_epochs)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("smoke", "does everything run? (no number means anything)", 1, 2, 12),
        Profile("paper", "the paper's protocol, every fold once", 1),
        Profile("full", "ten repetitions, for statistics", 10),
    )
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The checked parameters of a notebook or a command.

    Args:
        profile: one of `PROFILES`.
        data: one of `DATA_CHOICES`.
        seeds: number of repetitions; None takes the profile's.
        jobs: number of runs at a time; None takes one per processor that this process may use.
        device: PyTorch device; other than "cpu" means the reference engine.

    Raises:
        SglibError: a value is unknown or of the wrong type. Papermill checks nothing itself.
    """

    profile: str = "smoke"
    data: str = "auto"
    seeds: int | None = None
    jobs: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        for field, known in (("profile", tuple(PROFILES)), ("data", DATA_CHOICES)):
            value = getattr(self, field)
            if value not in known:
                raise SglibError(f"{field} must be one of {', '.join(known)}, got {value!r}")
        for field in ("seeds", "jobs"):
            value = getattr(self, field)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10_000
            ):
                raise SglibError(f"{field} must be a whole number from 1 to 10000, got {value!r}")
        check_device(self.device)

    @property
    def n_seeds(self) -> int:
        """Number of repetitions that will be run."""
        return self.seeds or PROFILES[self.profile].n_seeds

    @property
    def n_jobs(self) -> int:
        """Number of runs at a time."""
        return self.jobs or n_usable_cpus()
