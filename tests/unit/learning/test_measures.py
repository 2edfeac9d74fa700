"""Accuracy and cross-entropy by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.measures import log_softmax, mean_iou, measure, overlap, softmax


class Fixed:
    classes = 2

    def logits(self, x_NCHW):
        """Logit of class 1 is ln 3 (p = 1/4, 3/4) where x is positive, else 0 (p = 1/2, 1/2)."""
        high = (x_NCHW.ravel() > 0) * math.log(3.0)
        return np.stack([np.zeros_like(high), high], axis=1).astype(np.float32)


def batch(xs: list[float], ys: list[int]) -> Batch:
    return Batch(np.array(xs, np.float32).reshape(-1, 1, 1, 1), np.array(ys))


def test_sums():
    """Right: p = 3/4; wrong: p = 1/4; a tie counts for the first class: p = 1/2."""
    measured = measure(Fixed(), batch([1, 1, -1], [1, 0, 0]))
    assert (measured.correct, measured.count) == (2, 3)
    assert measured.loss == pytest.approx(math.log(4 / 3) + math.log(4) + math.log(2), rel=1e-6)
    assert measured.accuracy == pytest.approx(2 / 3)


def test_nothing_to_measure():
    assert measure(Fixed(), batch([], [])).accuracy == 0.0
    with pytest.raises(ConfigError, match="y_N"):
        measure(Fixed(), Batch(np.zeros((1, 1, 1, 1), np.float32)))


def test_softmax_of_large_logits():
    logits = np.array([[1000.0, 1000.0, 0.0]])
    np.testing.assert_allclose(softmax(logits), [[0.5, 0.5, 0.0]])
    np.testing.assert_allclose(log_softmax(logits), [[-math.log(2), -math.log(2), -1000.0]], atol=1)


def test_pixels_are_counted_one_by_one():
    """One image of 2x2: class 1 is found in three places and is there in two of them."""
    image = Batch(
        np.array([[[[1, 1], [1, -1]]]], np.float32), np.array([[[1, 1], [0, 0]]], np.int64)
    )
    assert measure(Fixed(), image).count == 4
    assert measure(Fixed(), image).correct == 3
    found = overlap(Fixed(), image)
    assert (found.hits_K.tolist(), found.found_K.tolist()) == ([1, 2], [1, 3])
    assert found.there_K.tolist() == [2, 2]
    assert found.mean_iou == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_a_class_that_is_neither_found_nor_there_is_in_no_mean():
    hits, found, there = np.array([3, 0, 0]), np.array([4, 2, 0]), np.array([3, 0, 0])
    assert mean_iou(hits, found, there) == pytest.approx((3 / 4 + 0) / 2)
    assert mean_iou(*(np.zeros(3, np.int64),) * 3) == 0.0


def test_labels_of_pixels_need_a_model_that_labels_pixels():
    class OfImages(Fixed):
        def logits(self, x_NCHW):
            return super().logits(x_NCHW[:, :, :1, :1])

    with pytest.raises(ConfigError, match="labels of pixels need a model that labels pixels"):
        measure(OfImages(), Batch(np.ones((2, 1, 2, 2), np.float32), np.ones((2, 2, 2), np.int64)))
