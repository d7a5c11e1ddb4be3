"""How right a model is on pictures whose answers are known: the work of `sglib evaluate`."""

import base64
import csv
import html
import io
import os
from collections import Counter
from functools import cache
from pathlib import Path
from string import Template

import click
import numpy as np
from PIL import Image

from sglib import SglibError
from sglib.files import replacing
from sglib.predict.classifier import load
from sglib.predict.files import Search
from sglib.predict.pictures import read
from sglib.predict.writers import escaped

_LABELS = {"0": 0, "open": 0, "1": 1, "sunglasses": 1}
_ALIKE = 0.1  # least correlation within a group: ten people cannot show that there is none
_BINS = np.array([0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])
_N_SHOWN = 40  # mistakes on the page
_PAGE = Path(__file__).with_name("resources") / "evaluate.html"
_FIGURE = '<figure><img alt="picture" src="{}"> <img alt="seen" src="{}"><p>{}</p></figure>'


def read_labels(path: str, group: str | None = None) -> dict[str, tuple[int, str]]:
    """Return label (1: sunglasses) and group by picture; of the paper's tags, by `ID.*`.

    Args:
        path: a CSV file with the columns `file` and `label`, or `id` and `tag` (the paper's).
        group: the column of what pictures have in common; default: each stands alone.

    Raises:
        SglibError: the file, or its first line that cannot be used.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SglibError(f"{path}: cannot read the labels ({error})") from error
    rows = csv.DictReader(io.StringIO(text, newline=""))
    columns = set(rows.fieldnames or [])
    key, tag = ("file", "label") if "file" in columns else ("id", "tag")
    if missing := sorted({key, tag, group or key} - columns):
        raise SglibError(f"{path}: no column {missing[0]!r}; needs file and label, or id and tag")
    found: dict[str, tuple[int, str]] = {}
    for row in rows:
        where, name = f"{path}, line {rows.line_num}", os.path.normpath(row[key] or "")
        label, whose = (row[tag] or "").strip().lower(), row[group] if group else name
        if label not in _LABELS:
            raise SglibError(f"{where}: expected {', '.join(_LABELS)}, got {row[tag]!r}")
        if not (row[key] and whose) or name in found:
            problem = f"{name} came before" if name in found else f"no {key if whose else group}"
            raise SglibError(f"{where}: {problem}")
        found[name] = (_LABELS[label], whose)
    return {f"{name}.*" if key == "id" else name: known for name, known in found.items()}


def interval(hits: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a share, when pictures of a group are alike.

    Wilson's interval of as many independent pictures as the groups' spread leaves, with Student's
    t for their number. The spread is never taken to be less than a correlation of 0.1 makes it:
    a few hits lie in few groups and show too little. `hits` is bool (N,), `groups` (N,) its group.

    Source: Korn & Graubard 1998 (Survey Methodology 24); Kish 1965, Survey Sampling, §5.4.
    """
    _, which, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if (n_groups := len(sizes)) < 2:
        return 0.0, 1.0
    n, share, middle = len(hits), hits.mean(), (hits.sum() + 0.5) / (len(hits) + 1)
    off = np.bincount(which, hits) - share * sizes  # hits in a group more than its share
    spread = n_groups / (n_groups - 1) * (off @ off) / n**2
    effect = max(spread * n / (middle * (1 - middle)), 1 + _ALIKE * (sizes @ sizes / n - 1))
    x = _student(n_groups - 1) ** 2 * effect / n
    half = np.sqrt(x * share * (1 - share) + x * x / 4)
    return (share + x / 2 - half) / (1 + x), (share + x / 2 + half) / (1 + x)


@cache
def _student(df: int) -> float:
    """Return Student's 97.5 % point: √df tan θ, where cos(θ)^(df-1) has 95 % between ±θ."""
    df, angles = min(df, 10_000), np.linspace(0, np.pi / 2, 100_001)
    area = np.cumsum(np.cos(angles) ** (df - 1))
    return float(np.sqrt(df) * np.tan(np.interp(0.95 * area[-1], area, angles)))


def measures(
    probs: np.ndarray, labels: np.ndarray, groups: np.ndarray, threshold: float, fpr: float
) -> list[str]:
    """Return lines that say how right a model is.

    Args:
        probs, labels, groups: (N,) probability of sunglasses; 1 or 0; whom it belongs to.
        threshold, fpr: above it is called sunglasses; the share of open ones that may be.
    """
    right = np.where(labels == 1, probs, 1 - probs)
    lines = [
        f"{'at threshold':<22} {threshold:.6g}",
        _line("accuracy", (probs > threshold) == labels, groups),
        *_rates(probs > threshold, labels, groups),
        f"{'Brier score':<22} {np.mean((1 - right) ** 2):.4f}",
        f"{'log loss':<22} {-np.log(right.clip(1e-7)).mean():.4f}",
        "",
        f"{'calibration':<22} said    true    pictures",
    ]
    which = np.digitize(probs, _BINS[1:-1], right=True)
    for i in np.unique(which):
        said, true = probs[which == i], labels[which == i]
        between = f"{_BINS[i]:g} to {_BINS[i + 1]:g}"
        lines.append(f"  {between:<20} {said.mean():.4f}  {true.mean():.4f}  {len(true)}")
    n_open = int((labels == 0).sum())
    if 0 < n_open < len(labels):
        falling = np.sort(probs[labels == 0])[::-1]
        chosen = float(falling[min(int(fpr * n_open + 1e-9), n_open - 1)])
        chosen = min(1.0, np.ceil(chosen * 1e8) / 1e8)  # what is printed is what is measured
        lines += ["", f"{f'for FPR <= {fpr:g}':<22} --threshold {chosen:.8g}"]
        lines += _rates(probs > chosen, labels, groups)
        lines.append("chosen on these pictures: try it on others before you rely on it")
        if fpr * n_open < 1:
            lines.append(f"{n_open} open pictures are too few to show an FPR of {fpr:g}")
    return lines


def _rates(called: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> list[str]:
    parts = {"TPR (sunglasses)": labels == 1, "FPR (open)": labels == 0}
    return [_line(name, called[part], groups[part]) for name, part in parts.items()]


def _line(name: str, hits: np.ndarray, groups: np.ndarray) -> str:
    if not len(hits):
        return f"{name:<22} no such pictures"
    low, high = interval(hits, groups)
    spread = f"{low:.4f} to {high:.4f}" if len(set(groups)) > 1 else "one group: no interval"
    return f"{name:<22} {hits.mean():.4f}  {spread}  {hits.sum()} of {len(hits)}"


def run(
    folder: str,
    table: str,
    *,
    model: str,
    crop: str,
    group: str | None,
    fpr: float,
    threshold: float | None,
    output: str | None,
) -> int:
    """Answer the pictures of a folder, compare with the labels, print, write the page.

    Args: as the options of `sglib evaluate`.

    Returns: the exit status, 1 if some labels or pictures could not be used.

    Raises:
        SglibError: bad labels, no folder, nothing to score, no place for the page.
    """
    known, classifier = read_labels(table, group), load(model)
    if not os.path.isdir(folder):
        raise SglibError(f"{folder}: no such folder")
    limit = classifier.threshold if threshold is None else threshold
    count, pictures, truth, answers = Counter(), [], {}, {}
    for picture in Search([folder]):
        name = os.path.relpath(picture.name, folder)
        name = name if name in known else f"{os.path.splitext(name)[0]}.*"
        if name in known:
            pictures.append(picture)
            truth[picture.name] = known.pop(name)
        else:
            count["without a label"] += 1
    count["labels without a picture"] = len(known)
    for some, seen in classifier.stream(pictures, crop=crop):
        for answer, image in zip(some, seen, strict=True):
            answers.setdefault(answer.file, []).append((answer, image))
    scored, mistakes = [], []
    for name, ((answer, image), *others) in answers.items():
        if answer.label is None:
            count["without an answer"] += 1
            click.echo(f"{escaped(name)}: {answer.status}", err=True)
        elif others:  # which of them the label is about is not known
            count["with several faces"] += 1
        else:
            label, whose = truth[name]
            scored.append((answer.probability, label, whose))
            if (answer.probability > limit) != label:
                mistakes.append((abs(answer.probability - label), answer, image))
    if not scored:
        raise SglibError(f"{folder}: no picture with an answer has a label in {table}")
    probs, labels, groups = (np.array(column) for column in zip(*scored, strict=True))
    unit = f"{len(set(groups))} groups ({group})" if group else "pictures, as if independent"
    left_out = ", ".join(f"{n} {what}" for what, n in count.items() if n) or "none"
    text = f"{classifier.name}: {len(probs)} pictures, {labels.sum()} with sunglasses\n"
    text += f"not scored: {left_out}\n95 % intervals over {unit}\n\n"
    text += "\n".join(measures(probs, labels, groups, limit, fpr))
    click.echo(text)
    if output is not None:
        mistakes.sort(key=lambda one: -one[0])
        _write_page(output, f"{classifier.name} evaluated", text, mistakes)
    return int(len(scored) < len(truth) or bool(known))


def _write_page(path: str, title: str, text: str, mistakes: list) -> None:
    figures = []
    for _, answer, seen in mistakes[:_N_SHOWN]:
        whole = Image.fromarray(read(answer.file))
        whole.thumbnail((288, 288))
        said = html.escape(f"{escaped(answer.file)}: {answer.probability:.4f}")
        figures.append(_FIGURE.format(_png(whole), _png(Image.fromarray(seen)), said))
    page = Template(_PAGE.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        text=html.escape(text),
        shown=f"{len(figures)} of {len(mistakes)}",
        figures="\n".join(figures),
    )
    try:
        with replacing(Path(path).expanduser()) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SglibError(f"{path}: cannot write ({error.strerror or error})") from error


def _png(image: Image.Image) -> str:
    image.save(data := io.BytesIO(), "PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
