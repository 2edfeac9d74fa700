"""Nets in numpy against the same nets in torch: values, gradients of inputs and of parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dreamshare.learning.measures import softmax
from dreamshare.learning.plain import Trained, adam, classifier, discriminator, generator, segmenter
from dreamshare.learning.plain.layers import (
    Beside,
    Between,
    Convolution,
    Doubled,
    Halved,
    Leaky,
    Linear,
    Norm,
    Rows,
    Shaped,
)
from dreamshare.learning.plain.nets import Chain
from dreamshare.learning.plain.training import distilled


def in_torch(chain: Chain, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
    """The same chain by torch's own operations."""
    y = x.permute(0, 2, 3, 1) if chain.images_in else x
    for number, layer in enumerate(chain.layers):
        own = {n.split(".")[1]: p for n, p in parameters.items() if n.startswith(f"{number}.")}
        match layer:
            case Linear():
                y = y @ own["weight"] + own["bias"]
            case Convolution():
                weight = own["weight"].permute(3, 2, 0, 1).contiguous()
                seen = functional.conv2d(y.permute(0, 3, 1, 2), weight, own["bias"], padding=1)
                y = seen.permute(0, 2, 3, 1)
            case Norm(axes=(0, 1, 2)):
                scale, shift = own["scale"], own["shift"]
                seen = functional.batch_norm(
                    y.permute(0, 3, 1, 2), None, None, scale, shift, training=True
                )
                y = seen.permute(0, 2, 3, 1)
            case Norm():
                scale, shift = own["scale"], own["shift"]
                seen = functional.group_norm(y.permute(0, 3, 1, 2), 1, scale, shift)
                y = seen.permute(0, 2, 3, 1)
            case Leaky():
                y = functional.leaky_relu(y, 0.2)
            case Shaped():
                y = y.reshape(len(y), *layer.shape)
            case Doubled():
                seen = functional.interpolate(y.permute(0, 3, 1, 2), scale_factor=2)
                y = seen[:, :, : layer.height, : layer.width].permute(0, 2, 3, 1)
            case Halved():
                y = functional.avg_pool2d(y.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
            case Rows():
                y = y.reshape(-1, y.shape[-1])
            case Beside():
                start = f"{number}."
                inside = {n[len(start) :]: p for n, p in parameters.items() if n.startswith(start)}
                y = torch.cat([y, in_torch(layer.inner, inside, y)], dim=-1)
            case Between():
                y = layer.low + (layer.high - layer.low) * (1 + torch.tanh(y)) / 2
    return y.permute(0, 3, 1, 2) if chain.images_out else y


NETS = {
    "generator": (generator((1, 8, 8), 6, 3, -1.0, 1.0), (5, 6), (5, 1, 8, 8)),
    "odd generator": (generator((3, 7, 5), 4, 2, 0.0, 2.0), (3, 4), (3, 3, 7, 5)),
    "classifier": (classifier((1, 8, 8), 4, 3), (5, 1, 8, 8), (5, 4)),
    "odd classifier": (classifier((2, 7, 5), 3, 2), (4, 2, 7, 5), (4, 3)),
    "discriminator": (discriminator((1, 8, 8), 3), (5, 1, 8, 8), (5, 2, 2, 1)),
    "odd discriminator": (discriminator((2, 7, 5), 2), (4, 2, 7, 5), (4, 1, 1, 1)),
    "segmenter": (segmenter((1, 8, 8), 4, 3), (5, 1, 8, 8), (5 * 64, 4)),
    "odd segmenter": (segmenter((2, 6, 10), 3, 2), (4, 2, 6, 10), (4 * 60, 3)),
    "two pixels": (classifier((1, 2, 2), 3, 2), (4, 1, 2, 2), (4, 3)),
}


@pytest.mark.parametrize("name", NETS)
def test_values_and_gradients_are_torchs(name):
    chain, inputs, outputs = NETS[name]
    rng = np.random.default_rng(3)
    parameters = {
        n: (a + rng.normal(0, 0.1, a.shape)).astype(np.float32) for n, a in chain.start(rng).items()
    }
    x = rng.standard_normal(inputs).astype(np.float32)
    weights = rng.standard_normal(outputs).astype(np.float32)
    y, pull = chain.forward(parameters, x)
    back, found = pull(weights)
    leaves = {n: torch.tensor(a, requires_grad=True) for n, a in parameters.items()}
    point = torch.tensor(x, requires_grad=True)
    wanted = in_torch(chain, leaves, point)
    (wanted * torch.tensor(weights)).sum().backward()
    assert y.shape == outputs and y.dtype == back.dtype == np.float32
    np.testing.assert_allclose(y, wanted.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(back, point.grad.numpy(), rtol=1e-3, atol=1e-4)
    assert found.keys() == parameters.keys()
    for key, leaf in leaves.items():
        np.testing.assert_allclose(found[key], leaf.grad.numpy(), rtol=1e-3, atol=1e-4, err_msg=key)


def test_adam_is_torchs():
    rng = np.random.default_rng(0)
    value = rng.standard_normal(5).astype(np.float32)
    leaf = torch.tensor(value, requires_grad=True)
    optimizer = torch.optim.Adam([leaf], lr=0.1, betas=(0.5, 0.9))
    trained = Trained.start({"a": value})
    for _ in range(4):
        gradient = rng.standard_normal(5).astype(np.float32)
        leaf.grad = torch.tensor(gradient)
        optimizer.step()
        trained = adam(trained, {"a": gradient}, 0.1, (0.5, 0.9))
    np.testing.assert_allclose(trained.values["a"], leaf.detach().numpy(), rtol=1e-5)


def test_a_classifier_learns_soft_labels_and_a_seed_repeats_it():
    rng = np.random.default_rng(1)
    net = classifier((1, 4, 4), 3, 4)
    x = rng.standard_normal((12, 1, 4, 4)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
    runs = []
    for _ in range(2):
        trained = Trained.start(net.start(np.random.default_rng(7)))
        for _ in range(60):
            trained = distilled(net, trained, x, targets, 0.02, 2.0)
        runs.append(trained)
    logits = net.forward(runs[0].values, x)[0]
    assert (softmax(logits / 2.0).argmax(axis=1) == targets.argmax(axis=1)).all()
    for name, array in runs[0].values.items():
        np.testing.assert_array_equal(array, runs[1].values[name])
