"""Programs of a bundle: known answers, torch in float64, laws, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from dreamshare.errors import ConfigError
from dreamshare.learning.export import (
    Argument,
    DataArray,
    ExportError,
    ExportSettings,
    ProgramSource,
    compile,
)
from dreamshare.learning.export.program_check import draw, reference
from dreamshare.learning.export.program_sources import Net, Tensors
from dreamshare.learning.onnx.bundle import Bundle, read_bundle
from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.programs import DerivedProgram, open_program
from dreamshare.learning.onnx.signatures import TRANSFORMS
from dreamshare.learning.onnx.trial import try_graphs
from tests.unit.learning.export.programs import (
    ATTENDING,
    CURVE,
    DEEP,
    LOGISTIC,
    NET_LOSS,
    QUADRATIC,
    SHIFTED,
    X64,
    deep_net,
    smooth_net,
)

SOURCES = (QUADRATIC, LOGISTIC, CURVE, NET_LOSS, SHIFTED, ATTENDING)
ONE = np.asarray(1.0)


def exported(*sources: ProgramSource, net: nn.Module | None = None) -> Bundle:
    made = ExportSettings(batches=1, programs=sources)
    return compile(net or smooth_net(), (1, 4, 4), classes=3, settings=made)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(exported(*SOURCES).to_bytes())


def opened(bundle: Bundle, source: ProgramSource) -> DerivedProgram:
    return open_program(bundle, source.name, source.transforms, bundle.weights())


def test_a_quadratic_has_the_derivatives_that_one_computes_by_head(bundle: Bundle) -> None:
    """f = 1/2 t'At; with A symmetric, df = At and d2f v = Av, whatever t is."""
    program = opened(bundle, QUADRATIC)
    a = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 4.0]])
    theta, v = np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, -1.0])
    at = ({"theta": theta}, {"A": a})
    assert program.value(*at)["f"] == 21.0  # 1/2 [1 2 3] . [4 4 10]
    pulled = program.vjp(*at, {"f": np.asarray(2.0)})
    np.testing.assert_array_equal(pulled.gradients["theta"], [8.0, 8.0, 20.0])  # 2 A theta
    assert pulled.values["f"] == 21.0
    pushed = program.jvp(*at, {"theta": v})
    assert (pushed.values["f"], pushed.pushed["f"]) == (21.0, -6.0)  # [4 4 10] . v
    curved = program.hvp(*at, {"f": ONE}, {"theta": v})
    np.testing.assert_array_equal(curved.gradients["theta"], [4.0, 4.0, 10.0])
    np.testing.assert_array_equal(curved.products["theta"], [2.0, 2.0, -4.0])  # A v


@pytest.mark.parametrize("size", [1, 5, 32])
def test_a_logistic_loss_has_the_derivatives_of_the_textbook(bundle: Bundle, size: int) -> None:
    """With s = 1 / (1 + exp(m)): gradient -sum s y x, Hessian sum s (1 - s) x x'."""
    program, rng = opened(bundle, LOGISTIC), np.random.default_rng(size)
    x, y = rng.standard_normal((size, 5)), rng.choice([-1.0, 1.0], size)
    theta, v = rng.standard_normal(5), rng.standard_normal(5)
    at = ({"theta": theta}, {"x": x, "y": y})
    margin = y * (x @ theta)
    s = 1 / (1 + np.exp(margin))
    values = program.value(*at)
    assert values["loss"] == pytest.approx(np.log1p(np.exp(-margin)).sum(), rel=1e-12)
    assert values["count"] == size
    cotangents = {"loss": ONE, "count": np.asarray(0.0)}
    gradient = program.vjp(*at, cotangents).gradients["theta"]
    np.testing.assert_allclose(gradient, -(s * y) @ x, rtol=1e-10, atol=1e-12)
    product = program.hvp(*at, cotangents, {"theta": v}).products["theta"]
    np.testing.assert_allclose(product, x.T @ (s * (1 - s) * (x @ v)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
@pytest.mark.parametrize("size", [1, 5, 32])
def test_every_transform_is_that_of_torch(bundle: Bundle, source: ProgramSource, size: int) -> None:
    signature = bundle.manifest.programs[source.name]
    for transform in source.transforms:
        feeds = draw(signature, transform, np.random.default_rng([9, size]), size)
        program = bundle.open(signature.graph(transform), bundle.weights())
        right = reference(source, smooth_net(), feeds, transform, double=True)
        found = program.run(feeds)
        assert found.keys() == right.keys()
        for name, exact in right.items():
            rough = found[name].dtype == np.float32
            np.testing.assert_allclose(found[name], exact, atol=3e-5 if rough else 1e-10, rtol=1e-5)


def test_a_nets_loss_is_differentiated_by_its_parameters_batchnorms_too(bundle: Bundle) -> None:
    """Against plain autograd on the net itself, in evaluation mode."""
    program, net = opened(bundle, NET_LOSS), smooth_net()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, 1, 4, 4)).astype(np.float32), rng.integers(0, 3, 7)
    arguments = {f"P/{n}": p.detach().numpy() for n, p in net.named_parameters()}
    pulled = program.vjp(arguments, {"x": x, "y": y}, {"loss": np.float32(1.0) * np.ones((), "f4")})
    loss = functional.cross_entropy(net(torch.tensor(x)), torch.tensor(y), reduction="sum")
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 1e-3
        found = pulled.gradients[f"P/{name}"]
        np.testing.assert_allclose(found, parameter.grad.numpy(), atol=1e-4, err_msg=name)


def test_convolutions_pools_and_norms_have_second_derivatives() -> None:
    """The export itself compares every graph with torch at 1, 5 and 32 examples."""
    made = ExportSettings(batches=1, programs=(DEEP,))
    bundle = compile(deep_net(), (1, 8, 8), classes=3, settings=made)
    assert bundle.manifest.graphs["augmented/1.hvp"].error < 1e-5


def test_held_weights_are_the_devices_own(bundle: Bundle) -> None:
    other = smooth_net(seed=5)
    weights = {name: value.numpy() for name, value in other.state_dict().items()}
    x = np.random.default_rng(0).standard_normal((4, 1, 4, 4)).astype(np.float32)
    program = open_program(bundle, SHIFTED.name, ("value",), weights)
    found = program.value({"shift": np.zeros((1, 4, 4), np.float32)}, {"x": x})["p"]
    right = other(torch.tensor(x)).softmax(dim=1).mean(dim=0).detach().numpy()
    np.testing.assert_allclose(found, right, atol=1e-6)


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_push_forward_and_pull_back_are_adjoint(bundle: Bundle, size: int, seed: int) -> None:
    """<u, J v> = <J' u, v>, and a Hessian is symmetric."""
    program, rng = opened(bundle, CURVE), np.random.default_rng(seed)
    at = ({"w": rng.standard_normal(5), "b": _number(rng)}, {"x": rng.standard_normal((size, 5))})
    u = {"mean": rng.standard_normal(5), "size": _number(rng)}
    v, w = ({"w": rng.standard_normal(5), "b": _number(rng)} for _ in range(2))
    pulled, pushed = program.vjp(*at, u), program.jvp(*at, v)
    assert _dot(u, pushed.pushed) == pytest.approx(_dot(pulled.gradients, v), rel=1e-9, abs=1e-9)
    there, back = program.hvp(*at, u, v).products, program.hvp(*at, u, w).products
    assert _dot(w, there) == pytest.approx(_dot(back, v), rel=1e-9, abs=1e-9)


def _number(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.standard_normal())


def _dot(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> float:
    assert left.keys() == right.keys()
    return float(sum((left[name] * right[name]).sum() for name in left))


def test_programs_are_part_of_the_check_of_a_bundle(bundle: Bundle) -> None:
    try_graphs(bundle)
    entry = bundle.manifest.graphs["logistic/1.hvp"]
    assert entry.error < 1e-12
    assert set(bundle.manifest.programs) == {source.name for source in SOURCES}


X, THETA = np.ones((2, 5)), np.ones(5)
Y = np.ones(2)


@pytest.mark.parametrize(
    ("arguments", "data", "said"),
    [
        ({}, {"x": X, "y": Y}, r"argument/theta.* one side only"),
        ({"theta": THETA, "more": THETA}, {"x": X, "y": Y}, "argument/more"),
        ({"theta": THETA.astype(np.float32)}, {"x": X, "y": Y}, "float32 .*takes float64"),
        ({"theta": THETA.astype(">f8")}, {"x": X, "y": Y}, "takes float64"),
        ({"theta": np.ones(6)}, {"x": X, "y": Y}, r"takes float64 \(5,\)"),
        ({"theta": np.full(5, np.nan)}, {"x": X, "y": Y}, "not finite"),
        ({"theta": THETA}, {"x": X, "y": np.ones(3)}, r"data/y is .*takes float64 \(2,\)"),
        ({"theta": THETA}, {"x": X[:0], "y": Y[:0]}, "no example"),
        ({"theta": THETA}, {"x": THETA, "y": Y}, "data/x is"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    bundle: Bundle, arguments: dict[str, np.ndarray], data: dict[str, np.ndarray], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        opened(bundle, LOGISTIC).value(arguments, data)


def test_classes_that_do_not_exist_are_refused(bundle: Bundle) -> None:
    arguments = {f"P/{n}": p.detach().numpy() for n, p in smooth_net().named_parameters()}
    data = {"x": np.zeros((2, 1, 4, 4), np.float32), "y": np.array([0, 3])}
    with pytest.raises(ConfigError, match="outside 0 to 2"):
        opened(bundle, NET_LOSS).value(arguments, data)


def test_what_was_not_exported_or_opened_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no program 'loss/9'"):
        open_program(bundle, "loss/9", ("value",), {})
    with pytest.raises(BundleError, match="not with hvp"):
        open_program(bundle, SHIFTED.name, ("hvp",), {})
    program = open_program(bundle, LOGISTIC.name, ("value",), {})
    with pytest.raises(ConfigError, match="opened for value, not for vjp"):
        program.vjp({"theta": THETA}, {"x": X, "y": Y}, {"loss": ONE, "count": ONE})


def _convolved(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    return {"f": functional.conv2d(data["x"], arguments["k"]).sum()}


def _sorted(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    return {"f": (data["x"] @ arguments["theta"]).sort().values.mean()}


def _whole(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    return {"f": data["x"] @ arguments["theta"]}


def _branch(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    scale = 1.0 if data["x"].shape[0] > 10 else 3.0
    return {"f": (data["x"] @ arguments["theta"]).sum() * scale}


def _asks(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    total = (data["x"] @ arguments["theta"]).sum()
    return {"f": total if total > 0 else -total}


def _list(arguments: Tensors, _data: Tensors, _net: Net) -> Tensors:
    return [arguments["theta"]]  # type: ignore[return-value]


def _counts(arguments: Tensors, _data: Tensors, _net: Net) -> Tensors:
    return {"f": (arguments["theta"] > 0).sum()}


def _typo(arguments: Tensors, _data: Tensors, _net: Net) -> Tensors:
    return {"f": arguments["tehta"]}


THETA64 = (Argument("theta", (5,), "float64"),)
IMAGE64 = (DataArray("x", ("N", 1, 4, 4), "float64"),)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            ProgramSource("p/1", _convolved, (Argument("k", (1, 1, 2, 2), "float64"),), IMAGE64),
            "Conv of float64",
        ),
        (ProgramSource("p/1", _sorted, THETA64, (X64,)), "aten.sort"),
        (ProgramSource("p/1", _whole, THETA64, (X64,)), "depends on the number of examples"),
        (ProgramSource("p/1", _branch, THETA64, (X64,)), "differs from torch with 1 examples"),
        (ProgramSource("p/1", _asks, THETA64, (X64,)), "branches on values"),
        (ProgramSource("p/1", _list, THETA64), "returns list"),
        (ProgramSource("p/1", _counts, THETA64), "float32 or float64"),
        (ProgramSource("p/1", _typo, THETA64), "tehta"),
    ],
    ids=lambda value: value.function.__name__[1:] if isinstance(value, ProgramSource) else "",
)
def test_what_cannot_be_exported_is_refused_by_name(source: ProgramSource, said: str) -> None:
    with pytest.raises(ExportError, match=said):
        exported(source, net=nn.Sequential(nn.Flatten(), nn.Linear(16, 3)))


def test_mistakes_in_a_source_are_refused_before_anything_is_traced() -> None:
    def f(_arguments: Tensors, _data: Tensors, _net: Net) -> Tensors:
        return {}

    with pytest.raises(BundleError, match="a version"):
        ProgramSource("loss", f, THETA64)
    with pytest.raises(BundleError, match="transforms"):
        ProgramSource("loss/1", f, THETA64, transforms=("value", "value"))
    with pytest.raises(ConfigError, match="no argument"):
        ProgramSource("loss/1", f)
    with pytest.raises(ConfigError, match="of their own"):
        ProgramSource("loss/1", f, THETA64 * 2)
    with pytest.raises(BundleError, match="low < high"):
        Argument("a", (), low=1.0, high=1.0)
    with pytest.raises(BundleError, match="no valid shape"):
        DataArray("x", (3, "N"))
    with pytest.raises(BundleError, match="it may be"):
        Argument("a", (), "int64")
    with pytest.raises(ExportError, match="own name and version"):
        ExportSettings(programs=(LOGISTIC, LOGISTIC))
    assert set(LOGISTIC.transforms) == set(TRANSFORMS)
