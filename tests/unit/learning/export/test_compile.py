"""Exported graphs against torch in float64, batch sizes that were not traced, refusals."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import numpy as np
import onnx
import pytest
import torch
from benchmarks.onnx_nets import COVERED, build
from torch import Tensor, nn

from dreamshare.learning.export import ExportError, ExportSettings, compile, supported_operators
from dreamshare.learning.export.cache import cached
from dreamshare.learning.export.check import FLOOR, checked, floor_of
from dreamshare.learning.export.comparing import compare
from dreamshare.learning.export.versions import check_versions
from dreamshare.learning.objectives import DreamObjective
from dreamshare.learning.onnx.bundle import Bundle, read_bundle
from dreamshare.learning.onnx.calls import dream_feeds, dream_result, scalar
from dreamshare.learning.onnx.trial import try_graphs
from dreamshare.learning.torch import TorchLearner

QUICK = [name for name, covered in COVERED.items() if covered.quick]
ONCE = ExportSettings(batches=1)


def exported(name: str, seed: int = 0) -> Bundle:
    covered = COVERED[name]
    return compile(build(name, seed), covered.shape, classes=covered.classes, settings=ONCE)


@pytest.fixture(scope="session")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """Return bundles by name, each made once for all workers of a session."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "bundles"
    return lambda name: cached(folder, name, lambda: exported(name))[0]


@pytest.mark.parametrize("name", QUICK)
def test_graphs_lose_no_more_than_rounding(name: str, bundle_of: Callable[[str], Bundle]) -> None:
    bundle = bundle_of(name)
    net = build(name)
    for graph in checked(bundle):
        found = compare(bundle, net, graph, size=6, batches=3, seed=7, sure=True)
        assert found.holds(floor_of(graph)), (graph, median(found.onnx), median(found.torch))
    try_graphs(read_bundle(bundle.to_bytes()))  # batch 1, too


def test_graphs_are_plain_and_name_nothing_of_this_machine(
    bundle_of: Callable[[str], Bundle],
) -> None:
    bundle = bundle_of("MLP")
    for member, content in bundle.members.items():
        if member.endswith(".onnx"):
            model = onnx.load_model_from_string(content)
            onnx.checker.check_model(model) if member.startswith(("train", "grad")) else None
            assert {each.domain for each in model.opset_import} == {""}
            assert {node.domain for node in model.graph.node} == {""}
            assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
            assert b".py" not in content
            assert b"site-packages" not in content


def test_the_same_net_gives_the_same_bytes(bundle_of: Callable[[str], Bundle]) -> None:
    bundle = bundle_of("MLP")
    assert exported("MLP").to_bytes() == bundle.to_bytes()
    assert exported("MLP", seed=1).manifest.model != bundle.manifest.model


def test_export_leaves_the_net_as_it_was() -> None:
    net = build("Conv1d").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    compile(net, (6, 64), classes=5, settings=ONCE)
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_new_weights_are_used_and_not_the_exported_ones(
    bundle_of: Callable[[str], Bundle],
) -> None:
    """A session's weights are overlaid before constants are folded."""
    bundle = bundle_of("SmallCNN")
    other = build("SmallCNN", seed=3)
    weights = {name: value.numpy() for name, value in other.state_dict().items()}
    x = np.random.default_rng(0).standard_normal((4, 1, 28, 28)).astype(np.float32)
    found = bundle.open("logits", weights).run({"x": x})["logits"]
    right = other(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(found, right, atol=1e-5)


def test_a_cotangent_gives_the_gradient_of_the_logits_and_a_student_gets_one(
    bundle_of: Callable[[str], Bundle],
) -> None:
    net, bundle = build("MLP"), bundle_of("MLP")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 1, 8, 8)).astype(np.float32)
    cotangent = rng.standard_normal((3, 10)).astype(np.float32)
    student = rng.standard_normal((3, 10)).astype(np.float32)
    feeds = dream_feeds(bundle.manifest, x, DreamObjective(feature_weight=0.0))
    feeds |= {"entropy_weight": np.zeros(3, np.float32), "cotangent": cotangent}
    program = bundle.open("dream_grad", bundle.weights())
    point = torch.tensor(x, requires_grad=True)
    (right,) = torch.autograd.grad((net(point) * torch.tensor(cotangent)).sum(), point)
    np.testing.assert_allclose(program.run(feeds)["gradient"], right.numpy(), atol=1e-5)

    feeds |= {"student": student, "adversarial": scalar(2.0), "cotangent": np.zeros_like(cotangent)}
    found = program.run(feeds)
    given = torch.tensor(student, requires_grad=True)
    p, q = net(torch.tensor(x)).softmax(1).detach(), given.softmax(1)
    middle = ((p + q) / 2).log()
    apart = 0.5 * ((p * (p.log() - middle)).sum(1) + (q * (q.log() - middle)).sum(1)).mean()
    (wanted,) = torch.autograd.grad(-3 * 2.0 * apart, given)  # 3 dreams, weight 2
    assert float(found["apart"]) == pytest.approx(float(apart.detach()), rel=1e-4)
    np.testing.assert_allclose(found["student_cotangent"], wanted.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "objective",
    [
        DreamObjective(labels_B=np.array([0, 3, 9]), feature_weight=3.0),
        DreamObjective(
            labels_B=np.array([1, 1, 2]),
            weights_B=np.array([0.5, 0.0, 2.0], np.float32),
            feature_weight=0.0,
        ),
        DreamObjective(feature_weight=1.0, diversity=0.7),
    ],
    ids=["labels and statistics", "weighted labels", "entropy and diversity"],
)
def test_a_dreams_gradient_and_terms_are_those_of_the_torch_learner(
    objective: DreamObjective, bundle_of: Callable[[str], Bundle]
) -> None:
    """One seed gives both the same weights; the learner computes each term with torch."""
    bundle = bundle_of("MLP")
    x = np.random.default_rng(1).standard_normal((3, *COVERED["MLP"].shape)).astype(np.float32)
    program = bundle.open("dream_grad", bundle.weights())
    found = dream_result(program.run(dream_feeds(bundle.manifest, x, objective)), objective)
    right = TorchLearner(build("MLP"), classes=10).input_gradient(x, objective)
    np.testing.assert_allclose(found.gradient_NCHW, right.gradient_NCHW, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.logits_NK, right.logits_NK, rtol=1e-4, atol=1e-5)
    assert dict(found.terms) == pytest.approx(dict(right.terms), rel=1e-4)


def test_ties_of_a_max_pool_give_their_gradient_to_one_pixel() -> None:
    net = nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(16, 2))
    bundle = compile(net, (1, 8, 8), classes=2, settings=ONCE)
    x = np.ones((2, 1, 8, 8), np.float32)
    objective = DreamObjective(labels_B=np.array([0, 1]), feature_weight=0.0)
    found = bundle.open("dream_grad", bundle.weights()).run(
        dream_feeds(bundle.manifest, x, objective)
    )
    point = torch.tensor(x, requires_grad=True)
    loss = nn.functional.cross_entropy(net(point), torch.tensor([0, 1]), reduction="sum")
    (right,) = torch.autograd.grad(loss, point)
    np.testing.assert_allclose(found["gradient"], right.numpy(), atol=1e-6)


def test_an_eight_bit_forward_graph_is_close_and_measured() -> None:
    settings = ExportSettings(batches=1, quantize=True)
    bundle = compile(build("SmallCNN"), (1, 28, 28), classes=10, settings=settings)
    entry = bundle.manifest.graphs["logits_int8"]
    assert FLOOR < entry.error < 0.05
    assert entry.weights == ()
    assert len(bundle.members[entry.member]) < 40_000  # 14,000 parameters, one byte each


class Sorted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).sort(dim=1).values


class Fixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.reshape(13, -1))


def headed(layer: nn.Module) -> nn.Module:
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(4, 3))


@pytest.mark.parametrize(
    ("net", "shape", "said"),
    [
        (Sorted(), (4,), "aten.sort"),
        (headed(nn.MaxPool2d(2, ceil_mode=True)), (1, 3, 3), "ceil_mode"),
        (headed(nn.AdaptiveAvgPool2d(2)), (1, 5, 5), "divide"),
        (nn.Flatten(), (3,), "no trainable"),
        (nn.GRU(4, 3), (2, 4), "GRU"),
        (nn.LSTM(4, 3), (2, 4), "LSTM"),
        (Fixed(), (4,), "batch"),
    ],
)
def test_what_is_not_translated_is_refused_by_name(
    net: nn.Module, shape: tuple[int, ...], said: str
) -> None:
    with pytest.raises(ExportError, match=said):
        compile(net, shape, classes=3, settings=ONCE)


def test_an_untested_torch_is_refused() -> None:
    check_versions("2.13.7+cpu")
    with pytest.raises(ExportError, match=r"2\.1 was not tested"):
        check_versions("2.1")


def test_supported_operators_are_named() -> None:
    assert {"aten.convolution", "aten.relu", "aten.bmm"} <= set(supported_operators())
