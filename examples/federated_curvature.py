"""How curved a federation's loss is: products of its Hessian with vectors, summed under masks.

No device's Hessian exists anywhere; a product is one more round of the same masked sums. Power
iteration on such products gives the largest eigenvalue of the global loss, which bounds the rate of
any optimiser that descends it (2 over it). Run it as it stands:

    python examples/federated_curvature.py
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dreamshare import ArrayData, Cohort, TorchLearner
from dreamshare.autodiff import (
    Argument,
    AutodiffConfig,
    Federation,
    Program,
    Result,
    SimulatedRounds,
)
from dreamshare.learning.onnx.signatures import Argument as Shape
from dreamshare.learning.onnx.signatures import DataArray
from dreamshare.learning.torch.sources import Net, ProgramSource, Tensors
from dreamshare.simulate import SimulatedDevice, SimulatedSession

FEATURES, DEVICES = 5, 4


def logistic(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    """The mean logistic loss of a device's examples."""
    sign_N = 2.0 * data["y"].double() - 1.0
    return {"loss": functional.softplus(-sign_N * (data["x"] @ arguments["theta"])).mean()}


# What a device's application registers ...
SOURCE = ProgramSource(
    "logistic/1",
    logistic,
    (Shape("theta", (FEATURES,), "float64"),),
    (DataArray("x", ("N", FEATURES), "float64"), DataArray("y", ("N",), "int64", below=2)),
    ("value", "vjp", "hvp"),
)
# ... and what a session may ask of it, with the bounds that fix the encoding.
LOSS = Program(
    "logistic/1",
    (Argument("theta", (FEATURES,), bound=10.0, gradient=2.0, product=4.0),),
    (Result("loss", (), bound=8.0),),
    ("value", "vjp", "hvp"),
)


def device_data(place: int) -> ArrayData:
    """Return a device's own examples."""
    rng = np.random.default_rng([1, place])
    x = np.clip(rng.normal(0, 0.7, (30, FEATURES)), -2, 2).astype(np.float32)
    return ArrayData(x, (x @ np.linspace(1, -1, FEATURES) + rng.normal(0, 0.5, 30) > 0).astype(int))


def top_eigenvalue(fed: Federation, theta: Tensor, steps: int = 12) -> tuple[float, Tensor]:
    """Return the largest eigenvalue of the mean loss's Hessian, and its eigenvector."""
    vector = torch.ones_like(theta) / theta.numel() ** 0.5
    product = fed.hvp(lambda at: fed.mean(LOSS, at))
    for _ in range(steps):
        moved = product(theta, vector)
        vector = moved / moved.norm()
    return float(vector @ product(theta, vector)), vector


def main() -> None:
    """Simulate four devices, masks on, and print the eigenvalue."""
    devices = [
        SimulatedDevice(TorchLearner(nn.Flatten(), classes=2, programs=[SOURCE]), device_data(i))
        for i in range(DEVICES)
    ]
    config, cohort = AutodiffConfig((LOSS,)), Cohort(least=DEVICES, most=DEVICES)
    with SimulatedSession(config, devices, cohort=cohort) as session:
        fed = Federation(SimulatedRounds(session), config, cohort)
        value, _ = top_eigenvalue(fed, torch.zeros(FEATURES, dtype=torch.float64))
        print(f"largest eigenvalue {value:.4f} after {len(fed.ledger)} rounds")


if __name__ == "__main__":
    main()
