"""A net is tried in torch before it is traced: what cannot become a bundle is told in plain words.

Rules:
- everything is tried on a copy; the net's state and the global generator stay as they were;
- what is looked at: layers, types of the state, one forward pass and its gradient for the input,
  the shape of what comes back, buffers that training moves. What is left is up to the tracer.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dreamshare.learning.export.refusals import ExportError, first_line, unsupported

Norm = nn.modules.batchnorm._BatchNorm
_KEPT = (torch.float32, torch.int64, torch.bool)
_EXAMPLES = 2
_RECURRENT = (
    "write it as a cell (torch.nn.GRUCell, torch.nn.LSTMCell) in a Python loop over the steps, or "
    "use convolutions over time; a recurrent layer of torch hides its loop from the tracer"
)


def inspect_net(net: nn.Module, shape: tuple[int, ...], classes: int) -> tuple[int, ...]:
    """Refuse a net that cannot be exported; return (H, W) where it labels pixels, else ().

    Raises:
        ExportError: says what was found and what to do.
    """
    where = type(net).__name__
    _check_layers(net, where)
    _check_state(net, where)
    trial = copy.deepcopy(net).to("cpu").eval()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        places = _check_forward(trial, where, shape, classes)
        _check_buffers(trial, where, shape)
    return places


def _check_layers(net: nn.Module, where: str) -> None:
    if isinstance(net, torch.jit.ScriptModule):
        raise ExportError(f"{where} is a TorchScript module; export the Python module it came from")
    if any(is_lazy(value) for value in (*net.parameters(), *net.buffers())):
        raise ExportError(
            f"{where} has lazy layers whose sizes are not known yet; run one batch through it in "
            "the function that makes it, or give the sizes"
        )
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise ExportError(
            f"{where} has no trainable parameter; there is no step to export. Leave "
            "requires_grad of at least one parameter True"
        )
    for path, module in net.named_modules():
        name = f"{type(module).__name__} ({path or 'the net itself'})"
        if isinstance(module, nn.RNNBase):
            raise unsupported(name, where, _RECURRENT)
        if isinstance(module, nn.SyncBatchNorm):
            raise unsupported(name, where, "use BatchNorm1d or BatchNorm2d with the same state")
        if isinstance(module, nn.modules.instancenorm._InstanceNorm):
            raise unsupported(name, where, "GroupNorm(channels, channels) computes the same")
        if isinstance(module, nn.utils.parametrizations._SpectralNorm):
            raise unsupported("spectral_norm", where, "its vectors move while a net trains")


def _check_state(net: nn.Module, where: str) -> None:
    for name, value in (*net.named_parameters(), *net.named_buffers()):
        if value.is_meta:
            raise ExportError(
                f"{where}: {name} is on the device 'meta' and has no values; load the weights first"
            )
        if value.dtype not in _KEPT:
            mend = "net.float()" if value.dtype.is_floating_point else "a buffer of int64"
            raise ExportError(
                f"{where}: {name} holds {value.dtype}; bundles hold float32, int64 and bool: "
                f"return {mend} from the function that makes the net"
            )
        if not bool(torch.isfinite(value).all()):
            raise ExportError(
                f"{where}: {name} holds values that are not finite; load weights that are"
            )


def _check_forward(
    net: nn.Module, where: str, shape: tuple[int, ...], classes: int
) -> tuple[int, ...]:
    """One batch through the net; its logits must depend on it. Returns the axes of its labels."""
    x = torch.rand(_EXAMPLES, *shape, generator=torch.Generator().manual_seed(0))
    given = f"a batch of shape {(_EXAMPLES, *shape)}"
    x.requires_grad_(True)
    try:
        logits = net(x)
    except Exception as error:
        raise _failed(where, given, error) from error
    if not isinstance(logits, Tensor):
        raise ExportError(
            f"{where} returns {type(logits).__name__} for {given}; a net returns one tensor, its "
            "logits: wrap it in a module whose forward picks them"
        )
    places = tuple(logits.shape[2:])
    if logits.dim() not in (2, 4) or logits.shape[0] != _EXAMPLES or places not in ((), shape[1:]):
        raise ExportError(
            f"{where} returns shape {tuple(logits.shape)} for {given}, not one row of logits for "
            "each example, (N, classes), nor one for each of its pixels, (N, classes, H, W); "
            "flatten or pool before the last layer, or give pixels their image's size"
        )
    if logits.shape[1] != classes:
        raise ExportError(
            f"{where} returns {logits.shape[1]} logits for each example, and you said {classes} "
            f"classes; say {logits.shape[1]}, or change the last layer"
        )
    slope = None
    if logits.requires_grad:
        (slope,) = torch.autograd.grad(logits.sum(), x, allow_unused=True)
    if slope is None:
        raise ExportError(
            f"the logits of {where} have no gradient with respect to its input, so it cannot "
            "dream; leave out no_grad, detach, numpy, and indices made from the input"
        )
    return places


def _failed(where: str, given: str, error: Exception) -> ExportError:
    said = first_line(error)
    if isinstance(error, TypeError) and "argument" in said:
        return ExportError(
            f"{where} cannot be called with one tensor ({said}); a net takes x alone: wrap it in a "
            "module whose forward(x) gives the other arguments"
        )
    if "in-place" in said:
        return ExportError(
            f"{where} changes its input in place ({said}); write x = x - 1, not x -= 1"
        )
    return ExportError(
        f"{where} fails on {given} ({type(error).__name__}: {said}); is --shape one input of the "
        "net, without the batch?"
    )


def _check_buffers(net: nn.Module, where: str, shape: tuple[int, ...]) -> None:
    """Only the statistics of BatchNorm may move while a net trains."""
    norms = {path for path, module in net.named_modules() if isinstance(module, Norm)}
    before = {
        name: buffer.clone()
        for name, buffer in net.named_buffers()
        if name.rpartition(".")[0] not in norms
    }
    if not before:
        return
    net.train()
    with torch.no_grad():
        net(torch.rand(_EXAMPLES, *shape, generator=torch.Generator().manual_seed(1)))
    after = dict(net.named_buffers())
    moved = [name for name, buffer in before.items() if not torch.equal(after[name], buffer)]
    if moved:
        raise ExportError(
            f"{where} changes its buffer {moved[0]} while it computes; of what a forward pass "
            "writes, only the statistics of BatchNorm travel: leave out counters and averages"
        )
