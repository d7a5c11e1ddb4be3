"""Draws the synthetic photographs: ray-cast ellipsoid heads before a room, in batches of numpy."""

from types import SimpleNamespace

import numpy as np

from sglib.data.faces import HEIGHT, WIDTH
from sglib.data.synthetic.people import Looks, Takes

# Coordinates: x to the right, y down, z towards the camera, pixels; u, v, w are the same axes
# turned with the head and divided by its half-axes, so that (0, 0, 1) is the middle of the face.
_Y, _X = (a.astype(np.float32) for a in np.mgrid[:HEIGHT, :WIDTH])

Array = np.ndarray  # (B, 30, 32) unless said otherwise
UVW = tuple[Array, Array, Array]  # places on the head


def _unit(value: Array) -> Array:
    return np.clip(value, 0.0, 1.0)


def _col(value: Array) -> Array:
    """Return one value per photograph as float32 (B, 1, 1)."""
    return np.asarray(value, dtype=np.float32)[:, None, None]


def _blend(canvas: Array, tone: Array, alpha: Array) -> None:
    """Paint `tone` over `canvas` in place; all broadcast to (B, 30, 32)."""
    canvas += (tone - canvas) * alpha


def _spot(u: Array, v: Array, size_u: Array, size_v: Array) -> Array:
    """Return a soft spot, 1 in the middle and 0 from the ellipse on (polynomial: no exp)."""
    return np.square(_unit(1 - (np.square(u / size_u) + np.square(v / size_v))))


def _rotation(roll: Array, yaw: Array, pitch: Array) -> Array:
    """Return head-to-picture rotations (B, 3, 3) from degrees; yaw turns right, pitch up."""
    (cr, sr), (cy, sy), (cp, sp) = ((np.cos(a), np.sin(a)) for a in np.radians([roll, yaw, pitch]))
    o, i = np.zeros_like(cr), np.ones_like(cr)
    r_roll = np.array([[cr, -sr, o], [sr, cr, o], [o, o, i]]).transpose(2, 0, 1)
    r_yaw = np.array([[cy, o, sy], [o, i, o], [-sy, o, cy]]).transpose(2, 0, 1)
    r_pitch = np.array([[i, o, o], [o, cp, -sp], [o, sp, cp]]).transpose(2, 0, 1)
    return r_roll @ r_yaw @ r_pitch


def _project(turn: Array, x: float, y: Array, z: Array) -> list[Array]:
    """Return the picture's x and y, each (B, 1, 1), of a point given in the head's pixels."""
    return [_col(turn[:, k, 0] * x + turn[:, k, 1] * y + turn[:, k, 2] * z) for k in (0, 1)]


def _ellipsoid(x: Array, y: Array, axes: Array, turn: Array) -> tuple[Array, Array, Array, Array]:
    """Look along z at ellipsoids with half-axes (B, 3): coverage and u, v, w."""
    m = np.einsum("bik,bk,bjk->bij", turn, axes**-2.0, turn)
    b = _col(m[:, 0, 2]) * x + _col(m[:, 1, 2]) * y
    q = x * (_col(m[:, 0, 0]) * x + _col(2 * m[:, 0, 1]) * y) + _col(m[:, 1, 1]) * y * y
    m22 = _col(m[:, 2, 2])
    silhouette = q - b * b / m22  # 1 on the outline
    cover = _unit(0.5 + (1 - np.sqrt(np.maximum(silhouette, 0))) * _col(axes.mean(1)))
    z = (np.sqrt(np.maximum((1 - silhouette) * m22, 0)) - b) / m22
    back = (turn / axes[:, None, :]).transpose(1, 2, 0)  # (u, v, w) = turnᵀ (x, y, z) / axes
    u, v, w = (_col(back[0, k]) * x + _col(back[1, k]) * y + _col(back[2, k]) * z for k in range(3))
    return cover, u, v, w


def _hair_edge(c: SimpleNamespace, u: Array, w: Array) -> Array:
    """Return the v above which the head is covered with hair, from the forehead to the nape."""
    edge = c.hairline + c.parting * u
    edge += (c.sideburn - c.hairline) * _unit((0.4 - w) * 3.6)
    edge += (c.nape - c.sideburn) * _unit((-0.05 - w) * 4)
    return edge


def draw_photos(takes: Takes) -> Array:
    """Draw one batch of photographs, uint8 (B, 30, 32)."""
    p, noise = takes.looks, takes.noise
    c = SimpleNamespace(**{name: np.float32(value) for name, value in p.items()})
    # Places in POSES and EXPRESSIONS.
    pose, expression, sunglasses = takes.combos // 8, takes.combos // 2 % 4, takes.combos % 2
    take = iter(takes.draws.T)
    swing = [(next(take) + next(take) - 1) for _ in range(6)]  # triangular in (-1, 1)
    is_up, side = pose == 3, (pose == 2).astype(float) - (pose == 1)
    yaw = side * p["yaw"] + swing[0] * 7
    pitch = np.where(is_up, p["pitch"], -p["stoop"] * (1 + 0.6 * np.abs(side))) + swing[1] * 5
    turn = _rotation(swing[2] * 4 + side * 2, yaw, pitch)
    x = _X - _col(p["x"] + swing[3] * 0.8 + side * 1.3)
    y = _Y - _col(p["y"] + swing[4] * 0.6 - 0.8 * is_up)
    axes = np.array([p["half_width"], p["half_height"], p["half_depth"]])
    axes = axes * (1 + 0.03 * swing[5])[:, None]  # (B, 3)

    # The room, moved by whole pixels, and the body.
    move = [np.where(p["restless"], np.floor(3 * next(take)), 1).astype(int) for _ in "yx"]
    rows, cols = 2 + move[0][:, None] + np.arange(HEIGHT), 4 + move[1][:, None] + np.arange(WIDTH)
    canvas = takes.room[rows[:, :, None], cols[:, None, :]]
    lamp = np.array([[p["light_x"] + 0.2 * (u - 0.5), p["light_y"], 0.8] for u in next(take)])
    light = turn.transpose(0, 2, 1) @ lamp[:, :, None]  # seen from the head
    light /= np.linalg.norm(light, axis=1, keepdims=True)
    body_x, body_y = p["x"] + 0.35 * swing[3] + 0.2 * side, p["y"] + 0.3 * swing[4]
    _body(canvas, c, p, _X - _col(body_x), _Y - _col(body_y))

    # Hair behind the head.
    shell_axes = axes + p["volume"] * np.array([1.0, 0.8, 0.8])
    back_x, back_y = _project(turn, 0, -0.45 * p["volume"] - 0.2, -0.75 * p["volume"] - 0.3)
    cover, u, v, w = _ellipsoid(x - back_x, y - back_y, shell_axes, turn)
    hair = c.hair * (1 + 0.1 * noise + 0.5 * _unit(-v) * _unit(w + 0.4))  # in strands
    _blend(canvas, hair, cover * _unit((_hair_edge(c, u, w) - v) * 5 + 0.5) * c.density)
    _long_hair(canvas, c, p, x, y, np.radians(yaw), hair)

    # The head: skin in its light, then features, hair, and what sits on the nose.
    t = y / _col(axes[:, 1])
    boxy_y = y * (0.74 + 0.26 * np.minimum(t * t, 1.3))  # heads are boxier than ellipsoids
    cover, u, v, w = _ellipsoid(x, boxy_y, axes, turn)
    jaw_x, jaw_y = _project(turn, 0, 0.5 * axes[:, 1], 0.5 * axes[:, 2])
    jaw = ((x - jaw_x) / _col(0.62 * axes[:, 0] + 0.3)) ** 2
    jaw += ((y - jaw_y) / _col(0.5 * axes[:, 1] + 0.3)) ** 2
    cover = np.maximum(cover, _unit(0.5 + (1 - np.sqrt(jaw)) * 3))
    lit = u * _col(light[:, 0, 0]) + v * _col(light[:, 1, 0]) + w * _col(light[:, 2, 0])
    shade = c.ambient + (1.08 - c.ambient) * _unit(lit * 1.25)
    face = _col(p["skin"] * (1 - p["dimming"] * is_up)) * shade
    nose_x, nose_y = _project(turn, 0, 0.2 * axes[:, 1], 0.92 * axes[:, 2])
    nose = _spot(x - nose_x, y - nose_y, c.nose * 1.3, c.nose * 1.6)
    _blend(canvas, c.skin * 0.97, _unit(nose * 2.0))
    _features(face, c, p, (u, v, w), expression)
    _blend(face, hair, _unit((_hair_edge(c, u, w) + 0.05 * noise - v) * 4.5 + 0.5) * c.density)
    ear = _spot(w + 0.12, v - 0.05, 0.22, 0.26) * (np.abs(u) > 0.7) * (1 - c.long)
    _blend(face, c.skin * 0.75, 0.8 * ear)
    _spectacles(face, c, (u, v, w), c.spectacles * _col(1 - sunglasses))
    _sunglasses(face, c, (u, v, w), _col(sunglasses), _col(next(take)))
    _blend(canvas, face, cover)

    # The camera: exposure, contrast, noise, clipping.
    gain = _col(0.94 + 0.12 * next(take))
    edges = canvas[:, 1:-1, 1:-1] * 4 - canvas[:, :-2, 1:-1] - canvas[:, 2:, 1:-1]
    edges -= canvas[:, 1:-1, :-2] + canvas[:, 1:-1, 2:]
    canvas = canvas * gain + noise * (1.8 + 0.012 * canvas)
    canvas[:, 1:-1, 1:-1] += 0.12 * edges  # the camera sharpens
    return np.rint(np.clip(canvas, 0, 255)).astype(np.uint8)


def _body(canvas: Array, c: SimpleNamespace, p: Looks, x: Array, y: Array) -> None:
    """Paint shoulders, clothes and neck; x, y count from where the head usually is."""
    away, below = np.abs(x), y - c.shoulder
    fall = c.slope * np.maximum(away - c.neck, 0) + 7.5 * _unit((away - c.girth + 3) / 3) ** 2
    cover = _unit(below - fall + 0.5) * _unit(c.girth + 0.25 * below - away + 0.5)
    odd_x, odd_y = np.floor(x / c.pattern_size) % 2, np.floor(below / c.pattern_size) % 2
    kinds = [c.pattern == 2, c.pattern == 3, c.pattern == 4]
    figure = np.select(kinds, [0.5 * (odd_x + odd_y), odd_x, below > 5.5], 0)
    cloth = _unit((c.cloth + c.pattern_tone * figure) / 255) * 255
    _blend(canvas, cloth * (0.8 + 0.2 * _unit(1.2 - away / 14)), cover)
    vee = c.neck + 0.6 - np.maximum(below, 0) * np.float32(2.4 / (0.5 + p["collar"])) - away + 0.5
    skin = np.float32(p["skin"] * 0.84) * (1 - 0.3 * _unit((away - c.neck + 1.5) / 2))
    _blend(canvas, skin, _unit(vee) * (y > 0))


def _long_hair(
    canvas: Array, c: SimpleNamespace, p: Looks, x: Array, y: Array, yaw: Array, tone: Array
) -> None:
    """Let long hair fall round the neck like a curtain on a cylinder, open towards the face."""
    sin, cos = np.sin(yaw), np.cos(yaw)
    radius = np.hypot(p["half_width"] * cos, p["half_depth"] * sin) + 0.75 * p["volume"]
    sine = np.clip((x + _col(1.2 * sin)) / _col(radius), -1, 1)
    front = np.sqrt(1 - sine * sine)  # cosine of the angle from the camera
    facing = sine * _col(sin) + front * _col(cos)  # cosine of the angle from the face
    alpha = _unit((np.float32(np.cos(p["hair_gap"])) - facing) * 4 + 0.5)
    alpha = alpha * (np.abs(sine) < 1) * _unit(y + 1.5) * _unit(c.hair_end - y)
    _blend(canvas, tone, alpha * c.long)


def _features(face: Array, c: SimpleNamespace, p: Looks, at: UVW, expression: Array) -> None:
    """Paint eyes, brows, nose, mouth and beard on the skin `face` in place."""
    u, v, w = at
    happy, sad, angry = (_col(expression == k) for k in (1, 2, 3))
    front, au = _unit(w * 4 - 0.4), np.abs(u)
    eye_u, eye_v = au - c.eye_u, v - c.eye_v
    dark = c.socket * _spot(eye_u, eye_v + 0.02, 0.36, 0.3)
    dark += c.eye * _spot(eye_u, eye_v, 0.22, 0.13 - 0.025 * (happy + angry))
    tilt = (0.35 * angry - 0.3 * sad) * eye_u
    dark += c.brow * _spot(eye_u, eye_v + 0.21 - 0.05 * angry - tilt, 0.34, 0.1)
    dark += 0.35 * _spot(au - 0.16, v - 0.36, 0.2, 0.12)  # nostrils
    dark += 0.2 * _spot(u - 0.14, v - 0.16, 0.12, 0.3)  # one side of the nose
    lip = v - 0.6 + (0.22 * happy - 0.2 * sad) * au
    dark += 0.42 * _spot(u, lip, 0.36 + 0.12 * happy, 0.1)
    dark += c.cheek * _spot(au - 0.62, v - 0.3, 0.3, 0.45)
    dark += 0.15 * _spot(u, v - 0.76, 0.3, 0.1)
    face *= 1 - _unit(dark) * front
    _blend(face, 235, 0.6 * happy * _spot(u, lip + 0.01, 0.3, 0.07) * front)
    beard = _unit((v - 0.28 - 0.15 * _unit(0.5 - au)) * 5) * _unit(w * 3 + 0.4)
    beard *= 1 - 0.55 * _spot(u, v - 0.6, 0.26, 0.12)  # the mouth
    beard = np.maximum(beard, _spot(u, v - 0.47, 0.5, 0.12) * front)  # the moustache
    _blend(face, np.float32(p["hair"] + 8), _unit(beard) * c.beard)


def _lens(
    c: SimpleNamespace, u: Array, v: Array, low: Array, size_u: Array, size_v: Array
) -> Array:
    """Return the distance from a lens's middle: 1 on its rim (a rounded box)."""
    a, b = np.square((np.abs(u) - c.eye_u) / size_u), np.square((v - c.eye_v - low) / size_v)
    return np.sqrt(np.sqrt(a * a + b * b))


def _spectacles(face: Array, c: SimpleNamespace, at: UVW, on: Array) -> None:
    """Paint clear glasses: a thin rim, a bridge, arms to the ears, and a faint reflection."""
    u, v, w = at
    rim = _lens(c, u, v, 0.04, np.float32(0.34), np.float32(0.24))
    line = np.maximum(_unit(1 - np.abs(rim - 1) * 3.5), _spot(u, v - c.eye_v, 0.16, 0.09))
    arm = _unit(1 - np.abs(v - c.eye_v + 0.05) * 12) * (w < 0.62) * (w > -0.1)
    face *= 1 - on * c.frame * np.maximum(line * (w > 0.1), arm)
    _blend(face, 215, on * 0.35 * c.gloss * (rim < 0.8) * (w > 0.1))


def _sunglasses(face: Array, c: SimpleNamespace, at: UVW, on: Array, glint: Array) -> None:
    """Paint sunglasses: two dark lenses on the eyes, a bridge and arms to the ears."""
    u, v, w = at
    rim = _lens(c, u, v, c.slip, c.lens_u, c.lens_v)
    line = v - c.eye_v - c.slip + 0.45 * c.lens_v
    dark = np.maximum(_unit((1.08 - rim) * 4), _spot(u, line, 0.25, 0.14)) * (w > 0)
    arm = _unit(1.2 - np.abs(line) * 10) * (w < 0.62) * (w > -0.1)
    _blend(face, c.lens_tone, on * np.maximum(dark, 0.85 * arm))
    shine = _spot(np.abs(u) - c.eye_u - 0.1, line - 0.06, 0.2, 0.14) * glint * glint
    _blend(face, 230, on * 0.8 * c.gloss * shine * (w > 0))
