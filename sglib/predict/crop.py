"""Finding the face in a photograph and framing head and shoulders as in the course set.

OpenCV 4's cascades do the finding; they ship inside its wheel (extra `[faces]`). They are made for
upright faces that look at the camera or to the side, find about 19 of 20 of the former, and also
"find" faces in foliage and clouds: what they found, and how sure they are, is part of the status.

Source: Viola & Jones 2001 (CVPR).
"""

import dataclasses
from typing import Any

import numpy as np

from sglib import SglibError
from sglib.data.faces import HEIGHT, WIDTH
from sglib.predict import pictures as images

# Median of the boxes that the frontal cascade finds in the course set's training images.
FACE_WIDTH = 0.40  # of the frame's width
FACE_CENTRE = (0.49, 0.49)  # across and down, of the frame's width and height

_DETECT_SIDE = 640  # the longer side is brought down to this for the search
_MIN_HEIGHT = 240  # and the height up to this
_SMALLEST = 0.1  # face, of the shorter side
_NEIGHBOURS = 4  # overlapping finds that make a face


@dataclasses.dataclass(frozen=True)
class Face:
    """A face that was found.

    Args:
        left, top, width: of its square box, in pixels of the picture.
        score: the cascade's, in its own unit; higher is surer.
        sure: whether the score is one that real faces usually have.
        n_found: faces in the picture.
        profile: whether it was found by the cascade for faces from the side.
    """

    left: float
    top: float
    width: float
    score: float
    sure: bool
    n_found: int
    profile: bool


class FaceCropper:
    """Reads pictures and cuts the face out of them.

    Raises:
        SglibError: OpenCV is not installed, or is one without cascades.
    """

    def __init__(self) -> None:
        try:
            import cv2
        except ImportError as error:
            raise SglibError("--crop auto needs OpenCV 4: pip install 'sglib[faces]'") from error
        if not hasattr(cv2, "CascadeClassifier"):
            raise SglibError(
                f"OpenCV {cv2.__version__} has no cascades: pip install 'sglib[faces]'"
            )
        cv2.setNumThreads(1)  # several of these run at the same time already
        self._cv2 = cv2
        # cascade, score below which a find is not taken for a face, score of a usual face
        self._frontal = (_cascade(cv2, "haarcascade_frontalface_default"), 1.0, 2.5)
        self._profile = (_cascade(cv2, "haarcascade_profileface"), 0.5, 1.0)

    def read(self, data: bytes) -> tuple[np.ndarray, str]:
        """Return the framed face of a picture file's content, uint8 (30, 32), and a status.

        Raises:
            PictureError: the picture cannot be read, or has no face.
        """
        gray, size = images.decode(data, min_side=2 * _DETECT_SIDE)
        face = self.find(gray)
        if face is None:
            raise images.PictureError("no face found")
        return images.fit(frame(gray, face)), images.status_of(size, describe(face))

    def find(self, gray: np.ndarray) -> Face | None:
        """Return the surest face, or None.

        Args:
            gray: uint8 (H, W), upright.
        """
        height, width = gray.shape
        scale = min(1.0, _DETECT_SIDE / max(height, width))
        if height * scale < _MIN_HEIGHT:
            scale = min(_MIN_HEIGHT / height, _DETECT_SIDE / width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        how = self._cv2.INTER_AREA if scale < 1 else self._cv2.INTER_CUBIC
        small = gray if scale == 1 else self._cv2.resize(gray, size, interpolation=how)
        return (
            self._search(small, scale, self._frontal, profile=False)
            or self._search(small, scale, self._profile, profile=True)
            or self._search(small, scale, self._profile, profile=True, mirrored=True)
        )

    def _search(
        self,
        small: np.ndarray,
        scale: float,
        cascade: tuple[Any, float, float],
        *,
        profile: bool,
        mirrored: bool = False,
    ) -> Face | None:
        detector, least, usual = cascade
        side = round(_SMALLEST * min(small.shape))
        boxes, _, scores = detector.detectMultiScale3(
            np.ascontiguousarray(small[:, ::-1]) if mirrored else small,
            scaleFactor=1.1,
            minNeighbors=_NEIGHBOURS,
            minSize=(side, side),
            outputRejectLevels=True,
        )
        found = [(float(s), box) for s, box in zip(scores, boxes, strict=True) if s >= least]
        if not found:
            return None
        score, (left, top, width, _) = max(found, key=lambda one: one[0])
        if mirrored:
            left = small.shape[1] - left - width
        return Face(
            left=float(left) / scale,
            top=float(top) / scale,
            width=float(width) / scale,
            score=score,
            sure=score >= usual,
            n_found=len(found),
            profile=profile,
        )


def frame(gray: np.ndarray, face: Face) -> np.ndarray:
    """Cut head and shoulders out of a picture, in the proportions of the course set.

    Where the frame reaches over the picture's border, the border is repeated.

    Args:
        gray: uint8 (H, W).
        face: in its pixels.

    Returns:
        uint8 (H', W') with H' / W' = 30 / 32 up to rounding.
    """
    width = face.width / FACE_WIDTH
    height = width * HEIGHT / WIDTH
    left = round(face.left + face.width / 2 - FACE_CENTRE[0] * width)
    top = round(face.top + face.width / 2 - FACE_CENTRE[1] * height)
    rows = np.clip(np.arange(top, top + max(1, round(height))), 0, gray.shape[0] - 1)
    columns = np.clip(np.arange(left, left + max(1, round(width))), 0, gray.shape[1] - 1)
    return gray[np.ix_(rows, columns)]


def describe(face: Face) -> str:
    """Return what a status says about a face."""
    kind = "face from the side" if face.profile else "face"
    sure = "" if face.sure else "low confidence: "
    many = f", surest of {face.n_found}" if face.n_found > 1 else ""
    return f"{sure}{kind} {face.width:.0f} pixels wide, score {face.score:.1f}{many}"


def _cascade(cv2: Any, name: str) -> Any:
    cascade = cv2.CascadeClassifier(f"{cv2.data.haarcascades}{name}.xml")
    if cascade.empty():
        raise SglibError(f"OpenCV {cv2.__version__} lacks {name}: pip install 'sglib[faces]'")
    return cascade
