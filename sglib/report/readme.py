"""The results in the README, as Markdown."""

from pathlib import Path

import pandas as pd

from sglib import SglibError
from sglib.data.faces import FaceData
from sglib.files import git_commit, repo_root
from sglib.studies.paper import PRINTED
from sglib.studies.profiles import Config

MARKS = ("<!-- results: written by `sglib publish` -->", "<!-- end of results -->")


def facts(faces: FaceData, config: Config, runs: pd.DataFrame, people: pd.DataFrame) -> str:
    """Return what the results were computed from: data, profile, runs, machine, commit."""
    both = pd.concat([runs, people])
    engines, machine = ", ".join(sorted(set(both["engine"]))), both["machine"].mode()[0]
    return (
        f"Data set `{faces.name}` (training set sha256 {faces.train.digest[:16]}), profile "
        f"`{config.profile}`, {config.n_seeds} seeds; {len(both):,} runs, "
        f"{both['seconds'].sum() / 3600:.2f} core hours, engine {engines} on {machine}; "
        f"code at commit {git_commit()}."
    )


def result_table(twelve: pd.DataFrame, symmetric: pd.DataFrame, schemes: pd.DataFrame) -> str:
    """Return the twelve rows in Markdown: printed, both scalings, people not seen."""
    one = twelve[twelve["measure"] == "val_acc"].set_index("name")
    two = symmetric[symmetric["measure"] == "val_acc"].set_index("name")
    lines = [
        "| experiment | fig. | printed val. acc. | reproduced, pixels [0, 1] | pixels [−1, 1] "
        "| people not seen [95 %] |",
        "|---|---|---|---|---|---|",
    ]
    for name in one.index:
        caption, ours, other, unseen = (
            PRINTED.loc[name],
            one.loc[name],
            two.loc[name],
            schemes.loc[name],
        )
        mark = "" if ours["inside"] else " (outside)"
        lines.append(
            f"| `{name}` | {caption.figure} | {caption.val_acc:.3f}{mark} "
            f"| {ours['mean']:.3f} ± {ours['std']:.3f} | {other['mean']:.3f} ± {other['std']:.3f} "
            f"| {unseen['unseen']:.3f} [{unseen['low']:.3f}, {unseen['high']:.3f}] |"
        )
    legend = " (outside): the printed number lies outside the range of the single runs."
    fewest, most, n_people = one["n"].min(), one["n"].max(), schemes["n_people"].iloc[0]
    lines += [
        "",
        f"Mean ± standard deviation over n = {fewest} to {most} runs (5 folds × seeds, less the "
        "runs that learned nothing, see `reports/tables/stuck.csv`) of the validation accuracy, "
        "mean of the last ten epochs. People not seen: "
        f"n = {n_people} people held out one at a time, seeds averaged within a person, Wilson "
        "interval over people." + ("" if one["inside"].all() else legend),
    ]
    return "\n".join(lines)


def verdict_lines(words: pd.DataFrame) -> str:
    """Return `verdicts.verdict_table` in Markdown."""
    rows = [
        f"| {number} | {row['conclusion']} | {row['random split']} | {row['unseen people']} |"
        for number, row in words.iterrows()
    ]
    head = ["| | the paper's conclusion | random split | unseen people |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def speed_lines(table: Path) -> list[str]:
    """Return what the benchmarks measured: a sentence and a table; nothing if there is no file.

    Args:
        table: `reports/tables/benchmarks.csv`, see `benchmarks/README.md`.
    """
    if not table.is_file():
        return []
    rows = pd.read_csv(table)
    step, whole = (rows[rows["benchmark"] == name] for name in ("train_step", "study"))
    if step.empty or whole.empty:
        return []
    ours = whole[whole["what"].str.startswith("sglib,")].iloc[-1]
    scaling = whole[whole["what"].str.startswith("scaling")].iloc[0]
    lines = [
        f"Speed, side by side in one run on {step['machine'].iloc[0]} (`make bench`): the whole "
        f"paper, 12 experiments × 5 folds, takes {ours['value']:.0f} s, {ours['ratio']:.0f} times "
        f"less than the paper's procedure would; from {scaling['what'].removeprefix('scaling, ')} "
        f"it gains a factor of {scaling['value']:.2f}. One training step of ConvNN_1 on one core:",
        "| | µs a step | times ours |\n|---|---|---|\n"
        + "\n".join(
            f"| {row.what} | {row.value:.0f} | {row.ratio:.1f} |"
            for row in step.dropna(subset="value").itertuples()
        ),
    ]
    predict = rows[(rows["benchmark"] == "predict") & rows["ratio"].notna()]
    if not predict.empty:
        lines.append(
            "Classifying the 22,140 files of a test set, times as fast as the paper's loop (files "
            "one by one, through its ConvNN_1): "
            + ", ".join(
                f"`{row.what.rpartition(' ')[2]}` {row.ratio:.1f}"
                for row in predict.itertuples()
                if row.what.startswith("sglib predict")
            )
            + "."
        )
    return lines


def between_marks(block: str) -> str:
    """Return the README with its results replaced.

    Raises:
        SglibError: the marks are missing.
    """
    path = repo_root() / "README.md"
    text = path.read_text(encoding="utf-8")
    start, end = (text.find(mark) for mark in MARKS)
    if not 0 <= start < end:
        raise SglibError(f"{path}: the lines {MARKS[0]!r} and {MARKS[1]!r} are missing")
    return f"{text[: start + len(MARKS[0])]}\n{block}\n{text[end:]}"
