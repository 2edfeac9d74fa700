"""Everybody has one set: to the bit where the aggregator sends it, to a grey level where all draw.

Who draws has other processors and other libraries. A second process stands for them, whose linear
algebra and whose numpy take other instructions; it has configs and public results alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.catalog import config_json_of
from dreamshare.algorithms.moments import MomentsConfig
from dreamshare.learning.data import ArrayData
from dreamshare.learning.public import kept_by_devices, public_set
from dreamshare.protocol.messages import Cohort
from dreamshare.simulate import SimulatedDevice, SimulationResult, simulate
from tests.algorithms.moments import owned
from tests.algorithms.oracle import Device

EVERYBODY = Cohort(3, 3)
CONFIG = MomentsConfig(
    (1, 8, 8), 5, 4, told="set", keep=True, images=60, warm_up_epochs=0, fit_steps=0
)
FORMS = {
    "pixels": CONFIG,
    "basis": replace(CONFIG, form="basis", components=12),
    "dct": replace(CONFIG, form="dct", components=12),
}
Runs = Mapping[str, tuple[SimulationResult, list[Device]]]
ELSEWHERE = {
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX2 FMA3",
}
DRAWS = """
import json, pathlib, sys
import numpy as np
from dreamshare.algorithms.catalog import config_from
from dreamshare.algorithms.moments import synthesis
folder = pathlib.Path(sys.argv[1])
for path in folder.glob("*.npz"):
    config = config_from("moments/1", json.loads(path.with_suffix(".json").read_text()))
    with np.load(path) as sums:
        made = synthesis.told_set(config, {name: sums[name] for name in sums})
    np.save(path.with_suffix(".npy"), made.bytes_MCHW)
"""


def examples(device: int) -> ArrayData:
    """Half of the values lie at the ends of the range, as those of pictures do."""
    prototypes = np.random.default_rng(5).normal(0.3, 0.5, (5, 1, 8, 8))
    y_N = (np.arange(100) % 5).astype(np.int64)
    noise = np.random.default_rng([6, device]).normal(0, 0.3, (100, 1, 8, 8))
    return ArrayData(np.clip(prototypes[y_N] + noise, 0, 1).astype(np.float32), y_N)


@pytest.fixture(scope="module")
def runs() -> Runs:
    found = {}
    for name, config in FORMS.items():
        devices = owned([examples(number) for number in range(3)])
        virtual = [SimulatedDevice(device.learner, device.data) for device in devices]
        found[name] = (simulate(config, virtual, cohort=EVERYBODY), devices)
    return found


@pytest.mark.parametrize("form", FORMS)
def test_a_set_that_is_sent_is_the_same_to_the_bit_on_every_device(runs: Runs, form: str) -> None:
    result, devices = runs[form]
    made = kept_by_devices(result.arrays, result.metrics)
    for device in devices:
        memory = device.learner.memory()
        np.testing.assert_array_equal(memory["public.images"], result.arrays["images"])
        np.testing.assert_array_equal(memory["public.labels"], result.arrays["labels"])
        kept = public_set(device.data, made.digest, len(made), device.learner)
        assert kept.x_NCHW.tobytes() == made.x_NCHW.tobytes()


def test_a_set_that_is_drawn_elsewhere_is_the_same_to_a_grey_level(
    runs: Runs, tmp_path: Path
) -> None:
    """The public sums and the config, its seed in it, are all that a device needs."""
    for form, (result, _) in runs.items():
        names = ("totals", "mean", "covariance", "residual", "basis", "scale")
        sums = {name: result.arrays[name] for name in names if name in result.arrays}
        np.savez(tmp_path / f"{form}.npz", **sums)
        _, settings = config_json_of(replace(FORMS[form], told="sums", keep=False))
        (tmp_path / f"{form}.json").write_bytes(settings)
    words = [sys.executable, "-W", "ignore", "-c", DRAWS, str(tmp_path)]
    subprocess.run(words, check=True, env={**os.environ, **ELSEWHERE})
    for form, (result, _) in runs.items():
        here, there = result.arrays["images"], np.load(tmp_path / f"{form}.npy")
        assert here.shape == there.shape == (300, 1, 8, 8)
        apart = np.abs(here.astype(int) - there.astype(int))
        assert apart.max() <= 1, f"{form}: a grey level"
        assert (apart > 0).mean() < 0.001, form
