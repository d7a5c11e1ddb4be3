"""Intervals, tests and words: one module for the two questions that the study asks.

*These photographs*: would other splits and seeds of the same photographs give the same? A
repetition is one observation: the mean over its five folds. *Other people*: would other people
give the same? A person is one observation: the mean over the seeds. Both arrive here as a vector
of independent values. Accuracies and differences are fractions in [0, 1] everywhere.
"""

import dataclasses
import functools
import itertools
import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy import stats as sps

ALPHA = 0.05
LEVEL = 1 - 2 * ALPHA  # two one-sided tests at 5 % are one interval at 90 %
EXACT_UP_TO = 16  # values; 2¹⁶ sign patterns take half a second
OPPOSITE = {"better": "not better", "not better": "better"}
OPPOSITE |= {"worse": "not worse", "not worse": "worse"}


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with its interval; formats as its numbers do: `f"{interval:+.1%}"`."""

    mean: float
    low: float  # NaN where there are too few values
    high: float
    n: int  # independent units: repetitions, people or runs, never image rows

    def __format__(self, spec: str) -> str:
        mean, low, high = (format(x, spec) for x in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]"


@dataclasses.dataclass(frozen=True)
class Judged:
    """A mean difference with its 90 % interval and the p value of what may be said of it.

    better: above δ; worse: below −δ; not better: below δ; not worse: above −δ; equivalent: both of
    the last two. A p value is the chance of data as clear where the statement is wrong.
    """

    interval: Interval
    p: dict[str, float]  # statement → p, not adjusted

    @property
    def word(self) -> str:
        """The word of the three that exclude each other with the smallest p value."""
        return min(("better", "equivalent", "worse"), key=self.p.__getitem__)


def t_interval(values: ArrayLike, *, level: float = LEVEL) -> Interval:
    """Return Student's interval of the mean of independent values (n,); NaN for fewer than two."""
    values = _finite(values)
    n = len(values)
    if n < 2:
        return Interval(values.sum() if n else math.nan, math.nan, math.nan, n)
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * _sd(values) / math.sqrt(n)
    return Interval(float(values.mean()), values.mean() - half, values.mean() + half, n)


def judge(values: ArrayLike, delta: float, *, exact: bool = False) -> Judged:
    """Test a mean difference against −δ and δ, from both sides.

    Each statement is a one-sided test at 5 %; "equivalent" needs two of them (TOST). Whatever the
    mean is, "better", "equivalent" or "worse" is said wrongly in at most 5 % of the studies.

    Args:
        values: float (n,), differences, one per independent unit; positive = better.
        delta: δ > 0, the smallest difference that matters, in the same unit.
        exact: test by flipping signs (`flip_p`) instead of Student's t, for few units.

    Source: Schuirmann 1987 (J. Pharmacokinetics and Biopharmaceutics 15), Lakens 2017 (Social
    Psychological and Personality Science 8).
    """
    values = _finite(values)
    p_above = (flip_p if exact else _t_p) if len(values) > 1 else lambda _: 1.0
    p = {
        "better": p_above(values - delta),
        "not better": p_above(delta - values),
        "worse": p_above(-delta - values),
        "not worse": p_above(values + delta),
    }
    equivalent = max(p["not better"], p["not worse"])
    return Judged(t_interval(values), p | {"equivalent": equivalent})


def settle(word: str, p: float, interval: Interval, delta: float) -> str:
    """Return the word where p is below 5 % and the interval lies where it says, else "open"."""
    inside = {
        "better": interval.low > delta,
        "equivalent": -delta < interval.low and interval.high < delta,
        "worse": interval.high < -delta,
    }
    return word if p < ALPHA and inside[word] else "open"


def flip_p(values: ArrayLike, *, seed: int = 0) -> float:
    """Return the one-sided p value of a mean above 0 by flipping signs.

    If the values are symmetric about 0, each is as likely as its negative: p is the share of the
    2ⁿ sign patterns with a mean at least as large. With 12 people p is 1/4096 at least. The same
    as `scipy.stats.permutation_test`, three hundred times as fast.

    Args:
        values: float (n,), n ≥ 2.
        seed: of 9,999 random patterns, drawn only beyond `EXACT_UP_TO` values.

    Source: Fisher 1935 (The Design of Experiments, §21).
    """
    values = _finite(values)
    values = values / (np.abs(values).max() or 1.0)
    if exact := len(values) <= EXACT_UP_TO:
        sums = _signs(len(values)) @ values
    else:
        sums = np.random.default_rng(seed).choice((1.0, -1.0), (9999, len(values))) @ values
    as_large = sums >= values.sum() - 1e-9  # equal sums must tie in spite of rounding
    return float(as_large.mean() if exact else (as_large.sum() + 1) / (len(sums) + 1))


@functools.lru_cache(maxsize=4)
def _signs(n: int) -> np.ndarray:
    return np.array(list(itertools.product((1.0, -1.0), repeat=n)))  # (2ⁿ, n)


def holm(p: ArrayLike) -> np.ndarray:
    """Return p values (m,) adjusted for their family by Holm's step-down method.

    adjusted(i) = max over j ≤ i of min(1, (m − j + 1) · p(j)), with p(1) ≤ … ≤ p(m)

    Source: Holm 1979 (Scandinavian Journal of Statistics 6).
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1)


def units_to_decide(effect: float, delta: float, sd: float, *, other: float = 0.0) -> float:
    """Return how many units decide a comparison with a power of 80 %, if all stays as seen.

    n = sd² / ((d / (z(0.95) + z(0.8)))² − other²), d the distance of the effect to the nearer of ±δ

    Args:
        effect, delta: in one unit.
        sd: of one unit's difference.
        other: standard error that more units do not reduce.

    Returns:
        a whole number, 2 or more; infinite where no number is enough.
    """
    distance = min(abs(effect - delta), abs(effect + delta))
    allowed = (distance / float(special.ndtri(1 - ALPHA) + special.ndtri(0.8))) ** 2 - other**2
    return max(2, math.ceil(sd**2 / allowed)) if allowed > 0 else math.inf


def rate_interval(k: int, n: int, *, level: float = 0.95) -> Interval:
    """Return the exact (Clopper & Pearson) interval of the rate k of n ≥ 1 independent runs."""
    low, high = sps.binomtest(k, n).proportion_ci(level, method="exact")
    return Interval(k / n, float(low), float(high), n)


def fisher_p(k: int, n: int, k_other: int, n_other: int) -> float:
    """Return the two-sided p value of two equal rates by Fisher's exact test.

    Runs of equal seeds start alike, so failures of two experiments come together more often than
    by chance; that makes this test too careful, never too bold.
    """
    return float(sps.fisher_exact([[k, n - k], [k_other, n_other - k_other]]).pvalue)


def people_rate(
    correct: ArrayLike, n: ArrayLike, *, n_new: int = 8, level: float = 0.95, seed: int = 0
) -> tuple[Interval, Interval]:
    """Return the accuracy over people, and that of a few new people, by a beta-binomial model.

    Each person has an accuracy of their own, drawn from a beta distribution; their photographs
    are right with that chance. Prior: Jeffreys for the mean, log-uniform from 0.3 to 300 for the
    concentration (how alike people are). It holds where nobody shows an error.

    Args:
        correct: float (P,), right answers of each person; means over seeds may be fractions.
        n: (P,), photographs of each person.
        n_new: new people, whose mean accuracy the second interval predicts.
        seed: of the 8,000 draws behind the second interval.

    Returns:
        intervals of the mean over all people, and of the mean of `n_new` new ones. The estimate is
        that of the photographs at hand, averaged over people.

    Source: Gelman et al. 2013 (Bayesian Data Analysis, 3rd ed.), §5.3.
    """
    correct, n = _finite(correct), _finite(n)
    mean = special.betaincinv(0.5, 0.5, (np.arange(400) + 0.5) / 400)[:, None]  # (400, 1)
    alike = np.geomspace(0.3, 300, 40)  # (40,)
    a, b = mean * alike, (1 - mean) * alike  # (400, 40)
    log_post = np.zeros_like(a)
    seen = np.unique(np.stack([correct, n], 1), axis=0, return_counts=True)
    for (k, of), count in zip(*seen, strict=True):
        log_post += count * (special.betaln(a + k, b + of - k) - special.betaln(a, b))
    post = np.exp(log_post - log_post.max())
    post /= post.sum()
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = mean[np.searchsorted(post.sum(1).cumsum(), tails).clip(max=399), 0]
    rng = np.random.default_rng(seed)
    drawn = rng.choice(post.size, 8_000, p=post.ravel())[:, None]
    new = rng.beta(a.ravel()[drawn], b.ravel()[drawn], (8_000, n_new)).mean(1)
    at_hand = float((correct / n).mean())
    return (
        Interval(at_hand, float(low), float(high), len(n)),
        Interval(at_hand, *map(float, np.quantile(new, tails)), n_new),
    )


def spearman(x: ArrayLike, y: ArrayLike, *, level: float = 0.95) -> Interval:
    """Return the rank correlation of (n,) pairs, n ≥ 4.

    tanh(atanh r ± z · √((1 + r²/2) / (n − 3)))

    Source: Bonett & Wright 2000 (Psychometrika 65).
    """
    r = float(sps.spearmanr(_finite(x), _finite(y)).statistic)
    half = special.ndtri((1 + level) / 2) * math.sqrt((1 + r**2 / 2) / (np.size(x) - 3))
    low, high = np.tanh(np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12)) + np.array([-half, half]))
    return Interval(r, float(low), float(high), np.size(x))


def _t_p(values: np.ndarray) -> float:
    """Return the one-sided p value of a mean above 0 by Student's t."""
    error = _sd(values) / math.sqrt(len(values))
    if error == 0:
        return 0.0 if values.mean() > 0 else 1.0
    return float(special.stdtr(len(values) - 1, -values.mean() / error))


def _sd(values: np.ndarray) -> float:
    # Equal values have no spread, but their rounded mean can leave 1e-17 of it.
    return 0.0 if np.ptp(values) < 1e-12 else float(values.std(ddof=1))


def _finite(values: ArrayLike) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"expected finite numbers (n,), got shape {values.shape}")
    return values
