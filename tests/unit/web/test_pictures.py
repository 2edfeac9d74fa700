"""Dreams as one picture: what is chosen, where it lies, and that it is a PNG that others read."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dreamshare.payloads.gallery import COLOURS, Gallery
from dreamshare_aggregator.web.pictures import MOST, png_of, sheet_of


def gallery(cycles: int, per_cycle: int, shape: tuple[int, int, int] = (1, 4, 3)) -> Gallery:
    count = cycles * per_cycle
    dreams = np.random.default_rng(0).normal(0, 1, (count, *shape)).astype(np.float32)
    labels = np.tile(np.arange(per_cycle) % 5, cycles).astype(np.int64)
    return Gallery(dreams, labels, np.repeat(np.arange(1, cycles + 1), per_cycle))


def opened(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.mode == "RGB"
    return np.asarray(image)


def test_the_format_is_read_by_others_bit_by_bit() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(opened(png_of(pixels)), pixels)


def test_the_newest_cycle_is_whole_and_older_ones_are_a_dream_a_class() -> None:
    sheet = sheet_of(gallery(cycles=3, per_cycle=20))
    assert sheet is not None
    assert sheet.cycles == (1,) * 5 + (2,) * 5 + (3,) * 20
    assert sheet.labels[:10] == (0, 1, 2, 3, 4) * 2
    assert (sheet.width, sheet.height, sheet.forming) == (3, 4, 20)
    assert opened(sheet.png).shape == (4 * 2, 3 * 16, 3)  # 30 tiles, 16 a row


def test_one_channel_is_shown_in_the_projects_colours() -> None:
    dreams = np.zeros((1, 1, 10, 10), np.float32)
    dreams[0, 0, :, 5:] = 1.0
    shown = sheet_of(Gallery(dreams, np.zeros(1, np.int64), np.ones(1, np.int64)))
    assert shown is not None
    pixels = opened(shown.png)
    assert "#" + bytes(pixels[0, 0]).hex() == COLOURS[0]
    assert "#" + bytes(pixels[0, 9]).hex() == COLOURS[-1]


def test_three_channels_are_shown_as_they_are() -> None:
    dreams = np.zeros((1, 3, 10, 10), np.float32)
    dreams[0, 0] = 1.0  # all red
    shown = sheet_of(Gallery(dreams, np.zeros(1, np.int64), np.ones(1, np.int64)))
    assert shown is not None
    assert opened(shown.png)[4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize("shape", [(2, 4, 4), (1, 0, 4)])
def test_what_cannot_be_drawn_is_not(shape: tuple[int, int, int]) -> None:
    assert sheet_of(gallery(1, 3, shape)) is None


def test_no_gallery_makes_a_large_picture() -> None:
    many = sheet_of(gallery(cycles=200, per_cycle=30))
    assert many is not None
    assert len(many.labels) <= MOST
    wide = sheet_of(gallery(1, 2, (1, 600, 300)))
    assert wide is not None
    assert (wide.height, wide.width) == (120, 60)


def test_values_that_are_no_numbers_are_drawn_as_nothing() -> None:
    dreams = np.full((1, 1, 4, 4), np.nan, np.float32)
    dreams[0, 0, 0, 0] = np.inf
    shown = sheet_of(Gallery(dreams, np.zeros(1, np.int64), np.ones(1, np.int64)))
    assert shown is not None
    assert opened(shown.png).shape == (4, 4, 3)
