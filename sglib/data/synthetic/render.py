"""Draws the synthetic photographs: ray-cast ellipsoid heads before a room, in batches of numpy."""

import numpy as np

from sglib.data.faces import HEIGHT, WIDTH
from sglib.data.synthetic.people import Table, Takes

UVW = tuple[np.ndarray, np.ndarray, np.ndarray]  # places on the head, each (B, 30, 32)

POSES = ("straight", "left", "right", "up")
EXPRESSIONS = ("neutral", "happy", "sad", "angry")

# Coordinates: x to the right, y down, z towards the camera, pixels; u, v, w are the same axes
# turned with the head and divided by its half-axes, so that (0, 0, 1) is the middle of the face.
_Y, _X = (a.astype(np.float32) for a in np.mgrid[:HEIGHT, :WIDTH])


def _unit(value: np.ndarray) -> np.ndarray:
    return np.clip(value, 0.0, 1.0)


def _col(value: np.ndarray) -> np.ndarray:
    """Return one value per photograph as float32 (B, 1, 1)."""
    return np.asarray(value, dtype=np.float32)[:, None, None]


def _blend(canvas: np.ndarray, tone: np.ndarray, alpha: np.ndarray) -> None:
    """Paint `tone` over `canvas` in place; all broadcast to (B, 30, 32)."""
    canvas += (tone - canvas) * alpha


def _spot(u: np.ndarray, v: np.ndarray, size_u: np.ndarray, size_v: np.ndarray) -> np.ndarray:
    """Return a soft spot, 1 in the middle and 0 from the ellipse on (polynomial: no exp)."""
    d = u / size_u
    d *= d
    e = v / size_v
    e *= e
    d += e
    return np.square(_unit(1 - d), out=d)


def _rotation(roll: np.ndarray, yaw: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Return head-to-picture rotations (B, 3, 3) from degrees; yaw turns right, pitch up."""
    (cr, sr), (cy, sy), (cp, sp) = ((np.cos(a), np.sin(a)) for a in np.radians([roll, yaw, pitch]))
    o, i = np.zeros_like(cr), np.ones_like(cr)
    r_roll = np.array([[cr, -sr, o], [sr, cr, o], [o, o, i]]).transpose(2, 0, 1)
    r_yaw = np.array([[cy, o, sy], [o, i, o], [-sy, o, cy]]).transpose(2, 0, 1)
    r_pitch = np.array([[i, o, o], [o, cp, -sp], [o, sp, cp]]).transpose(2, 0, 1)
    return r_roll @ r_yaw @ r_pitch


def _project(turn: np.ndarray, x: float, y: np.ndarray, z: np.ndarray) -> list[np.ndarray]:
    """Return the picture's x and y, each (B, 1, 1), of a point given in the head's pixels."""
    return [_col(turn[:, k, 0] * x + turn[:, k, 1] * y + turn[:, k, 2] * z) for k in (0, 1)]


def _ellipsoid(
    x: np.ndarray, y: np.ndarray, axes: np.ndarray, turn: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Look along z at ellipsoids with half-axes (B, 3): coverage and u, v, w (B, 30, 32)."""
    m = np.einsum("bik,bk,bjk->bij", turn, axes**-2.0, turn)
    b = _col(m[:, 0, 2]) * x + _col(m[:, 1, 2]) * y
    q = x * (_col(m[:, 0, 0]) * x + _col(2 * m[:, 0, 1]) * y) + _col(m[:, 1, 1]) * y * y
    m22 = _col(m[:, 2, 2])
    silhouette = q - b * b / m22  # 1 on the outline
    cover = _unit(0.5 + (1 - np.sqrt(np.maximum(silhouette, 0))) * _col(axes.mean(1)))
    z = (np.sqrt(np.maximum((1 - silhouette) * m22, 0)) - b) / m22
    back = turn / axes[:, None, :]  # (u, v, w) = turnᵀ (x, y, z) / axes
    u, v, w = (
        _col(back[:, 0, k]) * x + _col(back[:, 1, k]) * y + _col(back[:, 2, k]) * z
        for k in range(3)
    )
    return cover, u, v, w


def _hair_edge(p: Table, u: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return the v above which the head is covered with hair, from the forehead to the nape."""
    line, sideburn, nape = _col(p["hairline"]), _col(p["sideburn"]), _col(p["nape"])
    edge = line + _col(p["parting"]) * u
    edge += (sideburn - line) * _unit((0.4 - w) * 3.6)
    edge += (nape - sideburn) * _unit((-0.05 - w) * 4)
    return edge


def draw_photos(
    takes: Takes, *, pose: np.ndarray, expression: np.ndarray, sunglasses: np.ndarray
) -> np.ndarray:
    """Draw one batch of photographs, uint8 (B, 30, 32).

    Args:
        takes: who is photographed where, and the draws that make each take unlike the others.
        pose: int (B,), index into POSES.
        expression: int (B,), index into EXPRESSIONS.
        sunglasses: bool (B,).
    """
    p, rooms, noise = takes.looks, takes.rooms, takes.noise
    take = iter(takes.draws.T)
    swing = [(next(take) + next(take) - 1) for _ in range(6)]  # triangular in (-1, 1)
    is_up, side = pose == 3, (pose == 2).astype(float) - (pose == 1)
    yaw = side * p["yaw"] + swing[0] * 7
    pitch = np.where(is_up, p["pitch"], -p["stoop"] * (1 + 0.6 * np.abs(side))) + swing[1] * 5
    turn = _rotation(swing[2] * 4 + side * 2, yaw, pitch)
    head_x = p["x"] + swing[3] * 0.8 + side * 1.3
    head_y = p["y"] + swing[4] * 0.6 - 0.8 * is_up
    axes = np.stack([p["half_width"], p["half_height"], p["half_depth"]], 1)
    axes = axes * (1 + 0.03 * swing[5])[:, None]
    x, y = _X - _col(head_x), _Y - _col(head_y)
    n = len(pose)

    # The room, moved by whole pixels, and the body.
    shift_y, shift_x = (
        np.where(p["restless"], np.floor(3 * next(take)), 1).astype(int) for _ in "yx"
    )
    rows, cols = 2 + shift_y[:, None] + np.arange(HEIGHT), 4 + shift_x[:, None] + np.arange(WIDTH)
    canvas = rooms[np.arange(n)[:, None, None], rows[:, :, None], cols[:, None, :]]
    lamp = np.stack([p["light_x"] + 0.2 * (next(take) - 0.5), p["light_y"], np.full(n, 0.8)], 1)
    light = turn.transpose(0, 2, 1) @ lamp[:, :, None]  # seen from the head
    light /= np.linalg.norm(light, axis=1, keepdims=True)
    body_x = _col(p["x"] + 0.35 * swing[3] + 0.2 * side)
    body_y = _col(p["y"] + 0.3 * swing[4])
    _body(canvas, p, _X - body_x, _Y - body_y)

    # Hair behind the head.
    hair, density = _col(p["hair"]), _col(p["density"])
    shell_axes = axes + p["volume"][:, None] * np.array([1.0, 0.8, 0.8])
    back_x, back_y = _project(turn, 0, -0.45 * p["volume"] - 0.2, -0.75 * p["volume"] - 0.3)
    cover, u, v, w = _ellipsoid(x - back_x, y - back_y, shell_axes, turn)
    edge = _hair_edge(p, u, w)
    strands = 1 + 0.1 * noise + 0.5 * _unit(-v) * _unit(w + 0.4)
    _blend(canvas, hair * strands, cover * _unit((edge - v) * 5 + 0.5) * density)
    _long_hair(canvas, p, x, y, np.radians(yaw), hair * strands)

    # The head: skin in its light, then features, hair, and what sits on the nose.
    t = y / _col(axes[:, 1])
    boxy_y = y * (0.74 + 0.26 * np.minimum(t * t, 1.3))  # heads are boxier than ellipsoids
    cover, u, v, w = _ellipsoid(x, boxy_y, axes, turn)
    jaw_x, jaw_y = _project(turn, 0, 0.5 * axes[:, 1], 0.5 * axes[:, 2])
    jaw = ((x - jaw_x) / _col(0.62 * axes[:, 0] + 0.3)) ** 2
    jaw += ((y - jaw_y) / _col(0.5 * axes[:, 1] + 0.3)) ** 2
    cover = np.maximum(cover, _unit(0.5 + (1 - np.sqrt(jaw)) * 3))
    lit = u * _col(light[:, 0, 0]) + v * _col(light[:, 1, 0]) + w * _col(light[:, 2, 0])
    ambient = _col(p["ambient"])
    face = _col(p["skin"] * (1 - p["dimming"] * is_up)) * (
        ambient + (1.08 - ambient) * _unit(lit * 1.25)
    )
    nose_x, nose_y = _project(turn, 0, 0.2 * axes[:, 1], 0.92 * axes[:, 2])
    size = _col(p["nose"])
    nose = _spot(x - nose_x, y - nose_y, size * 1.3, size * 1.6)
    _blend(canvas, _col(p["skin"]) * 0.97, _unit(nose * 2.0))
    _features(face, p, (u, v, w), expression)
    edge = _hair_edge(p, u, w) + 0.05 * noise
    _blend(face, hair * strands, _unit((edge - v) * 4.5 + 0.5) * density)
    ear = _spot(w + 0.12, v - 0.05, 0.22, 0.26) * (np.abs(u) > 0.7) * _col(~p["long"])
    _blend(face, _col(p["skin"]) * 0.75, 0.8 * ear)
    _spectacles(face, p, (u, v, w), _col(p["spectacles"] & ~sunglasses))
    _sunglasses(face, p, (u, v, w), _col(sunglasses), _col(next(take)))
    _blend(canvas, face, cover)

    # The camera: exposure, contrast, noise, clipping.
    gain = _col(0.94 + 0.12 * next(take))
    edges = canvas[:, 1:-1, 1:-1] * 4 - canvas[:, :-2, 1:-1] - canvas[:, 2:, 1:-1]
    edges -= canvas[:, 1:-1, :-2] + canvas[:, 1:-1, 2:]
    canvas = canvas * gain + noise * (1.8 + 0.012 * canvas)
    canvas[:, 1:-1, 1:-1] += 0.12 * edges  # the camera sharpens
    return np.rint(np.clip(canvas, 0, 255)).astype(np.uint8)


def _body(canvas: np.ndarray, p: Table, x: np.ndarray, y: np.ndarray) -> None:
    """Paint shoulders, clothes and neck; x, y count from where the head usually is."""
    away = np.abs(x)
    below = y - _col(p["shoulder"])
    neck, girth = _col(p["neck"]), _col(p["girth"])
    fall = _col(p["slope"]) * np.maximum(away - neck, 0) + 7.5 * _unit((away - girth + 3) / 3) ** 2
    cover = _unit(below - fall + 0.5) * _unit(girth + 0.25 * below - away + 0.5)
    size = _col(p["pattern_size"])
    odd_x, odd_y = np.floor(x / size) % 2, np.floor(below / size) % 2
    kind = _col(p["pattern"])
    figure = np.where(kind == 2, 0.5 * (odd_x + odd_y), np.where(kind == 3, odd_x, 0))
    figure = np.where(kind == 4, below > 5.5, figure)
    cloth = _unit((_col(p["cloth"]) + _col(p["pattern_tone"]) * figure) / 255) * 255
    cloth = cloth * (0.8 + 0.2 * _unit(1.2 - away / 14))
    _blend(canvas, cloth, cover)
    vee = _unit(neck + 0.6 - np.maximum(below, 0) * _col(2.4 / (0.5 + p["collar"])) - away + 0.5)
    skin = _col(p["skin"] * 0.84) * (1 - 0.3 * _unit((away - neck + 1.5) / 2))
    _blend(canvas, skin, vee * (y > 0))


def _long_hair(
    canvas: np.ndarray, p: Table, x: np.ndarray, y: np.ndarray, yaw: np.ndarray, tone: np.ndarray
) -> None:
    """Let long hair fall round the neck like a curtain on a cylinder, open towards the face."""
    sin, cos = np.sin(yaw), np.cos(yaw)
    radius = np.hypot(p["half_width"] * cos, p["half_depth"] * sin) + 0.75 * p["volume"]
    sine = np.clip((x + _col(1.2 * sin)) / _col(radius), -1, 1)
    front = np.sqrt(1 - sine * sine)  # cosine of the angle from the camera
    facing = sine * _col(sin) + front * _col(cos)  # cosine of the angle from the face
    alpha = _unit((_col(np.cos(p["hair_gap"])) - facing) * 4 + 0.5)
    alpha = alpha * (np.abs(sine) < 1) * _unit(y + 1.5) * _unit(_col(p["hair_end"]) - y)
    _blend(canvas, tone, alpha * _col(p["long"]))


def _features(face: np.ndarray, p: Table, at: UVW, expression: np.ndarray) -> None:
    """Paint eyes, brows, nose, mouth and beard on the skin `face` (B, 30, 32) in place."""
    u, v, w = at
    happy, sad, angry = (_col(expression == k) for k in (1, 2, 3))
    front = _unit(w * 4 - 0.4)
    au = np.abs(u)
    eye_u, eye_v = au - _col(p["eye_u"]), v - _col(p["eye_v"])
    dark = _col(p["socket"]) * _spot(eye_u, eye_v + 0.02, 0.36, 0.3)
    dark += _col(p["eye"]) * _spot(eye_u, eye_v, 0.22, 0.13 - 0.025 * (happy + angry))
    tilt = (0.35 * angry - 0.3 * sad) * eye_u
    dark += _col(p["brow"]) * _spot(eye_u, eye_v + 0.21 - 0.05 * angry - tilt, 0.34, 0.1)
    dark += 0.35 * _spot(au - 0.16, v - 0.36, 0.2, 0.12)  # nostrils
    dark += 0.2 * _spot(u - 0.14, v - 0.16, 0.12, 0.3)  # one side of the nose
    lip = v - 0.6 + (0.22 * happy - 0.2 * sad) * au
    dark += 0.42 * _spot(u, lip, 0.36 + 0.12 * happy, 0.1)
    dark += _col(p["cheek"]) * _spot(au - 0.62, v - 0.3, 0.3, 0.45)
    dark += 0.15 * _spot(u, v - 0.76, 0.3, 0.1)
    face *= 1 - _unit(dark) * front
    _blend(face, 235, 0.6 * happy * _spot(u, lip + 0.01, 0.3, 0.07) * front)
    beard = _unit((v - 0.28 - 0.15 * _unit(0.5 - au)) * 5) * _unit(w * 3 + 0.4)
    beard *= 1 - 0.55 * _spot(u, v - 0.6, 0.26, 0.12)  # the mouth
    beard = np.maximum(beard, _spot(u, v - 0.47, 0.5, 0.12) * front)  # the moustache
    _blend(face, _col(p["hair"] + 8), _unit(beard) * _col(p["beard"]))


def _lens(
    p: Table, u: np.ndarray, v: np.ndarray, low: np.ndarray, size_u: np.ndarray, size_v: np.ndarray
) -> np.ndarray:
    """Return the distance from a lens's middle: 1 on its rim (a rounded box)."""
    a = (np.abs(u) - _col(p["eye_u"])) / size_u
    b = (v - _col(p["eye_v"]) - low) / size_v
    a *= a
    b *= b
    return np.sqrt(np.sqrt(a * a + b * b))


def _spectacles(face: np.ndarray, p: Table, at: UVW, on: np.ndarray) -> None:
    """Paint clear glasses: a thin rim, a bridge, arms to the ears, and a faint reflection."""
    u, v, w = at
    if not on.any():
        return
    rim = _lens(p, u, v, 0.04, np.float32(0.34), np.float32(0.24))
    line = _unit(1 - np.abs(rim - 1) * 3.5)
    line = np.maximum(line, _spot(u, v - _col(p["eye_v"]), 0.16, 0.09)) * (w > 0.1)
    arm = _unit(1 - np.abs(v - _col(p["eye_v"]) + 0.05) * 12) * (w < 0.62) * (w > -0.1)
    face *= 1 - on * _col(p["frame"]) * np.maximum(line, arm)
    _blend(face, 215, on * 0.35 * _col(p["gloss"]) * (rim < 0.8) * (w > 0.1))


def _sunglasses(face: np.ndarray, p: Table, at: UVW, on: np.ndarray, glint: np.ndarray) -> None:
    """Paint sunglasses: two dark lenses on the eyes, a bridge and arms to the ears."""
    u, v, w = at
    low = _col(p["slip"])
    size_u, size_v = _col(p["lens_u"]), _col(p["lens_v"])
    rim = _lens(p, u, v, low, size_u, size_v)
    dark = _unit((1.08 - rim) * 4) * (w > 0)
    line = v - _col(p["eye_v"]) - low + 0.45 * size_v
    dark = np.maximum(dark, _spot(u, line, 0.25, 0.14) * (w > 0))
    arm = _unit(1.2 - np.abs(line) * 10) * (w < 0.62) * (w > -0.1)
    _blend(face, _col(p["lens_tone"]), on * np.maximum(dark, 0.85 * arm))
    shine = _spot(np.abs(u) - _col(p["eye_u"]) - 0.1, line - 0.06, 0.2, 0.14) * glint * glint
    _blend(face, 230, on * 0.8 * _col(p["gloss"]) * shine * (w > 0))
