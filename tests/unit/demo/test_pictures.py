"""Pictures are PNG files of the right shape whatever the number of devices and cycles."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dreamshare.errors import ConfigError
from dreamshare.payloads.gallery import Gallery
from dreamshare_cli.demo.palette import DARK, LIGHT, Palette
from dreamshare_cli.demo.pictures import accuracy_png, gallery_png
from tests.unit.demo import made_up


def picture(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


@pytest.mark.parametrize(("devices", "lost", "cycles"), [(3, 0, 1), (4, 1, 5), (16, 1, 2)])
def test_curves_are_wide_for_a_screen_and_tall_for_a_phone(
    devices: int, lost: int, cycles: int
) -> None:
    result = made_up.result(devices, lost=lost, cycles=cycles)
    phone = picture(accuracy_png(result, DARK, narrow=True))
    screen = picture(accuracy_png(result, LIGHT))
    assert phone.height > phone.width
    assert screen.width > phone.width


@pytest.mark.parametrize("names", [("moments",), ("codream",)])
def test_a_single_algorithm_is_drawn_as_well(names: tuple[str, ...]) -> None:
    assert picture(accuracy_png(made_up.result(4, lost=1, names=names), LIGHT)).width > 0


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_the_card_is_the_background(palette: Palette) -> None:
    image = picture(accuracy_png(made_up.result(), palette))
    assert "#{:02x}{:02x}{:02x}".format(*image.getpixel((0, 0))) == palette.card


def test_a_gallery_has_a_row_for_each_cycle() -> None:
    heights = [
        picture(gallery_png(made_up.gallery(cycles=n), LIGHT, "cycle")).height for n in (1, 2, 3)
    ]
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0], abs=2)
    assert heights[1] > heights[0]


def test_a_long_run_is_thinned_to_six_rows() -> None:
    long = picture(gallery_png(made_up.gallery(cycles=40, per_class=1), LIGHT, "cycle"))
    six = picture(gallery_png(made_up.gallery(cycles=6, per_class=1), LIGHT, "cycle"))
    assert long.height == six.height


def test_a_gallery_where_a_digit_is_missing_is_drawn() -> None:
    whole = made_up.gallery(cycles=2)
    keep = whole.labels_N != 7
    part = Gallery(whole.dreams_NCHW[keep], whole.labels_N[keep], whole.cycles_N[keep])
    assert (
        picture(gallery_png(part, LIGHT, "cycle")).size
        == picture(gallery_png(whole, LIGHT, "cycle")).size
    )


def test_flat_dreams_are_drawn() -> None:
    flat = Gallery(np.zeros((1, 1, 8, 8), np.float32), np.array([3]), np.array([1]))
    assert picture(gallery_png(flat, DARK, "cycle")).width > 0


def test_a_gallery_of_another_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match="NCHW"):
        Gallery(np.zeros((2, 8, 8), np.float32), np.zeros(2, np.int64), np.ones(2, np.int64))


def test_equal_results_give_equal_bytes() -> None:
    first, second = (accuracy_png(made_up.result(), LIGHT) for _ in range(2))
    assert first == second


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.1."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", [LIGHT, DARK])
@pytest.mark.parametrize("text", ["ink", "muted", "accent", "second", "lost"])
def test_text_has_the_contrast_that_tired_eyes_need(palette: Palette, text: str) -> None:
    for ground in (palette.paper, palette.card):
        pair = sorted((luminance(getattr(palette, text)), luminance(ground)))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5
