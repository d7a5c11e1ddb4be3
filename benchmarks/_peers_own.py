"""Our two engines as contestants. They start from the initial weights in every round."""

import dataclasses
import time

import numpy as np
from _task import Task, Weights

from sglib.studies.tables import BASELINE
from sglib.training.compiled import fit_compiled, warm_up
from sglib.training.reference import fit_reference
from sglib.training.settings import Fit

ONE_EPOCH = dataclasses.replace(BASELINE, n_epochs=1)


class Compiled:
    """The compiled engine. Preparing the images and one evaluation of the set are in its time."""

    def __init__(self, task: Task) -> None:
        warm_up()
        self.task = task

    def train(self, order: np.ndarray) -> float:
        data, schedule = self.task.one_epoch(order)
        started = time.perf_counter()
        self.fit = self.run(data, schedule)
        return time.perf_counter() - started

    @staticmethod
    def run(*args: object) -> Fit:
        return fit_compiled(ONE_EPOCH, *args)

    def weights(self) -> Weights:
        return self.fit.weights


class Reference(Compiled):
    """The readable PyTorch loop that states the method."""

    @staticmethod
    def run(*args: object) -> Fit:
        return fit_reference(ONE_EPOCH, *args)
