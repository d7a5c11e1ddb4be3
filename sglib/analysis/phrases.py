"""Numbers in the words of an answer: a word for an interval, its size, and on how much it rests."""

import math
import re
from collections.abc import Iterable

import pandas as pd

from sglib.analysis.captions import printed_table
from sglib.analysis.effects import PEOPLE, PHOTOGRAPHS
from sglib.studies.tables import words

UNITS = {PHOTOGRAPHS: "repetitions", PEOPLE: "people"}
_NETWORK = r", ConvNN_\d$|, \d+ epochs| \de-\d"  # what differs between the two networks
_FEW = 5  # repetitions below which no reading is called the likeliest
_SIDES = {PHOTOGRAPHS: "On these photographs", PEOPLE: "For other people"}


def points(fraction: float, digits: int = 1) -> str:
    """Return a difference of fractions in percentage points, with its sign."""
    rounded = round(100 * fraction, digits) + 0.0  # no −0.0
    return "–" if math.isnan(fraction) else f"{rounded:+.{digits}f}".replace("-", "−")


def size(row: pd.Series) -> str:
    """Return an effect and its interval in points; from one value there is no interval."""
    if math.isnan(row["low"]):
        return f"{points(row['effect'])} points, one value, no interval"
    return f"{points(row['effect'])} points [{points(row['low'])}, {points(row['high'])}]"


def effects(table: pd.DataFrame) -> str:
    """Say rows of `effects.compare`: one sentence per question, with δ, intervals and n.

    Args:
        table: of one population; the two networks of a comparison are told together.
    """
    told = []
    for question, part in table.groupby("question", sort=False):
        network = part["comparison"].str.rpartition(", ")[2]
        stem = part["comparison"].str.replace(_NETWORK, "", regex=True)
        about = f"δ = {100 * part['delta'].iloc[0]:.1f} points, 90 % intervals, n = {ns(part)}"
        rows = [_both(name, network, rows) for name, rows in part.groupby(stem, sort=False)]
        told.append(f"{_SIDES[question]} ({about}): {'; '.join(rows)}.")
    return " ".join(told)


def _both(stem: str, network: pd.Series, rows: pd.DataFrame) -> str:
    each = [(network[place], row["word"], size(row)) for place, row in rows.iterrows()]
    if len(each) > 1 and rows["word"].nunique() == 1:
        sizes = listing(f"{text} ({name})" for name, _, text in each)
        return f"{stem} **{rows['word'].iloc[0]}**: {sizes}"
    return f"{stem} " + listing(f"**{word}** for {name}: {text}" for name, word, text in each)


def failures(table: pd.DataFrame, name: str) -> str:
    """Say rows of `runs.failures`: share with its interval, and the counts.

    Args:
        table: one row per group.
        name: the column that names the groups.
    """
    rows = [
        f"{row[name]} {row['rate']:.1%} [{row['low']:.1%}, {row['high']:.1%}] "
        f"({row['failed']} of {row['n']})"
        for _, row in table.iterrows()
    ]
    return "; ".join(rows)


def span(numbers: Iterable[float]) -> str:
    """Return whole numbers as one: "50", or "37 to 50" where they differ."""
    low, high = min(numbers), max(numbers)
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


def range_of(values: Iterable[float], digits: int = 1) -> str:
    """Return values as one number, "0.95", or as a range, "0.94 to 0.96"."""
    ends = dict.fromkeys(f"{end:.{digits}f}" for end in (min(values), max(values)))
    return " to ".join(ends)


def numbers(table: pd.DataFrame, name: str | list[str], value: str = "effect") -> dict[str, tuple]:
    """Return (value, low, high) by name for `show.answer`; without an interval the value alone.

    Args:
        table: with columns low and high.
        name: the column, or columns, that name a row.
        value: column of the number.
    """
    columns = [name] if isinstance(name, str) else name
    names = [", ".join(parts) for parts in zip(*(table[c] for c in columns), strict=True)]
    rows = zip(names, table[[value, "low", "high"]].itertuples(index=False), strict=True)
    return {name: tuple(map(float, row if row[1] == row[1] else row[:1])) for name, row in rows}


def listing(words: Iterable[str]) -> str:
    """Return "a", "a and b" or "a, b and c"; "none" of nothing."""
    *first, last = list(words) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def short(comparison: str) -> str:
    """Return a comparison's words for a narrow figure: signs for words, no λ."""
    text = re.sub(r"L2 \de-\d", "L2", comparison).replace(" and ", " + ")
    return text.replace(" against ", " − ").replace(" of ", ": ", 1)


def gap(row: pd.Series) -> str:
    """Say a gap between training and validation accuracy, a row of `effects.compare`."""
    word = {
        "better": "more than δ",
        "equivalent": "less than δ",
        "worse": "validation is the higher",
        "open": "whether it is more than δ stays open",
    }[row["word"]]
    return f"training − validation {size(row)}, {word}"


def verdicts(cells: pd.DataFrame) -> str:
    """Say which conclusions are confirmed, refuted and open, from `claims.cells`."""
    told = []
    for question in (name for name in cells if name in _SIDES):
        words = [
            f"**{word}** {listing(f'{n}' for n in cells.index[cells[question] == word])}"
            for word in ("confirmed", "refuted", "open")
            if (cells[question] == word).any()
        ]
        told.append(f"{_SIDES[question]}: {', '.join(words)}.")
    return f"Of the paper's {len(cells)} conclusions, by number. {' '.join(told)}"


def gains(table: pd.DataFrame) -> str:
    """Say what each part does to the log loss, and how sure that is, from `models.gains`."""
    people, seeds = table["people_low"] > 0, table["seeds_low"] > 0
    grades = {
        "surely less, for other people too": people & seeds,
        "less with other seeds, not surely for other people": seeds & ~people,
        "not surely less": ~seeds,
    }
    told = []
    for words_of, rows in grades.items():
        named = table[rows]["comparison"].str.removeprefix("+ ")
        losses = zip(named, table[rows]["less_loss"], strict=True)
        parts = [f"{name} ({-loss:+.3f})" for name, loss in losses]
        told += [f"{words_of}: {listing(parts)}"] if parts else []
    text = f"Change of the log loss in nats (95 % intervals): {'; '.join(told)}."
    return text.replace("-0", "−0")


def drop(row: pd.Series) -> str:
    """Say what the random split hides of one experiment, a row of `people.drop_table`."""
    return (
        f"{row['experiment']} {row['random']:.3f} on random folds and **{row['unseen']:.3f}** "
        f"[{row['low']:.3f}, {row['high']:.3f}] on people not seen"
    )


def captions(table: pd.DataFrame, joint: pd.DataFrame, order: pd.DataFrame, data: str) -> str:
    """Say which reading of our runs the printed numbers are, as far as these runs can tell.

    Args:
        table, joint, order: from `captions.captions`, `captions.joint` and `captions.likeliest`.
        data: name of the set of the runs; the printed numbers are of photographs.
    """
    of = (joint["measure"] == "val_acc") & (joint["population"] == "learned")
    one = joint[of & (joint["scaling"] == "unit")].set_index("reading")
    told = [f"{row['mean']:.3f} ({reading}{_z(row['z'])})" for reading, row in one.iterrows()]
    n = int(one["n"].max()) if len(one) else 0
    printed = printed_table().query("measure == 'val_acc'")["printed"].mean()
    text = (
        f"The printed validation accuracies have the mean **{printed:.3f}**; ours, in [0, 1] and "
        f"of the runs that learned, n = {n} repetitions: {listing(told)}."
    )
    if data.startswith("synthetic"):
        return f"{text} But these runs are of synthetic faces: which reading it is stays open."
    if n < _FEW:
        return f"{text} Fewer than {_FEW} repetitions hardly tell a spread: which it is stays open."
    ranked = order[order["measure"] == "all"]
    top, second = ranked.iloc[0], ranked.iloc[1]
    keys = ["reading", "scaling", "population"]
    best = table[(table[keys] == top[keys]).all(axis=1) & (table["measure"] == "val_acc")]
    far = best.loc[best["z"].abs() > 2, "experiment"].map(words)
    times = -second["log10_likelihood"]
    times = f"{10**times:.1f}" if times < 3 else "more than 1,000"
    return (
        f"{text} Over all numbers the likeliest reading is **{_reading(top)}**: {top['inside']} of "
        f"{top['of']} lie inside 95 % of the repetitions; the next, {_reading(second)}, is {times} "
        "times less likely. More than two standard deviations off in validation accuracy: "
        f"{listing(far)}."
    )


def captions_in_short(joint: pd.DataFrame, data: str) -> str:
    """Say in one line what an epoch chosen on the images it is reported on is worth.

    Args:
        joint: from `captions.joint`.
        data: as for `captions`.
    """
    of = (joint["measure"] == "val_acc") & (joint["population"] == "learned")
    mean = joint[of & (joint["scaling"] == "unit")].set_index("reading")["mean"]
    if mean.empty:
        return "No run learned, so no epoch can be chosen."
    gain = points(mean["best accuracy"] - mean["last epoch"])
    printed = printed_table().query("measure == 'val_acc'")["printed"].mean()
    whose = "in these synthetic runs" if data.startswith("synthetic") else "in our runs"
    return (
        f"Choosing the epoch on the images that are reported is worth {gain} points {whose}: best "
        f"epoch {mean['best accuracy']:.3f}, last epoch {mean['last epoch']:.3f}; the paper prints "
        f"{printed:.3f}."
    )


def _reading(row: pd.Series) -> str:
    pixels = {"unit": "[0, 1]", "symmetric": "[−1, 1]"}[row["scaling"]]
    whose = "the runs that learned" if row["population"] == "learned" else "all runs"
    return f"{row['reading']} of {whose}, pixels in {pixels}"


def _z(value: float) -> str:
    return "" if math.isnan(value) else f", z = {value:+.1f}".replace("-", "−")


def ns(table: pd.DataFrame) -> str:
    """Say on how much rows of `effects.compare` rest: "100 repetitions and 12 people"."""
    parts = table.groupby("question", sort=False)["n"]
    return listing(f"{span(n)} {UNITS[question]}" for question, n in parts)


def truth(found: pd.DataFrame, table: pd.DataFrame) -> str:
    """Say which estimate told what people nobody trained on say, and how ours did.

    Args:
        found, table: from `others.truth` and `others.table`.
    """
    n, first = found["people"].iloc[0], found.iloc[0]
    means = listing(f"{row['estimate']} {row['mean']:.3f}" for _, row in found.iterrows())
    if not n:
        low, high = table[["new_low", "new_high"]].mean()
        return (
            "Not known yet: the originals are not here. `sglib data fetch-cmu` imports them. What "
            f"they will be held against, mean of the experiments: {means}; expected of eight new "
            f"people, 95 %: {low:.3f} to {high:.3f}."
        )
    told = [
        f"{row['estimate']} {row['mean']:.3f}, {points(row['error'])} points "
        f"[{points(row['low'])}, {points(row['high'])}], {_far(row)}, rank correlation "
        f"{row['rank']:+.2f} [{row['rank_low']:+.2f}, {row['rank_high']:+.2f}]".replace("-", "−")
        for _, row in found.iterrows()
    ]
    ours = [
        f"`{row['name']}` {row['others']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        + _expected(row)
        for _, row in table[table["printed"].isna()].iterrows()
    ]
    nearest = found.loc[found["error"].abs().idxmin(), "estimate"]
    return (
        f"On {n} other people the {first['experiments']} experiments score "
        f"**{first['others']:.3f}** on average; nearest is what **{nearest}** told. Estimates, "
        f"their distance (95 %, t over n = {n} people) and their order against that of the others "
        f"(n = {first['experiments']} experiments): {'; '.join(told)}. Ours: "
        f"{'; '.join(ours)} (95 %, beta-binomial over people)."
    )


def truth_in_short(found: pd.DataFrame) -> list[str]:
    """Say the same in one line; none where nobody was asked."""
    told = [f"{row['estimate']} told {row['mean']:.2f}" for _, row in found.iterrows()]
    people, mean = found[["people", "others"]].iloc[0]
    text = f"On {people:.0f} other people the paper's experiments score **{mean:.2f}**; "
    return [f"{text}{listing(told)}."] if people else []


def _far(row: pd.Series) -> str:
    if row["low"] > 0 or row["high"] < 0:
        return "**too high**" if row["error"] > 0 else "**too low**"
    return "not contradicted"


def _expected(row: pd.Series) -> str:
    if pd.isna(row["new_low"]):
        return ", no expectation was published before"
    inside = "inside" if row["new_low"] <= row["others"] <= row["new_high"] else "**outside**"
    return f", {inside} the expected {row['new_low']:.3f} to {row['new_high']:.3f}"
