"""Framing: is a picture framed like the training pictures, and where are the faces in it?

`likeness` measures the first, `FaceFinder` answers the second by YuNet, whose file ships with the
package and which OpenCV runs (extra `[faces]`). Their numbers come from `benchmarks/portraits.py`.

Source: Wu, Peng & Yu 2023, YuNet: a tiny millisecond-level face detector (Machine Intelligence
Research 20).
"""

import threading
from functools import cache
from pathlib import Path

import numpy as np

from sglib import SglibError
from sglib.predict.pictures import HEIGHT, WIDTH, PictureError, fit

RESOURCES = Path(__file__).parent / "resources"
# Of YuNet's boxes on the training photographs: the frame's height in box heights, its middle below
# the box's middle, and how far to the side it lies for a nose that is one box height off the eyes.
_HEIGHT, _BELOW, _ASIDE = 2.26, -0.05, -2.39
# YuNet's score of a sure face, of a face, and of what may be one: it must fill this share of the
# picture's height, and be framed like the training pictures.
_SURE, _FACE, _LEAST, _FILLS = 0.8, 0.6, 0.05, (0.5, 2.0)
# The likeness from which a picture without a find is itself a portrait: YuNet misses heads that
# are tilted back. Of the photographs of people left out, 99 in 100 are above.
_PORTRAIT = 1.0
_SMALL, _LARGE = 192, (384, 1024)  # longer sides at which faces are sought: of portraits, of groups
_BORDER = 96  # pixels around them, for heads that fill the picture


def edges(images: np.ndarray) -> np.ndarray:
    """Return where edges of which direction are, float32 (N, 192), whatever light and contrast.

    At half the size: cosine and sine of twice the gradient's angle, and 1, each weighted by the
    gradient's size relative to the picture's, averaged over squares of 2×2.

    Args:
        images: uint8 (N, 30, 32).
    """
    x = _halved(images.astype(np.float32))  # (N, 15, 16)
    x = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across, down = x[:, 1:-1, 2:] - x[:, 1:-1, :-2], x[:, 2:, 1:-1] - x[:, :-2, 1:-1]
    squares = across * across, down * down
    total = squares[0] + squares[1] + 1e-6
    size = np.sqrt(total)
    unit = 1 / (total + size * size.mean((1, 2), keepdims=True) / 2)
    maps = np.zeros((len(x), 3, 16, 16), np.float32)  # the last row stays empty
    maps[:, 0, :15] = (squares[0] - squares[1]) * unit
    maps[:, 1, :15] = 2 * across * down * unit
    maps[:, 2, :15] = total * unit
    return _halved(maps).reshape(len(x), 192)


def _halved(x: np.ndarray) -> np.ndarray:
    """Return the means of squares of 2×2, float32 (..., H/2, W/2)."""
    rows = x[..., ::2, :] + x[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4


@cache
def _discriminant() -> tuple[np.ndarray, float]:
    numbers = np.load(RESOURCES / "framing.npy", allow_pickle=False)
    return numbers[1:], float(numbers[0])


def likeness(images: np.ndarray) -> np.ndarray:
    """Return how much pictures, uint8 (N, 30, 32), are framed like the training ones, (N,).

    A linear discriminant between them and what is framed otherwise. Below 0 are 1 in 100 of
    distorted photographs of people it has not seen, and nearly all that shows no head and
    shoulders.
    """
    weights, limit = _discriminant()
    return edges(images) @ weights - limit


class FaceFinder:
    """Finds the faces in grey pictures and frames each like the training pictures.

    Raises:
        SglibError: OpenCV is not installed, or is too old.
    """

    def __init__(self) -> None:
        try:
            import cv2
        except ImportError as error:
            raise SglibError("--crop auto needs OpenCV: pip install '.[faces]'") from error
        if not hasattr(cv2, "FaceDetectorYN"):
            raise SglibError(f"--crop auto needs OpenCV 4.5.4 or newer, found {cv2.__version__}")
        cv2.setNumThreads(1)  # several pictures are searched side by side already
        self._cv2, self._own = cv2, threading.local()

    def __call__(self, gray: np.ndarray) -> list[tuple[np.ndarray, str]]:
        """Return each face's frame, and what there is to say about it, from left to right.

        Where none is found, a picture that is framed like the training pictures is taken whole.

        Args:
            gray: uint8 (H, W), upright.

        Raises:
            PictureError: there is no face.
        """
        faces = self.faces(gray)
        if not len(faces):
            if likeness(fit(gray)[None])[0] < _PORTRAIT:
                raise PictureError("no face found")
            return [(gray, "low confidence: no face found, taken whole for its framing")]
        seen = []
        for i, face in enumerate(sorted(faces, key=lambda face: face[0]), 1):
            left, top, width, height = face[:4].round().astype(int)
            which = f"face {i} of {len(faces)}" if len(faces) > 1 else "face"
            sure = "" if face[14] >= _SURE else "low confidence: "
            note = f"{sure}{which} {width}x{height} at {left} {top}, score {face[14]:.2f}"
            seen.append((frame(gray, face), note))
        return seen

    def faces(self, gray: np.ndarray) -> np.ndarray:
        """Return the faces (N, 15): box, five landmarks, score, as YuNet gives them, in pixels.

        Without one, the portrait-sized find that is framed most like the training pictures.
        """
        found = self._finds(gray)
        faces = [face for face in found if face[14] >= _FACE]
        low, high = (share * len(gray) for share in _FILLS)
        large = [face for face in found if low <= place(face)[3] <= high]
        if not faces and large:
            like = likeness(np.stack([fit(frame(gray, face)) for face in large]))
            faces = [large[like.argmax()]] if like.max() >= 0 else []
        return np.array(faces)

    def _finds(self, gray: np.ndarray) -> list[np.ndarray]:
        """Return all that YuNet takes for a face at either size, surest first, without doubles."""
        longer = max(gray.shape)
        finds = [self._search(gray, _SMALL), self._search(gray, int(np.clip(longer, *_LARGE)))]
        kept: list[np.ndarray] = []
        for face in sorted(np.concatenate(finds), key=lambda face: -face[14]):
            if all(_overlap(face, other) < 0.3 for other in kept):
                kept.append(face)
        return kept

    def _search(self, gray: np.ndarray, longer: int) -> np.ndarray:
        cv2, scale = self._cv2, longer / max(gray.shape)
        size = [max(1, round(side * scale)) for side in gray.shape[::-1]]
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.resize(gray, size, interpolation=how)
        padded = cv2.copyMakeBorder(small, *[_BORDER] * 4, cv2.BORDER_REPLICATE)
        if not hasattr(self._own, "detector"):  # one per thread
            model = str(RESOURCES / "face_detection_yunet_2023mar.onnx")
            self._own.detector = cv2.FaceDetectorYN.create(model, "", (0, 0), _LEAST, 0.3, 50)
        self._own.detector.setInputSize(padded.shape[::-1])
        _, faces = self._own.detector.detect(cv2.cvtColor(padded, cv2.COLOR_GRAY2BGR))
        faces = np.zeros((0, 15), np.float32) if faces is None else faces
        faces[:, [0, 1, *range(4, 14)]] -= _BORDER  # all but width and height
        faces[:, :14] /= scale
        return faces


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the boxes' common area as a part of the smaller one's."""
    low = np.maximum(one[:2], other[:2])
    high = np.minimum(one[:2] + one[2:4], other[:2] + other[2:4])
    common = np.prod(np.clip(high - low, 0, None))
    return float(common / max(min(one[2] * one[3], other[2] * other[3]), 1e-9))


def place(face: np.ndarray) -> tuple[float, float, float, float]:
    """Return a face's frame in the training pictures' proportions: left, top, width, height."""
    left, top, width, height = map(float, face[:4])
    turned = float(face[8] - (face[4] + face[6]) / 2)  # of the nose, right of between the eyes
    tall = _HEIGHT * height
    wide = tall * WIDTH / HEIGHT
    x, y = left + width / 2 + _ASIDE * turned, top + height / 2 + _BELOW * height
    return x - wide / 2, y - tall / 2, wide, tall


def frame(gray: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Cut head and shoulders out of a picture; over its border, the border is repeated.

    Args:
        gray: uint8 (H, W).
        face: as from `FaceFinder.faces`.

    Returns:
        uint8 (H', W') with H' / W' = 30 / 32 up to rounding.
    """
    left, top, wide, tall = place(face)
    rows = round(top) + np.arange(max(1, round(tall)))
    columns = round(left) + np.arange(max(1, round(wide)))
    return gray[np.ix_(rows.clip(0, len(gray) - 1), columns.clip(0, gray.shape[1] - 1))]
