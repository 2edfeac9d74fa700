"""A learner's state as one safetensors file.

Rules:
- no pickle: tensors with names under "model/", "optimizer/" and "memory/", and one short text that
  names the format and the optimiser;
- a file of another net is refused before anything is changed.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from dreamshare.errors import ConfigError
from dreamshare.learning.objectives import OPTIMIZERS
from dreamshare.updates import PublicArray


def pack(
    net: nn.Module, optimizer: tuple[str, dict[str, Tensor]], memory: Mapping[str, PublicArray]
) -> bytes:
    """Return model, optimiser (kind and tensors) and memory as bytes."""
    kind, tensors = optimizer
    named = {f"model/{name}": tensor for name, tensor in net.state_dict().items()}
    named |= {f"optimizer/{name}": tensor for name, tensor in tensors.items()}
    named |= {f"memory/{name}": torch.from_numpy(a.copy()) for name, a in memory.items()}
    named["optimizer"] = torch.tensor(OPTIMIZERS.index(kind))
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}
    return bytes(save(plain))


def unpack(
    snapshot: bytes, net: nn.Module
) -> tuple[tuple[str, dict[str, Tensor]], dict[str, PublicArray]]:
    """Load the model into `net`; return the optimiser's kind and tensors, and the memory.

    Raises:
        ConfigError: not a snapshot, or of another net.
    """
    try:
        named = load(snapshot)
        kind = OPTIMIZERS[int(named.pop("optimizer"))]
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise ConfigError(
            f"this is not a learner's snapshot ({error}); was the file cut?"
        ) from None
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "memory": {}}
    for path, tensor in named.items():
        group, _, name = path.partition("/")
        if group not in groups:
            raise ConfigError(f"a learner's snapshot holds no {path!r}; it has another format")
        groups[group][name] = tensor
    own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    stored = {name: tuple(tensor.shape) for name, tensor in groups["model"].items()}
    if own != stored:
        differing = sorted(name for name, _ in own.items() ^ stored.items())
        raise ConfigError(f"the snapshot is of another net: {differing[:4]} differ")
    net.load_state_dict(groups["model"])
    memory = {name: tensor.numpy().copy() for name, tensor in groups["memory"].items()}
    return (kind, groups["optimizer"]), memory
