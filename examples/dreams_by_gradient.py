"""Dreams, the heart of `codream/1`, in eight lines: a federated gradient by shared inputs.

Devices have nets of their own, with different architectures. The program is the entropy of a net's
answer to dreams; its federated gradient by the dreams is what CoDream's devices answer. Run it as
it stands:

    python examples/dreams_by_gradient.py
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

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
from dreamshare.learning.torch.sources import Net, ProgramSource, Tensors
from dreamshare.simulate import SimulatedDevice, SimulatedSession

DREAMS, DEVICES = (6, 1, 2, 2), 3


def entropy(arguments: Tensors, _data: Tensors, net: Net) -> Tensors:
    """How undecided a device's net is about the dreams, summed over them."""
    log_p_BK = net(arguments["dreams"]).log_softmax(1)
    return {"entropy": -(log_p_BK.exp() * log_p_BK).sum()}


SOURCE = ProgramSource("entropy/1", entropy, (Shape("dreams", DREAMS, "float32"),))
ENTROPY = Program(
    "entropy/1",
    (Argument("dreams", DREAMS, "float32", bound=100.0, gradient=2.0),),
    (Result("entropy", (), "float32", bound=20.0),),
    ("value", "vjp"),
)


def dream(fed: Federation, dreams: Tensor, steps: int, rate: float) -> Tensor:
    """Return dreams that the devices' nets are surer of."""
    slope = fed.grad(lambda x: fed.mean(ENTROPY, x))
    dreams = dreams.clone().requires_grad_()
    server = torch.optim.Adam([dreams], lr=rate)
    for _ in range(steps):
        dreams.grad = slope(dreams)
        server.step()
    return dreams.detach()


def net_of(place: int) -> nn.Module:
    """Return a net of a device's own: each is a little wider than the one before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(place)
        width = 6 + 2 * place
        return nn.Sequential(nn.Flatten(), nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))


def main() -> None:
    """Simulate three devices, masks on, and print how sure their nets become."""
    own = ArrayData(np.zeros((4, 1, 2, 2), np.float32), np.zeros(4, np.int64))
    devices = [
        SimulatedDevice(TorchLearner(net_of(i), classes=3, programs=[SOURCE]), own)
        for i in range(DEVICES)
    ]
    config, cohort = AutodiffConfig((ENTROPY,)), Cohort(least=DEVICES, most=DEVICES)
    with SimulatedSession(config, devices, cohort=cohort) as session:
        fed = Federation(SimulatedRounds(session), config, cohort)
        first = torch.randn(DREAMS, generator=torch.Generator().manual_seed(0))
        before = float(fed.mean(ENTROPY, first))
        after = float(fed.mean(ENTROPY, dream(fed, first, steps=10, rate=0.2)))
        print(f"entropy {before:.3f}, after ten rounds {after:.3f} nats")


if __name__ == "__main__":
    main()
