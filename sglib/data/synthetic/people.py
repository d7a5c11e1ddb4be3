"""Who the synthetic people are: looks and rooms, drawn once per person from uniform draws."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sglib.data.faces import HEIGHT, WIDTH

N_COMBINATIONS = 32  # photographs of one person: 4 poses x 4 expressions x without and with
N_LOOK_DRAWS, N_ROOM_DRAWS = 52, 48  # uniform draws that make a person's look and room
N_TAKE_DRAWS = 20  # uniform draws that make one photograph of a person
_BLOCK = 6  # hair styles; each so many people spread evenly over every property
_PEOPLE, _ROOM, _BLOCKS = range(3)  # independent random streams of one seed
_ROOM_H, _ROOM_W = 36, 42  # the room is larger than the picture: the camera moves a little

Looks = dict[str, float]  # of one person, by the names in `_SPANS`


class Takes(NamedTuple):
    """Photographs to be taken of one person, B of them."""

    looks: Looks
    room: np.ndarray  # float32 (36, 42)
    combos: np.ndarray  # int64 (B,): 8 * pose + 2 * expression + sunglasses
    draws: np.ndarray  # float64 (B, N_TAKE_DRAWS) in [0, 1)
    noise: np.ndarray  # float32 (B, 30, 32), standard normal


def person_takes(seed: int, numbers: np.ndarray, counts: np.ndarray) -> Iterator[Takes]:
    """Yield `counts[k]` photographs of each person `numbers[k]`, in order, at most 32 at a time.

    A person's rows come from generators of the person's own (or of its block of six), so they
    do not depend on who else is drawn, nor on how many photographs are asked for.
    """
    room = _room(np.random.default_rng([seed, _ROOM]))
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        rng = np.random.default_rng([seed, _PEOPLE, number])
        looks = _looks((_places(seed, number) + rng.random(N_LOOK_DRAWS)) / _BLOCK)
        behind = _place_room(room, rng.random(N_ROOM_DRAWS))
        order = _order(rng, number)
        for left in range(count, 0, -N_COMBINATIONS):
            n = min(left, N_COMBINATIONS)
            draws = rng.random((N_COMBINATIONS, N_TAKE_DRAWS))[:n]
            noise = rng.standard_normal((n, HEIGHT, WIDTH), np.float32)
            yield Takes(looks, behind, order[:n], draws, noise)


def _places(seed: int, number: int) -> np.ndarray:
    """Return a person's place 0..5 within its block of six, property by property (L,).

    A Latin hypercube: every six people have each hair style once, two wear clear glasses, and
    no six are all pale or all in white.
    """
    rng = np.random.default_rng([seed, _BLOCKS, number // _BLOCK])
    places = rng.permuted(np.tile(np.arange(_BLOCK), (N_LOOK_DRAWS, 1)), axis=1)
    return places[:, number % _BLOCK]


def _order(rng: np.random.Generator, number: int) -> np.ndarray:
    """Return the 32 combinations shuffled, open and sunglasses in turn, int64 (32,)."""
    half = N_COMBINATIONS // 2
    order = np.stack([2 * rng.permutation(half), 2 * rng.permutation(half) + 1], axis=1)
    # Which of the two comes last, and so is lacking first, alternates between pairs of people.
    return (order if number // 2 % 2 == 0 else order[:, ::-1]).ravel()


# A property and the range of its draw, in the order of the draws. Lengths are pixels, tones 0 to
# 255, eye_u to slip shares of the head's half-axes, yaw (of left and right), pitch (of up) and
# stoop (of the others) degrees; `_looks` turns some of them into what is drawn.
_SPANS = """
style 0 6, spectacles 0 1, half_width 3.9 5.3, half_height 6.0 7.3, half_depth 5.0 6.2, x 14.0 16.8,
y 12.6 15.2, yaw 50 80, pitch 32 58, stoop -7 9, skin 190 252, hair 0 1, volume 0 1, hairline 0 1,
parting -0.22 0.22, sideburn -0.15 0.25, nape 0.15 0.6, hair_end 7.5 15.0, hair_gap 0.45 0.85,
beard 0.75 1.0, stubble 0 1, socket 0.05 0.58, eye 0.25 0.7, brow 0.12 0.65, eye_v -0.16 0.0,
eye_u 0.36 0.46, nose 0.9 1.4, cheek 0.0 0.3, lens_u 0.31 0.43, lens_v 0.19 0.29, lens_tone 2 30,
gloss 0 1, slip -0.05 0.12, frame 0.3 0.85, light_x -0.35 0.6, light_y -0.5 0.1, dimming 0.0 0.26,
ambient 0.38 0.66, cloth 0 1, pattern 0 5, pattern_tone -1 1, pattern_size 2.2 5.0,
shoulder 7.0 9.0, slope 0.34 0.66, girth 12.0 16.5, neck 2.5 3.4, restless 0 1, collar 0.0 1.8
"""


def _looks(draws: np.ndarray) -> Looks:
    """Turn uniform draws (N_LOOK_DRAWS,) into persistent looks, see `_SPANS`."""
    p: Looks = {}
    for span, u in zip(_SPANS.split(","), draws.tolist(), strict=False):
        name, low, high = span.split()
        p[name] = float(low) + (float(high) - float(low)) * u
    style = int(p["style"])
    fringe, long, bald, beard = (style == k for k in (2, 3, 4, 5))  # 0 is short, 1 thick
    tone, volume, line, cloth = p["hair"], p["volume"], p["hairline"], p["cloth"]
    p["hair"] = 3 + 34 * tone if tone < 5 / 6 else 85 + 500 * (tone - 5 / 6)
    base, slope = ((0.35, 0.6), (1.2, 0.8), (0.9, 1.2), (0.8, 0.8), (0.05, 0.1), (0.35, 0.6))[style]
    p["volume"] = base + slope * volume
    base, slope = (-0.9, 0.4) if bald else (-0.42, 0.22) if fringe else (-0.7, 0.26)
    p["hairline"] = base + slope * line
    p["density"] = 0.7 * line if bald else 1.0  # of hair: shaved heads show the skin
    p["parting"] *= 1.6 if fringe else 1.0
    p["sideburn"] = p["sideburn"] + 0.35 * beard - 0.3 * bald
    p["nape"] -= 0.2 * bald
    p["beard"] = p["beard"] if beard else 0.22 * max(p["stubble"] - 0.5, 0)
    p["gloss"] = p["gloss"] ** 3
    # A third of the clothes is dark, a third coloured, a third white; patterns: 0 and 1 plain,
    # 2 checks, 3 stripes, 4 a band over the chest.
    if cloth < 2 / 3:
        p["cloth"] = 120 * cloth if cloth < 1 / 3 else 360 * cloth - 40
    else:
        p["cloth"] = 225 + 90 * (cloth - 2 / 3)
    p["pattern"], p["pattern_tone"] = int(p["pattern"]), p["pattern_tone"] * 130
    # restless: the camera was moved between takes
    truths = {"long": long, "spectacles": p["spectacles"] < 1 / 3, "restless": p["restless"] < 0.25}
    return p | truths


def _room(rng: np.random.Generator) -> np.ndarray:
    """Return the room all photographs are taken in, float32 (36, 42): a wall and shelves."""
    y, x = np.mgrid[:_ROOM_H, :_ROOM_W]
    room = (49 + 0.4 * x - 0.25 * np.abs(y - 10) + 3 * np.sin(0.45 * x)).astype(np.float32)
    room[:, :15] -= 6
    room[12:, 24:] -= 8  # below a rail
    room[12, 24:] -= 12
    for top in range(8, _ROOM_H, 4):  # shelves with books, left of the person
        left = 0
        while left < 15:
            wide = int(rng.integers(1, 3))
            high = int(rng.integers(1, 4))
            tone = rng.choice([0, 6, 14, 70], p=[0.35, 0.2, 0.2, 0.25])
            room[top + 3 - high : top + 3, left : left + wide] = tone
            left += wide + int(rng.integers(0, 2))
    for _ in range(40):  # furniture, right of the person
        top, left = int(rng.integers(17, 34)), int(rng.integers(25, 41))
        room[top : top + rng.integers(1, 7), left : left + rng.integers(1, 4)] = rng.choice(
            [0, 8, 18, 30, 55], p=[0.2, 0.2, 0.2, 0.2, 0.2]
        )
    return room


def _place_room(room: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the room behind a person, float32 (36, 42): each sits a little elsewhere."""
    dy, dx = (int(u * 9) - 4 for u in draws[:2])
    rows = np.clip(np.arange(_ROOM_H) + dy, 0, _ROOM_H - 1)
    cols = np.clip(np.arange(_ROOM_W) + dx, 0, _ROOM_W - 1)
    behind = (room[rows[:, None], cols] * (0.8 + (1.3 - 0.8) * draws[2])).astype(np.float32)
    for a, b, h, w, tone in draws[4:44].reshape(8, 5):  # things; a bright one now and then
        top, left = 9 + int(a * 26), int(b * _ROOM_W)
        tone = 220 if tone > 0.97 else tone * 80 if tone > 0.5 else 12 * tone
        behind[top : top + 1 + int(h * 3), left : left + 1 + int(w * 3)] = tone
    return behind
