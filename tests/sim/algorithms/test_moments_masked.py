"""`moments/1` under masks: the moments and the set are those of the pooled examples.

The tolerances are derived. With n devices, q bits and a bound C, a device's number is off by less
than D = 2C / (2^q - 1) (docs/protocol.md 12.2), a sum by less than n D; sums are of numbers divided
by public totals, so a mean is off by n D, and a covariance of values in [-1, 1], a mean product
minus a product of means, by less than 3 n D + (n D)^2. The share by which they are divided has 20
bits: 2 n / 2^20, relative. What devices are told is rounded to float32.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms.catalog import algorithm_of
from dreamshare.algorithms.moments import MomentsConfig
from dreamshare.algorithms.moments.forms import REACH, SPREAD, form_of, plane_space, sketch_fields
from dreamshare.algorithms.moments.mapped import maps_of
from dreamshare.learning.moments import FARTHEST
from dreamshare.learning.moments import test_matrix as matrix_of
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.messages import Cohort
from dreamshare.simulate import Kill, SimulatedDevice, SimulationOptions, SimulationResult, simulate
from tests.algorithms.describing import dealt
from tests.algorithms.moments import FORMS, moments, owned, owners, pooled, told_gaussians
from tests.algorithms.oracle import run
from tests.algorithms.sharing import seeds
from tests.unit.learning.learners import layered

POOL = seeds(240, 70)
SPREADS = {"by class": POOL.y_N, "at random": np.random.default_rng(0).integers(0, 4, 240)}
QUIET = {"warm_up_epochs": 0, "fit_steps": 0}


def masked(config: object, devices, options: SimulationOptions | None = None) -> SimulationResult:
    virtual = [SimulatedDevice(d.learner, d.data) for d in devices]
    gone = len(options.kills) if options else 0
    return simulate(
        config, virtual, cohort=Cohort(len(devices) - gone, len(devices)), options=options
    )


def step(devices: int, bits: int, bound: float = 1.0) -> float:
    """n D of the module's docstring, and what the share adds."""
    return devices * (2 * bound / (2**bits - 1) + 2 * bound / 2**20)


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("form", FORMS)
def test_the_moments_are_those_of_the_pooled_examples(form: str, spread: str) -> None:
    config = moments(**QUIET, **FORMS[form])
    devices = owned(dealt(POOL.x_NCHW, POOL.y_N, SPREADS[spread]))
    result = masked(config, devices)
    assert result.aggregations == (3 if form == "basis" else 2)
    assert result.arrays["totals"].tolist() == [80, 80, 80]
    found = told_gaussians(config, result.arrays)
    wanted = pooled(config, POOL.x_NCHW, POOL.y_N, found.basis)
    off = step(len(devices), config.bits)
    np.testing.assert_allclose(found.mean_KD, wanted.mean_KD, atol=off, rtol=0)
    scale = found.basis.scale_B.max() ** 2
    bound = {"pixels": 1.0, "dct": REACH, "basis": SPREAD}[form]
    most = scale * (3 * step(len(devices), config.bits, bound) + off) + 1e-6
    np.testing.assert_allclose(found.covariance_KBB, wanted.covariance_KBB, atol=most, rtol=0)
    np.testing.assert_allclose(found.residual_D, wanted.residual_D, atol=4 * most, rtol=0)
    assert result.metrics["clipped"] == pytest.approx(0.0, abs=1e-4)


def test_moments_of_colours_are_those_of_the_pooled_examples_within_each_plane() -> None:
    """Means are of all four frequencies of a plane, each off by its own scale times n D."""
    config = moments(**QUIET, shape=(2, 2, 2), form="planes", components=6)
    rng = np.random.default_rng(4)
    x_NCHW = np.concatenate([POOL.x_NCHW, POOL.x_NCHW * rng.uniform(-1, 1, (240, 1, 1, 1))], axis=1)
    x_NCHW = x_NCHW.astype(np.float32)
    devices = owned(dealt(x_NCHW, POOL.y_N, SPREADS["at random"]))
    found = told_gaussians(config, masked(config, devices).arrays)
    wanted = pooled(config, x_NCHW, POOL.y_N, found.basis)
    waves = plane_space(config, form_of(config))
    assert waves.vectors_DB is not None and waves.count == 4
    longest = (np.abs(waves.vectors_DB) @ waves.scale_B).max()
    off = longest * step(len(devices), config.bits, REACH)
    np.testing.assert_allclose(found.mean_KD, wanted.mean_KD, atol=off, rtol=0)
    within_BB = np.kron(np.eye(2), np.ones((3, 3)))
    most = found.basis.scale_B.max() ** 2 * (3 * step(len(devices), config.bits, SPREAD) + off)
    np.testing.assert_allclose(
        found.covariance_KBB, wanted.covariance_KBB * within_BB, atol=most + 1e-6, rtol=0
    )


def test_features_of_public_maps_are_those_of_the_pooled_examples() -> None:
    config = moments(**QUIET, form="maps", told="set", images=2, match_steps=1, components=64)
    devices = owned(dealt(POOL.x_NCHW, POOL.y_N, SPREADS["by class"]))
    result = masked(config, devices)
    assert result.aggregations == 2
    h_NF = maps_of(config).of(config.space.units(POOL.x_NCHW))
    wanted = np.stack([h_NF[POOL.y_N == label].mean(axis=0) for label in range(3)])
    off = step(len(devices), config.bits, FARTHEST) + 1e-5
    np.testing.assert_allclose(result.arrays["features"], wanted, atol=off, rtol=0)
    assert result.arrays["images"].shape == (6, 1, 2, 2)


def test_the_basis_is_the_one_that_the_pooled_examples_have() -> None:
    """The sketch's error is that of its lanes; a subspace turns by it over the gap of spreads."""
    config = moments(bits=16, **QUIET, form="basis", components=1)
    x_NCHW = POOL.x_NCHW.copy()
    x_NCHW[:, 0, 1, 1] = 2 * np.random.default_rng(3).normal(0, 0.5, len(x_NCHW)).clip(-1, 1)
    devices = owned(dealt(x_NCHW, POOL.y_N, SPREADS["at random"]))
    found = told_gaussians(config, masked(config, devices).arrays).basis.vectors_DB
    u_ND = config.space.units(x_NCHW)
    within_ND = u_ND - pooled(config, x_NCHW, POOL.y_N).mean_KD[POOL.y_N]
    scatter_DD = within_ND.T @ within_ND / len(u_ND)
    np.testing.assert_array_equal(matrix_of(config.seed, 4, form_of(config).columns), np.eye(4))
    values_D, vectors_DD = np.linalg.eigh(scatter_DD)
    bound = next(f.bound for f in sketch_fields(config, form_of(config)) if f.name == "sketch")
    error = 4 * (step(4, config.bits, bound) + 2 * step(4, config.bits))  # in spectral norm, D = 4
    turned = error / (values_D[-1] - values_D[-2]) + 1 / 127  # Davis and Kahan; bytes of columns
    assert found is not None
    assert abs(float(found[:, 0] @ vectors_DD[:, -1])) > np.sqrt(1 - turned**2)


@pytest.mark.parametrize("spread", SPREADS)
def test_the_set_is_the_one_that_the_pooled_examples_make(spread: str) -> None:
    """A symmetric root moves by at most the root of what its matrix moved by, in spectral norm."""
    config = moments(bits=20, rectify=False, form="pixels", **QUIET)
    devices = owned(dealt(POOL.x_NCHW, POOL.y_N, SPREADS[spread]))
    result = masked(config, devices)
    wanted = replace(pooled(config, POOL.x_NCHW, POOL.y_N), rectified=False)
    off = step(len(devices), config.bits)
    noise = 5.0  # |w| of four normal numbers: above it in less than one picture of a million
    apart = (off + np.sqrt(4 * 4 * off) * noise) / 2 * 255 + 1
    for label in range(3):
        u_ND = wanted.draw(label, config.images, config.seed)
        images = result.arrays["images"][label::3].reshape(len(u_ND), -1)
        assert np.abs(images - (u_ND + 1) / 2 * 255).max() <= apart


WHOLE = {
    "mix": "beside",
    "bits": 20,
    "local_batch": 60,
    "synthetic_batch": 180,
    "warm_up_epochs": 0,
}
"""Every step takes all examples there are, so that no draw of batches tells runs apart."""


@pytest.mark.parametrize("kind", ["torch", "onnx"])
@pytest.mark.parametrize("told", ["set", "sums"])
def test_masked_sums_teach_what_exact_ones_do(kind: str, told: str) -> None:
    config = moments(told=told, **WHOLE)
    exact, hidden = (owners(lambda seed: layered(kind, seed)) for _ in range(2))
    run(algorithm_of(config), exact)
    masked(config, hidden)
    for one, other in zip(exact, hidden, strict=True):
        for name, array in one.learner.parameters().items():
            np.testing.assert_allclose(array, other.learner.parameters()[name], atol=2e-2)


@pytest.mark.parametrize("form", FORMS)
def test_who_died_on_the_way_biases_nothing(form: str) -> None:
    """A device that counted and then vanished is in no later sum; means are those of the rest."""
    config = moments(**QUIET, **FORMS[form])
    parts = dealt(POOL.x_NCHW, POOL.y_N, np.arange(240) // 3 % 5)
    options = SimulationOptions(kills=(Kill(4, 1),))
    result = masked(config, owned(parts), options)
    rest = np.arange(240) // 3 % 5 < 4
    found = told_gaussians(config, result.arrays)
    assert result.arrays["totals"].sum() == rest.sum()
    wanted = pooled(config, POOL.x_NCHW[rest], POOL.y_N[rest], found.basis)
    off = step(5, config.bits)
    np.testing.assert_allclose(found.mean_KD, wanted.mean_KD, atol=2 * off, rtol=0)


def test_fewer_bits_are_fewer_bytes() -> None:
    config: MomentsConfig = moments(**QUIET)
    config = replace(config, shape=(1, 8, 8), classes=3)
    rng = np.random.default_rng(0)
    x_NCHW = rng.normal(0, 1, (90, 1, 8, 8)).astype(np.float32)
    parts = dealt(x_NCHW, np.arange(90) % 3, np.arange(90) // 3 % 3)
    up = [masked(replace(config, bits=q), owned(parts)).statuses[0].bytes_up for q in (12, 20)]
    numbers = 3 * (64 + 64 * 65 // 2)
    assert up[1] - up[0] > numbers * (8 / 3 - 8 / 4) * 0.9, "four lanes share a word, not three"


def test_noise_can_be_asked_for() -> None:
    options = SimulationOptions(privacy=Privacy(clip=1.0, multiplier=0.05))
    quiet, noisy = (masked(moments(**QUIET), owners(), each) for each in (None, options))
    assert np.isfinite(noisy.arrays["mean"]).all()
    assert np.abs(noisy.arrays["mean"] - quiet.arrays["mean"]).max() > 1e-3


def test_what_a_run_advises_is_in_its_outcome() -> None:
    config = moments(warm_up_epochs=0, fit_steps=0, evaluate=True, compare=True)
    result = masked(config, owners())
    assert result.metrics["gain"] == pytest.approx(0.0, abs=1e-3)  # nobody trains here
    assert "moments did not help" in result.advice
