"""try.html in a real Chromium: the answers and pixels of `sglib predict`, by mouse and keyboard."""

from types import SimpleNamespace

import numpy as np
import pytest
from model_fakes import save_model
from PIL import Image
from predict_fakes import random_images

from sglib import load
from sglib.data.synthetic import render_faces
from sglib.models import files
from sglib.predict import crop, explain, pictures
from sglib.report.browser import write_pages

FACES = np.concatenate([render_faces(n_subjects=2).images[:50], random_images(50)])
MANY = "pictures => pictures.map(picture => probability(Uint8Array.from(picture)))"
SHOWN = "Array.from(fit(picture, part()))"


def as_lists(images):
    return images.reshape(len(images), -1).tolist()


def test_try_answers_as_sglib_predict_does(opened):
    answers = opened("try").evaluate(MANY, as_lists(FACES))
    np.testing.assert_allclose(answers, load("base").probabilities(FACES), rtol=0, atol=1e-4)


def test_try_is_made_from_the_file_whatever_networks_and_views_are_in_it(opened, tmp_path):
    path = save_model(tmp_path, "ConvNN_2", "face9k", mirror=True, scaling="symmetric")
    write_pages(tmp_path, model=str(path))
    answers = opened("try", tmp_path).evaluate(MANY, as_lists(FACES[45:55]))
    expected = files.load(path).ensemble().predict(FACES[45:55])
    assert expected.std() > 0.01
    np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("mode", "size"),
    [("RGB", (400, 300)), ("L", (33, 47)), ("L", (20, 11)), ("L", (9, 50)), ("RGBA", (64, 61))],
)
def test_a_chosen_picture_becomes_the_pixels_of_sglib_predict(opened, tmp_path, mode, size):
    values = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    values[..., 3] |= 128  # a canvas keeps colours only roughly where little of them shows
    path = tmp_path / "one.png"
    Image.fromarray(values).convert(mode).save(path)
    page = opened("try")
    page.set_input_files("#file", path)
    page.get_by_text(f"one.png: {size[0]} × {size[1]}").wait_for()
    expected = pictures.fit(pictures.read(path)).ravel().astype(int)
    tolerance = 1 if mode == "RGBA" else 0  # grey levels
    assert np.abs(page.evaluate(SHOWN) - expected).max() <= tolerance


def test_a_jpeg_is_turned_as_its_exif_says(opened, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(random_images(1)[0]).resize((200, 150))
    picture.convert("RGB").save(tmp_path / "turned.jpg", exif=exif, quality=95)
    page = opened("try")
    page.set_input_files("#file", tmp_path / "turned.jpg")
    page.get_by_text("turned.jpg: 150 × 200").wait_for()
    expected = pictures.fit(pictures.read(tmp_path / "turned.jpg")).ravel().astype(int)
    assert np.abs(page.evaluate(SHOWN) - expected).max() <= 1


def test_what_is_no_picture_is_said_in_a_line(opened, tmp_path):
    (tmp_path / "no.png").write_text("no")
    page = opened("try")
    page.set_input_files("#file", tmp_path / "no.png")
    page.get_by_text("This picture cannot be used: the browser cannot read it").wait_for()


def test_the_frame_cuts_and_repeats_the_border_as_crop_does(opened):
    gray = np.random.default_rng(2).integers(0, 256, (90, 70), dtype=np.uint8)
    rows, columns = np.arange(-20, 100).clip(0, 89), np.arange(-30, 98).clip(0, 69)
    expected = pictures.fit(gray[np.ix_(rows, columns)])
    given = {"gray": gray.ravel().tolist(), "width": 70, "height": 90}
    part = {"left": -30, "top": -20, "width": 128, "height": 120}
    seen = opened("try").evaluate("([p, part]) => Array.from(fit(p, part))", [given, part])
    np.testing.assert_array_equal(seen, expected.ravel())


def test_likeness_and_map_are_those_of_sglib(opened, tmp_path):
    model = save_model(tmp_path, "ConvNN_2")
    write_pages(tmp_path, model=str(model))
    page, chosen = opened("try", tmp_path), FACES[[0, 9, 60, 90]]
    like = page.evaluate("xs => xs.map(x => likeness(Uint8Array.from(x)))", as_lists(chosen))
    np.testing.assert_allclose(like, crop.likeness(chosen), atol=1e-3)
    assert min(like) < 0 < max(like)
    script = "async x => Array.from(await occlusion(Uint8Array.from(x), 1, () => true))"
    found = np.reshape(page.evaluate(script, chosen[0].ravel().tolist()), (30, 32))
    answers = SimpleNamespace(probabilities=files.load(model).ensemble().predict)
    np.testing.assert_allclose(found, explain.occlusion_map(answers, chosen[0]), atol=1e-4)


def test_the_frame_follows_mouse_and_keyboard_and_the_answer_the_threshold(opened):
    page = opened("try", viewport={"width": 1200, "height": 900})
    page.get_by_role("button", name="Person 2, with sunglasses").focus()
    page.keyboard.press("Enter")
    page.get_by_text("An example: a drawn person with sunglasses.").wait_for()
    before = page.evaluate(SHOWN)
    view = page.locator("#view")
    view.focus()
    for key in ("ArrowRight", "+"):
        page.keyboard.press(key)
        after = page.evaluate(SHOWN)
        assert after != before
        before = after
    page.keyboard.press("0")
    whole = page.evaluate(SHOWN)
    box = view.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 230, steps=3)
    page.mouse.up()
    dragged = page.evaluate(SHOWN)
    assert dragged != whole
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(100)
    assert page.evaluate(SHOWN) != dragged
    for value, said in (("0", "Sunglasses"), ("1", "No sunglasses")):
        page.locator("#threshold").fill(value)
        assert page.locator("#answer").inner_text() == said


def test_a_picture_can_be_dropped(opened):
    page = opened("try")
    page.evaluate(
        """async () => {
          const blob = await new Promise(done => $("seen").toBlob(done));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([blob], "dropped.png", { type: "image/png" }));
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }"""
    )
    page.get_by_text("dropped.png: 32 × 30").wait_for()


def test_the_camera_is_asked_for_after_a_click_only(opened):
    page = opened("try")
    assert page.evaluate("stream") is None
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the picture").wait_for()
    page.wait_for_timeout(300)
    page.get_by_role("button", name="Take the picture").click()
    assert page.evaluate("stream") is None
    assert page.evaluate("picture.width") > 32
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_text("This browser gives no camera").wait_for()
