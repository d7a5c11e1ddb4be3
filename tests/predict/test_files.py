import io
import os
from pathlib import Path

import pytest
from predict_fakes import write_jpegs

from sglib import SglibError
from sglib.predict.files import Search


def found(*paths: object, **options: object) -> list[str]:
    return [one.source for one in Search(paths, **options)]


def test_folders_are_read_in_order_with_those_in_them(tmp_path: Path) -> None:
    names = ["b/2.jpg", "b/1.PNG", "a/z/1.webp", "c.tif", "a/b.gif", "B.jpg", "é.jpg", "画.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [os.path.relpath(path, tmp_path) for path in found(tmp_path)] == sorted(names)
    twice = found(tmp_path / "b", str(tmp_path / "b"))
    assert [os.path.basename(path) for path in twice] == ["1.PNG", "2.jpg"] * 2


def test_what_counts_as_a_picture_in_a_folder(tmp_path: Path) -> None:
    (jpeg,) = write_jpegs(tmp_path / "source", 1)
    folder = tmp_path / "folder"
    folder.mkdir()
    content = Path(jpeg).read_bytes()
    for name in ("no_ending", "wrong.dat", "plain.jpg", ".hidden.jpg"):
        (folder / name).write_bytes(content)
    for name in ("notes.txt", "table.csv", "empty", ".DS_Store"):
        (folder / name).write_text("" if name == "empty" else "hello")
    (folder / "broken.jpg").write_text("not a picture, but its name says so")
    (folder / "dangling.png").symlink_to("nowhere")
    (folder / "linked.jpg").symlink_to(jpeg)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "1.jpg").write_bytes(content)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.jpg")
    files = Search([folder])
    names = [os.path.basename(one.name) for one in files]
    assert names == ["broken.jpg", "linked.jpg", "no_ending", "plain.jpg", "wrong.dat"]
    assert files.n_passed_over == 6  # three texts, two links that lead to no file, a pipe


def test_named_files_are_taken_whatever_they_are(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    files = Search(
        [tmp_path / "notes.txt", tmp_path / "pipe.jpg", tmp_path / "gone.jpg", "", "a\0"]
    )
    assert [one.problem for one in files] == [
        "",
        "not a file",
        "no such file",
        "not a file name",
        "not a file name",
    ]


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jpegs(tmp_path / "x" / "y", 3)
    monkeypatch.chdir(tmp_path)
    assert found("x/y/[01].jpg") == ["x/y/0.jpg", "x/y/1.jpg"]
    assert found("x/**/*.jpg") == ["x/y/0.jpg", "x/y/1.jpg", "x/y/2.jpg"]
    assert found("x/*") == ["x/y/0.jpg", "x/y/1.jpg", "x/y/2.jpg"]  # a folder that matches
    assert [tuple(one) for one in Search(["*.png"])] == [("*.png", None, "no file matches")]
    Path("[01].jpg").touch()
    assert found("[01].jpg") == ["[01].jpg"]  # a file of this very name goes first


def test_list_on_stdin(tmp_path: Path) -> None:
    paths = write_jpegs(tmp_path / "with space", 3)
    for text in ("\n".join(paths), "\n".join(paths) + "\n", "\r\n".join(paths) + "\r\n\r\n"):
        assert found("-", stdin=io.BytesIO(text.encode())) == paths
    odd = str(tmp_path / "new\nline.jpg")
    Path(odd).touch()
    text = "\0".join([*paths, odd]) + "\0"
    assert found("-", stdin=io.BytesIO(text.encode())) == [*paths, odd]
    assert found(paths[0], "-", paths[1], stdin=io.BytesIO(b"")) == paths[:2]
    assert found("-", stdin=io.BytesIO(os.fsencode(tmp_path / "with space"))) == paths
    with pytest.raises(SglibError, match="there is no standard input"):
        found("-")


def test_long_lists_are_not_cut(tmp_path: Path) -> None:
    paths = [f"{tmp_path}/{i:06}.jpg" for i in range(5000)]  # more than one chunk of reading
    text = "\n".join(paths).encode()
    assert [one.name for one in Search("-", stdin=io.BytesIO(text))] == paths


def test_names_that_are_no_text(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\xfe.jpg"
    try:
        open(name, "wb").close()
    except OSError:
        pytest.skip("this file system wants UTF-8")
    assert [os.fsencode(path) for path in found(tmp_path)] == [name]
    assert [os.fsencode(path) for path in found("-", stdin=io.BytesIO(name))] == [name]


def test_unreadable_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    (one,) = Search([tmp_path])
    assert one.problem == "cannot read the folder (Permission denied)"
