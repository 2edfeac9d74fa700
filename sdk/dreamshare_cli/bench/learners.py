"""The learners of a cell: by torch, or by onnxruntime where a bundle exists.

Rules:
- a learner's first weights are a function of the cell's seed and the device's place alone;
- nothing global is set; what a process may compute with is the business of `work`.
"""

from __future__ import annotations

from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Learner
from dreamshare_cli.bench.recipe import DevicePlan
from dreamshare_cli.demo.first_weights import first_weights, shapes_of
from dreamshare_cli.demo.setting import ARCHITECTURES, net_seed

STUDENT_PLACE = 900
"""In the seed of a student's first weights; devices count from 0."""

Shape = tuple[int, int, int]


def make_learner(
    plan: DevicePlan, architecture: str, shape: Shape, classes: int, seed: int, place: int
) -> Learner:
    """Return a learner with fresh weights.

    Args:
        plan: says by what it computes.
        architecture: as in the plan.
        shape: (C, H, W) of an input.
        classes: K.
        seed: the cell's.
        place: of the device, from 0; decides the weights.

    Raises:
        ConfigError: architecture, runtime or device are not to be had here.
    """
    if plan.runtime == "onnx":
        return _onnx(architecture, shape, classes, net_seed(seed, place))
    from dreamshare.learning.torch import TorchLearner
    from dreamshare_cli.bench import nets

    device = nets.best_device(plan.device)
    net = nets.build(architecture, shape, classes, net_seed(seed, place))
    return TorchLearner(net, classes=classes, device=device, channels_last=True)


def _onnx(architecture: str, shape: Shape, classes: int, seed: int) -> Learner:
    from dreamshare.learning.onnx.bundle import read_bundle
    from dreamshare.learning.onnx.learner import OnnxLearner
    from dreamshare_cli.demo.bundles import demo_bundle

    known = architecture in ARCHITECTURES
    if not known and not architecture.endswith(".dream"):
        raise ConfigError(
            f"architecture {architecture!r} has no bundle: with runtime 'onnx' name one of "
            f"{', '.join(ARCHITECTURES)} (8x8 inputs), or a bundle's path, NAME.dream"
        )
    bundle = demo_bundle(architecture) if known else read_bundle(Path(architecture))
    held = bundle.manifest
    if (held.shape, held.classes) != (shape, classes):
        raise ConfigError(
            f"the bundle of {architecture} takes {held.shape} and {held.classes} classes, the data "
            f"has {shape} and {classes}; export one that fits: dreamshare export"
        )
    learner = OnnxLearner(bundle)
    if known:  # a bundle of your own starts from the weights that are in it
        learner.load_parameters(first_weights(shapes_of(learner), seed))
    return learner
