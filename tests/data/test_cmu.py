"""`sglib.data.cmu`: the originals in every layout, and who of them is in the training set."""

import hashlib
import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sglib import SglibError
from sglib.data import cmu, course, load_data
from sglib.data.faces import FaceSet
from sglib.data.synthetic import render_faces

WORDS = {"straight": "forward", "open": "eyes"}  # as the npz says it
PEOPLE = {"s01": "an2i", "s02": "bpm", "s03": "tammo", "s04": "at33", "s05": "phoebe"}


@pytest.fixture(scope="module")
def stand_in() -> FaceSet:
    """Return 5 synthetic people under names like the originals', 155 or so photographs."""
    faces = render_faces(n_subjects=5)
    return FaceSet(
        "stand-in",
        faces.images,
        faces.ids,
        faces.labels,
        np.array([PEOPLE[name] for name in faces.subjects]),
        faces.pose,
        faces.expression,
    )


@pytest.fixture(scope="module")
def train(stand_in) -> FaceSet:
    """Return the photographs of three of the people as the course set has them, as JPEG."""

    def jpeg(image):
        with io.BytesIO() as file:
            Image.fromarray(image).save(file, "JPEG")
            return np.asarray(Image.open(file))

    part = stand_in.subset(np.isin(stand_in.subjects, ["an2i", "bpm", "tammo"]))
    rows = np.random.default_rng(0).permutation(len(part))
    return FaceSet(
        "course-train",
        np.stack([jpeg(image) for image in part.images[rows]]),
        np.arange(len(rows)).astype(str),
        part.labels[rows],
        np.array(["x" + name[:2] for name in part.subjects[rows]]),
    )


def pgm(image: np.ndarray, factor: int = 1) -> bytes:
    with io.BytesIO() as file:
        Image.fromarray(image.repeat(factor, 0).repeat(factor, 1)).save(file, "PPM")
        return file.getvalue()


def uci(faces: FaceSet, *factors: int) -> dict[str, bytes]:
    """Return the files of UCI's layout; factor 1 is quarter size."""
    files = {"faces/README": b"read me", "faces/an2i/list.txt": b"an2i_up_sad_open_4.pgm"}
    for row in range(len(faces)):
        person, pose, mood = (a[row] for a in (faces.subjects, faces.pose, faces.expression))
        name = f"faces/{person}/{person}_{pose}_{mood}_{('open', 'sunglasses')[faces.labels[row]]}"
        for factor in factors:
            size = {1: "_4", 2: "_2", 4: ""}[factor]
            files[f"{name}{size}.pgm"] = pgm(faces.images[row], factor)
    return files


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tar_gz(files: dict[str, bytes]) -> bytes:
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return stream.getvalue()


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def labels_of(faces: FaceSet) -> list[str]:
    parts = (faces.subjects, faces.pose, faces.expression, np.array(["open", "sunglasses"]))
    rows = zip(*parts[:3], parts[3][faces.labels], strict=True)
    return [
        "_".join(WORDS.get(word, word) for word in row).replace("an2i", "quinn") for row in rows
    ]


def write_npz(path: Path, faces: FaceSet, labels: np.ndarray, monkeypatch) -> Path:
    """Write conx-data's layout and let it be the known file."""
    np.savez(path, data=(faces.images / 255).astype(np.float32), labels=labels)
    monkeypatch.setattr(cmu, "NPZ_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


@pytest.fixture
def write(tmp_path, stand_in, monkeypatch):
    """Return a function that writes the stand-in in a layout and returns its path."""

    def write(layout: str) -> Path:
        files = uci(stand_in, 1)
        if layout == "folder":
            return write_folder(tmp_path / "cmu", files)
        if layout == "folder of an archive":
            return write_folder(tmp_path / "cmu", {"down/faces.tar.gz": tar_gz(files)})
        if layout == "zip":
            return write_zip(tmp_path / "cmu.zip", files)
        if layout == "tar.gz":
            (tmp_path / "cmu.tar.gz").write_bytes(tar_gz(files))
            return tmp_path / "cmu.tar.gz"
        if layout == "zip of tar.gz":
            inner = {"faces_4.tar.gz": tar_gz(files), "faces.tar.gz": tar_gz(uci(stand_in, 2, 4))}
            return write_zip(tmp_path / "cmu+face+images.zip", inner)
        if layout == "half size":
            return write_zip(tmp_path / "cmu.zip", uci(stand_in, 2))
        if layout == "full size":
            return write_zip(tmp_path / "cmu.zip", uci(stand_in, 4))
        labels = np.array(labels_of(stand_in), object)
        return write_npz(tmp_path / "cmu_quarter.npz", stand_in, labels, monkeypatch)

    return write


LAYOUTS = ["folder", "folder of an archive", "zip", "tar.gz", "zip of tar.gz", "half size"]
LAYOUTS += ["full size", "npz"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_set(layout, write, stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path / "checkout"))
    assert cmu.fetch_cmu(write(layout)) == cmu.cmu_path()
    faces = cmu.load_cmu()
    assert faces.name == "cmu"
    assert len(faces) == len(stand_in)
    assert sorted(set(faces.subjects)) == ["c01", "c02", "c03", "c04", "c05"]
    known = {
        image.tobytes(): (pose, mood, label)
        for image, pose, mood, label in zip(
            stand_in.images, stand_in.pose, stand_in.expression, stand_in.labels, strict=True
        )
    }
    for row, image in enumerate(faces.images):
        assert known[image.tobytes()] == (faces.pose[row], faces.expression[row], faces.labels[row])
        eyes = ("open", "sunglasses")[faces.labels[row]]
        where = (faces.subjects[row], faces.pose[row], faces.expression[row], eyes)
        assert faces.ids[row] == "_".join(where)
    reference = write_zip(tmp_path / "reference.zip", uci(stand_in, 1))
    assert faces.digest == cmu.read_originals(str(reference)).digest


def test_an_address_is_read_and_the_default_is_uci(write, tmp_path, monkeypatch):
    data, asked = write("zip of tar.gz").read_bytes(), []
    monkeypatch.setattr(course, "download", lambda url: asked.append(url) or data)
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    cmu.fetch_cmu()
    assert asked == ["https://archive.ics.uci.edu/static/public/124/cmu+face+images.zip"]
    cmu.fetch_cmu()
    assert len(asked) == 1
    cmu.fetch_cmu("https://example.org/faces.zip?token=1")
    assert len(asked) == 2


def test_reduction_is_the_mean_of_squares(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (60, 64), dtype=np.uint8)
    path = write_zip(tmp_path / "a.zip", {"p/p_up_sad_open_2.pgm": pgm(image)})
    small = np.asarray(Image.fromarray(image).resize((32, 30), Image.Resampling.BOX))
    assert np.abs(cmu.read_originals(str(path)).images[0].astype(int) - small).max() <= 1
    both = {"p/p_up_sad_open_2.pgm": pgm(image), "p/p_up_sad_open_4.pgm": pgm(small // 2)}
    smallest = cmu.read_originals(str(write_zip(tmp_path / "b.zip", both))).images[0]
    assert np.array_equal(smallest, small // 2)


@pytest.mark.parametrize("ending", [".bad", ".pgm.bad"])
def test_bad_ones_are_left_out_in_every_size(stand_in, tmp_path, caplog, ending):
    files = uci(stand_in, 1, 2)
    name = sorted(name for name in files if name.endswith("_4.pgm"))[7]
    files[name.replace(".pgm", ending)] = files.pop(name)
    with caplog.at_level("INFO", logger="sglib"):
        faces = cmu.read_originals(str(write_folder(tmp_path / "cmu", files)))
    assert len(faces) == len(stand_in) - 1
    assert f"{len(faces)} photographs of 5 people; 1 marked bad are left out" in caplog.text


def test_what_is_no_photograph_of_this_kind_is_passed_over(stand_in, tmp_path):
    files = uci(stand_in, 1)
    more = {
        "faces/an2i/an2i_left_bored_open_4.pgm": b"",
        "__MACOSX/faces/._an2i_up_sad_open.pgm": b"",
    }
    faces = cmu.read_originals(str(write_zip(tmp_path / "cmu.zip", files | more)))
    assert len(faces) == len(stand_in)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x_up_sad_open_4.pgm", b"P5 32 30 255\n short", "x_up_sad_open_4.pgm is not a whole PGM"),
        ("x_up_sad_open_4.pgm", b"<html>", "x_up_sad_open_4.pgm is not a whole PGM picture"),
        ("x_up_sad_open_4.pgm", pgm(np.zeros((32, 30), np.uint8)), "got .*32, 30"),
        (
            "x_up_sad_open.pgm",
            pgm(np.zeros((90, 96), np.uint8)),
            "expected 30 × 32, 60 × 64 or 120",
        ),
        ("x_up_sad_open_4.pgm", b"P6 32 30 255\n" + bytes(2880), "got .*30, 32, 3"),
        ("y/an2i_up_sad_open_4.pgm", pgm(np.zeros((30, 32), np.uint8)), "twice, with different"),
    ],
)
def test_a_wrong_file_is_named(stand_in, tmp_path, name, content, message):
    files = uci(stand_in, 1) | {f"faces/x/{name}": content}
    with pytest.raises(SglibError, match=rf"cmu.zip: .*{message}"):
        cmu.read_originals(str(write_zip(tmp_path / "cmu.zip", files)))


def test_what_is_no_set_of_originals_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    (tmp_path / "page.zip").write_text("<html>\nsign in first")
    write_zip(tmp_path / "other.zip", {"faces/readme.txt": b"hello"})
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("none.zip", "No such file"),
        ("page.zip", "cannot be read"),
        ("other.zip", "no originals in it; expected faces/<person>/<person>_<pose>"),
        ("empty", "no originals in it"),
    ):
        with pytest.raises(SglibError, match=rf"{name}: .*{message}") as error:
            cmu.fetch_cmu(tmp_path / name)
        assert "\n" not in str(error.value)
    assert not cmu.cmu_path().exists()


def test_hostile_archives_are_refused(tmp_path, monkeypatch, stand_in):
    monkeypatch.setattr(course, "MAX_BYTES", 2_000_000)
    bomb = bytes(3_000_000)
    nested = write_zip(tmp_path / "inner.zip", {"bomb_up_sad_open.pgm": bomb}).read_bytes()
    for files in (
        {"x_up_sad_open.pgm": bomb},
        {"a.zip": nested},
        {"a.tar.gz": tar_gz({"x_up_sad_open.pgm": bomb})},
    ):
        with pytest.raises(SglibError, match="all in all more than 2,000,000 bytes"):
            cmu.read_originals(str(write_zip(tmp_path / "cmu.zip", files)))
    out = {f"../../{name}": data for name, data in uci(stand_in, 1).items()}
    cmu.read_originals(str(write_zip(tmp_path / "out.zip", out)))
    assert {path.name for path in tmp_path.iterdir()} == {"inner.zip", "cmu.zip", "out.zip"}


class Attack:
    """Unpickled by numpy, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_hostile_npz_runs_nothing(tmp_path, stand_in, monkeypatch):
    labels = np.array(labels_of(stand_in), object)
    labels[3] = Attack(tmp_path / "attacked")
    path = write_npz(tmp_path / "cmu.npz", stand_in, labels, monkeypatch)
    with pytest.raises(SglibError, match=r"cmu.npz: cannot be read"):
        cmu.read_originals(str(path))
    monkeypatch.undo()
    with pytest.raises(SglibError, match=r"not the npz that is known: sha256 .*, not 97de47890b03"):
        cmu.read_originals(str(path))
    assert not (tmp_path / "attacked").exists()
    with np.load(path, allow_pickle=True) as arrays:  # the attack is real
        arrays["labels"]
    assert (tmp_path / "attacked").exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_labels_pickled_in_any_protocol_are_read(protocol, stand_in, tmp_path, monkeypatch):
    labels = np.array(labels_of(stand_in), object)
    dump = pickle.dump
    monkeypatch.setattr(pickle, "dump", lambda value, file, **_: dump(value, file, protocol))
    path = write_npz(tmp_path / "cmu.npz", stand_in, labels, monkeypatch)
    found = cmu.read_originals(str(path))
    monkeypatch.undo()
    assert (
        found.digest
        == cmu.read_originals(str(write_zip(tmp_path / "a.zip", uci(stand_in, 1)))).digest
    )


def test_who_is_in_the_training_set_is_found_by_pixels(stand_in, train):
    table = cmu.overlap(stand_in, train).set_index("person")
    assert table["subject"].to_dict() == {
        **{"an2i": "xan", "bpm": "xbp", "tammo": "xta", "at33": "", "phoebe": ""}
    }
    assert (table["in_training"] == table["n"] * (table["subject"] != "")).all()
    assert table.loc[["an2i", "bpm", "tammo"], "farthest"].max() < cmu.SAME
    assert table.loc[["at33", "phoebe"], "nearest"].min() > cmu.OTHER
    rest = cmu.others(stand_in, train)
    assert rest.name == "others"
    assert set(rest.subjects) == {"at33", "phoebe"}
    assert len(rest) == np.isin(stand_in.subjects, ["at33", "phoebe"]).sum()


def test_half_of_the_originals_still_tell_who_is_in(stand_in, train):
    half = stand_in.subset(np.arange(len(stand_in)) % 2 == 0)
    assert set(cmu.others(half, train).subjects) == {"at33", "phoebe"}
    fewer = stand_in.subset(np.isin(stand_in.subjects, ["an2i", "at33"]))
    assert set(cmu.others(fewer, train).subjects) == {"at33"}


def test_originals_of_other_people_are_refused(train):
    strangers = render_faces(n_subjects=4, first=100)
    with pytest.raises(
        SglibError, match=r"^nobody of course-train is in synthetic: are these its originals"
    ):
        cmu.others(strangers, train)


def test_what_is_ambiguous_is_refused(stand_in, train):
    partly = train.subset((train.subjects != "xan") | (np.arange(len(train)) % 3 == 0))
    with pytest.raises(
        SglibError, match=r"an2i: \d+ of \d+ photographs .* expected nearly all as one"
    ):
        cmu.overlap(stand_in, partly)
    mixed = train.subjects.copy()
    mixed[np.flatnonzero(mixed == "xan")[:3]] = "xbp"
    odd = FaceSet("course-train", train.images, train.ids, train.labels, mixed)
    with pytest.raises(SglibError, match=r"an2i: .* as xan, xbp; expected"):
        cmu.overlap(stand_in, odd)
    merged = np.where(train.subjects == "xan", "xbp", train.subjects)
    odd = FaceSet("course-train", train.images, train.ids, train.labels, merged)
    with pytest.raises(SglibError, match=r"^one person under two names of course-train"):
        cmu.overlap(stand_in, odd)
    noise = np.random.default_rng(0).normal(0, 15, stand_in.images.shape)
    noisy = np.clip(stand_in.images + noise, 0, 255).astype(np.uint8)
    noisy = FaceSet("cmu", noisy, stand_in.ids, stand_in.labels, stand_in.subjects)
    with pytest.raises(SglibError, match=r"as nobody \(difference 1\d\.\d\); expected nearly all"):
        cmu.overlap(noisy, train)


def test_load_data_gives_all_people_to_train_on(write, tmp_path, monkeypatch):
    monkeypatch.setenv("SGLIB_ROOT", str(tmp_path))
    with pytest.raises(SglibError, match=r"no originals in .*: run `sglib data fetch-cmu`"):
        load_data("cmu")
    cmu.fetch_cmu(write("zip"))
    name, everyone, nobody = load_data("cmu")
    assert (name, everyone.name, nobody.name, len(nobody)) == ("cmu", "cmu", "cmu-test", 0)
    assert len(set(everyone.subjects)) == 5
    cmu.cmu_path().write_bytes(b"damaged")
    with pytest.raises(SglibError, match=r"faces.npz: damaged .* fetch-cmu"):
        load_data("cmu")
