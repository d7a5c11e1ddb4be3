"""What notebook 07 takes away or tries alone: rows of models, as data."""

import dataclasses

from sglib.data.augment import METHODS, POLICIES, Chain
from sglib.training.shipped import SHIPPED, Model

_ONE = dataclasses.replace(SHIPPED["best"], n_networks=1)
_WHOLE = dataclasses.replace(_ONE.photos, blend=1.0)
_SCRATCH = dataclasses.replace(_WHOLE, n_epochs=200)  # who starts from nothing needs longer
_PAPERS = dataclasses.replace(_SCRATCH, network="ConvNN_1", lr=1e-3)
_BARE = POLICIES["none"]
ABLATION: dict[str, Model] = {
    # What each part is worth; row 1 is the reference.
    "one network": _ONE,
    "twin only": dataclasses.replace(_ONE, photos=dataclasses.replace(_WHOLE, n_epochs=0)),
    "not blended": dataclasses.replace(_ONE, photos=_WHOLE),
    "no twin": Model(photos=_SCRATCH),
    "no twin, not augmented": Model(photos=dataclasses.replace(_SCRATCH, policy=_BARE)),
    "photos not augmented": dataclasses.replace(
        _ONE, photos=dataclasses.replace(_ONE.photos, policy=_BARE)
    ),
    "one view": dataclasses.replace(_ONE, mirror=False, shift=0),
    "three networks": SHIPPED["best"],
    "taught by three (base)": SHIPPED["base"],
    "ConvNN_1, no twin": Model(photos=_PAPERS),
    "ConvNN_1, no twin, not augmented": Model(photos=dataclasses.replace(_PAPERS, policy=_BARE)),
}

_ALL = tuple((name, method.usual) for name, method in METHODS.items())


def _with_methods(*parts: tuple[str, float]) -> Model:
    return Model(photos=dataclasses.replace(_PAPERS, n_epochs=100, policy=Chain(parts)))


TABLE_1: dict[str, Model] = {
    # The nine methods of the paper's Table 1 on the paper's ConvNN_1 (logit head): none, all, each
    # alone, all but one.
    "none": _with_methods(),
    "all": _with_methods(*_ALL),
    **{f"only {part[0]}": _with_methods(part) for part in _ALL},
    **{
        f"without {name}": _with_methods(*(part for part in _ALL if part[0] != name))
        for name, _ in _ALL
    },
}


def rows_for(models: dict[str, Model], profile: str) -> dict[str, Model]:
    """Return the rows that a profile runs: all in `full`, else the first three."""
    return models if profile == "full" else dict(list(models.items())[:3])
