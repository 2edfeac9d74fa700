"""`fediod/1` on models that label pixels: every pixel is one more entry of the batch, exactly."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from dreamshare.algorithms.checkpoint import decode_state, encode_state
from dreamshare.algorithms.fediod import FedIOD, FedIODState, forming
from dreamshare.errors import ConfigError
from dreamshare.learning.measures import mean_iou, measure, overlap
from tests.algorithms.iod import crew, exact, fediod, gradients_by_autograd, summed, until
from tests.algorithms.oracle import run
from tests.algorithms.pixels import PIXELS, pixel_crew
from tests.algorithms.toy import ToyLearner
from tests.unit.learning.learners import KINDS, pixelled

KINDS_OF_LOSS = {
    "none": {},
    "code": {"divergence": "code", "divergence_weight": 5.0},
    "uniqueness": {"divergence": "uniqueness", "divergence_weight": 5.0},
    "kl": {"distillation": "kl", "temperature": 2.0},
    "clipped": {"logit_bound": 0.3},
}


@pytest.fixture(params=KINDS)
def devices(request):
    return pixel_crew(partial(pixelled, request.param))


@pytest.mark.parametrize("kind", KINDS_OF_LOSS)
def test_two_legs_give_the_gradient_of_one_process(kind, devices):
    config = exact(**PIXELS, **KINDS_OF_LOSS[kind])
    algorithm = FedIOD(config)
    state = until("answer", algorithm, devices)
    wanted = gradients_by_autograd(config, state, devices)
    assert max(np.abs(g).max() for g in wanted.values()) > 1e-3
    after = summed(algorithm, summed(algorithm, state, devices), devices)
    for name, gradient in wanted.items():
        moved = state.generator.values[name] - after.generator.values[name]
        np.testing.assert_allclose(moved, gradient, rtol=2e-3, atol=2e-5, err_msg=name)


def test_classes_are_weighted_by_pixels_and_the_ensemble_is_of_every_pixel(devices):
    config = exact(**PIXELS)
    algorithm = FedIOD(config)
    state = until("answer", algorithm, devices)
    counts_kK = np.array([d.data.class_counts(3) for d in devices], float)
    np.testing.assert_array_equal(state.totals_K, counts_kK.sum(axis=0))
    assert state.totals_K.sum() == 16 * sum(len(d.data) for d in devices)
    after = summed(algorithm, state, devices)
    weights_kK = counts_kK / counts_kK.sum(axis=0)
    wanted = sum(
        d.learner.logits(state.x_BCHW) * w for d, w in zip(devices, weights_kK, strict=True)
    )
    found = after.lessons.logits_NK[-config.batch :]
    assert found.shape == (config.batch, 4, 4, 3)
    np.testing.assert_allclose(found.reshape(-1, 3), wanted, atol=1e-5)


def test_a_whole_run_with_checkpoints_and_its_evaluation(devices):
    config = fediod(**PIXELS, evaluate="end", divergence="uniqueness", warm_up_rate=0.01)
    algorithm = FedIOD(config)
    done = run(algorithm, devices).done
    assert done.result["targets"].shape == (len(done.result["images"]), 4, 4, 3)
    net, values = forming.student_of(config), forming.student_values(done.result)

    class Student:
        classes = 3

        def logits(self, x_NCHW):
            return net.forward(values, x_NCHW)[0]

    held = [d.data.held_out() for d in devices]
    measured = [measure(Student(), each) for each in held]
    right, count = sum(m.correct for m in measured), sum(m.count for m in measured)
    assert done.metrics["accuracy"] == pytest.approx(right / count, abs=1e-6)
    seen = [overlap(Student(), each) for each in held]
    hits_K, found_K, there_K = (
        sum(getattr(each, name) for each in seen) for name in ("hits_K", "found_K", "there_K")
    )
    assert done.metrics["mean_iou"] == pytest.approx(mean_iou(hits_K, found_K, there_K), abs=1e-6)
    state = until("label", FedIOD(config), devices)
    again = decode_state(encode_state(state), FedIODState)
    np.testing.assert_array_equal(again.lessons.logits_NK, state.lessons.logits_NK)
    lessons = algorithm.lessons(state)
    assert lessons.targets_NK.shape == (len(lessons.x_NCHW), 4, 4, 3)
    np.testing.assert_allclose(lessons.targets_NK.sum(axis=-1), 1, rtol=1e-5)
    assert len(algorithm.gallery(state)) == len(lessons.x_NCHW)


def test_a_model_of_images_is_refused_where_pixels_are_wanted_and_the_other_way_round():
    algorithm = FedIOD(exact(pixels=True))
    with pytest.raises(ConfigError, match="logits of pixels"):
        run(algorithm, crew(ToyLearner))
    algorithm = FedIOD(exact(shape=(1, 4, 4)))
    with pytest.raises(ConfigError, match="logits of images"):
        run(algorithm, pixel_crew(partial(pixelled, "torch")))
