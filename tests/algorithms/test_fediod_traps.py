"""What goes wrong in the reference's code, and what must not happen whoever writes it."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask
from dreamshare.algorithms.fediod import FedIOD, forming, judging
from dreamshare.learning.measures import softmax
from tests.algorithms.iod import crew, exact, fediod, summed, until
from tests.algorithms.oracle import run
from tests.algorithms.toy import ToyLearner


def weights(learner) -> list[np.ndarray]:
    return [array.copy() for array in learner.parameters().values()]


def same(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_step_of_the_generator_moves_nothing_else(learner):
    """Teachers, discriminators and student are read; snapshots stay what they were."""
    algorithm, devices = FedIOD(fediod()), crew(learner)
    state = until("answer", algorithm, devices)
    before = [d.learner.snapshot() for d in devices]
    after = summed(algorithm, summed(algorithm, state, devices), devices)
    assert [d.learner.snapshot() for d in devices] == before
    assert after.student is state.student
    assert not same(state.generator.values.values(), after.generator.values.values())


def test_a_step_of_the_student_moves_nothing_else(learner):
    algorithm, devices = FedIOD(fediod(real_weight=0.0)), crew(learner)
    state = until("label", algorithm, devices)
    before = [d.learner.snapshot() for d in devices]
    after = summed(algorithm, state, devices)
    assert after.cycle == 1
    assert [d.learner.snapshot() for d in devices] == before
    assert after.generator is state.generator
    assert not same(state.student.values.values(), after.student.values.values())


def test_a_discriminators_step_moves_nothing_but_itself(learner):
    algorithm, devices = FedIOD(fediod()), crew(learner)
    state = until("judge", algorithm, devices)
    before = [weights(d.learner) for d in devices]
    fresh = judging.remembered(algorithm.config, devices[0].learner)
    after = summed(algorithm, state, devices)
    for device, own in zip(devices, before, strict=True):
        assert same(own, weights(device.learner))
        judge = judging.remembered(algorithm.config, device.learner)
        assert judge.taken == algorithm.config.judge_steps
        assert not same(fresh.values.values(), judge.values.values())
    assert after.generator is state.generator and after.student is state.student


def test_a_run_starts_without_the_discriminator_of_another_one(learner):
    """Nor does one of another width stop a device that came too late for the start."""
    algorithm, devices = FedIOD(fediod(cycles=1)), crew(learner)
    mine = {"codream.dreams": np.ones((1, 1, 2, 2), np.float32)}
    devices[0].learner.remember(mine)
    run(algorithm, devices)
    one = devices[0].learner
    assert judging.remembered(algorithm.config, one).taken > 0
    assert judging.remembered(fediod(judge_width=4), one).taken == 0
    state = until("judge", algorithm, devices)
    assert state.cycle == 0
    assert list(one.memory()) == list(mine)


def test_a_discriminator_never_leaves_its_device(learner):
    """What is asked of a device has no more fields than declared, and none is a net's."""
    algorithm, devices = FedIOD(fediod(divergence="code", evaluate="end")), crew(learner)
    names = {field.name for fields in algorithm.steps().values() for field in fields}
    assert names == {
        *("counts", "logits", "mass", "total", "posteriors", "logs"),
        *("gradient", "clipped", "correct", "loss", "count"),
    }
    result = run(algorithm, devices).done.result
    assert not any("judge" in name for name in result)


def test_a_redone_sum_gives_the_same_answer(learner):
    """A discriminator that trained inside a sum would answer a repeated round differently."""
    algorithm, devices = FedIOD(fediod()), crew(learner)
    state = until("pull", algorithm, devices)
    ask, device = algorithm.plan(state), devices[0]
    assert isinstance(ask, Ask)
    first, second = (
        algorithm.local(ask, device.learner, device.data, device.rng) for _ in range(2)
    )
    np.testing.assert_array_equal(first.arrays["gradient"], second.arrays["gradient"])


def test_any_number_of_latents_is_the_one_that_is_drawn():
    """There, scripts asked for 256 values of noise and always got 100."""
    for latent in (1, 3, 100):
        config = fediod(latent=latent)
        state = until("answer", FedIOD(config), crew())
        assert forming.latents_of(config, state).shape == (config.batch, latent)
        assert state.generator.values["0.weight"].shape[0] == latent


def test_every_step_has_fresh_latents_and_a_seed_repeats_them():
    config = fediod()
    algorithm, seen = FedIOD(config), []
    for _ in range(2):
        devices = crew()
        state = until("answer", algorithm, devices)
        drawn = []
        while state.stage != "done":
            if state.stage in ("answer", "label"):
                drawn.append(forming.latents_of(config, state))
            state = summed(algorithm, state, devices)
        seen.append(drawn)
    assert len(seen[0]) == 6
    assert len({array.tobytes() for array in seen[0]}) == 6
    np.testing.assert_array_equal(seen[0], seen[1])


def test_realism_does_not_grow_with_the_number_of_patches(learner):
    """There, patches are summed: 64 of them weighed 64 times what one prediction did."""
    small, large = fediod(shape=(1, 8, 8)), fediod(shape=(1, 32, 32))
    rng = np.random.default_rng(0)
    sizes = []
    for config in (small, large):
        x = rng.standard_normal((4, *config.shape)).astype(np.float32)
        gradient = judging.realism(config, x, learner(0))
        sizes.append(np.abs(gradient).sum())
    assert sizes[1] < 4 * sizes[0]


def disagreement(x_BCHW, devices) -> float:
    p = np.array([softmax(d.learner.logits(x_BCHW)) for d in devices])
    m = p.mean(axis=0)
    return float(-(m * np.log(m)).sum() + (p * np.log(p)).sum() / len(p))


@pytest.mark.parametrize(
    ("divergence", "weight", "grows"),
    [("code", 1.0, False), ("code", -1.0, True), ("uniqueness", 1.0, True)],
)
def test_presets_have_the_sign_that_their_names_say(divergence, weight, grows, learner):
    """ "code" makes devices agree on generated images, "uniqueness" makes them differ."""
    config = exact(
        divergence=divergence,
        divergence_weight=weight,
        real_weight=0.0,
        adversarial_weight=0.0,
        confidence_weight=0.0,
        balance_weight=0.0,
        generator_rate=0.5,
        generator_steps=20,
        low=-3.0,
        high=3.0,
    )
    algorithm, devices = FedIOD(config), crew(learner)
    state = until("answer", algorithm, devices)
    after = state
    while after.stage != "label":
        after = summed(algorithm, after, devices)
    net, z = forming.generator_of(config), forming.latents_of(config, state)
    before, now = (
        disagreement(net.forward(each.generator.values, z)[0], devices) for each in (state, after)
    )
    assert (now > before) == grows


def test_the_accuracy_is_the_last_cycles_and_not_the_best():
    """There, the figure was the best of all rounds on the test set."""
    done = run(FedIOD(fediod(evaluate="cycle", cycles=4)), crew()).done
    assert len(done.result["accuracies"]) == 4
    assert done.metrics["accuracy"] == done.result["accuracies"][-1]


def test_shapes_of_models_do_not_matter(learner):
    """Devices of different kinds in one cohort: only logits and image gradients are summed."""
    devices = crew(learner)
    devices[1].learner = ToyLearner(9)
    state = until("done", FedIOD(fediod()), devices)
    assert np.isfinite(state.lessons.logits_NK).all()
