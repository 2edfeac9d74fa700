"""What a device answers to `autodiff/1`: equal to torch.func, on torch and by a bundle's graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from dreamshare.algorithms.autodiff import Autodiff, AutodiffConfig
from dreamshare.algorithms.autodiff.requests import read_call, tensors_of
from dreamshare.algorithms.base import Ask, Crowd, Done, Question, Wait
from dreamshare.algorithms.catalog import algorithm_from, config_json_of
from dreamshare.algorithms.checkpoint import decode_state, encode_state
from dreamshare.errors import ConfigError
from dreamshare.learning.programs import ProgramCall, Wanted
from dreamshare.updates import Array, PublicArray
from tests.autodiff.programs import BEND, FEATURES, LOSS, TERMS, data_of, learner_of
from tests.unit.learning.export.programs import curve

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
"""torch.func.jvp loads torch's own scripts of formulas."""

CONFIG = AutodiffConfig(TERMS)
RNG = np.random.default_rng(3)
POINT = {"w": RNG.normal(0, 0.5, FEATURES), "b": np.array(0.3)}
COTANGENTS = {"mean": RNG.uniform(-1, 1, FEATURES), "size": np.array(0.7)}
TANGENTS = {"w": RNG.uniform(-1, 1, FEATURES), "b": np.array(-0.4)}
BOTH = BEND.sets.index(("w", "b"))


def request(wanted: Wanted, tangents: dict[str, Array] | None = None) -> dict[str, PublicArray]:
    pulls, pushes = wanted.by is not None, bool({"pushed", "product"} & set(wanted.groups))
    given = TANGENTS if tangents is None else tangents
    call = ProgramCall(
        wanted.program,
        wanted.groups,
        (),
        POINT,
        COTANGENTS if pulls else {},
        given if pushes else {},
    )
    return tensors_of(BEND, call, 11)


def ask(wanted: Wanted, tensors: dict[str, PublicArray]) -> Ask:
    return Ask(wanted.step, BEND.fields(wanted), tensors)


def expected() -> dict[str, Array]:
    """The four groups by torch.func."""
    x = torch.tensor(data_of(1)._x, dtype=torch.float64)

    def program(w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        found = curve({"w": w, "b": b}, {"x": x}, lambda x: x)
        return found["mean"], found["size"]

    def loss(w: Tensor, b: Tensor) -> Tensor:
        mean, size = program(w, b)
        return (mean * torch.tensor(COTANGENTS["mean"])).sum() + 0.7 * size

    primals = (torch.tensor(POINT["w"]), torch.tensor(POINT["b"]))
    tangents = (torch.tensor(TANGENTS["w"]), torch.tensor(TANGENTS["b"]))
    value, pushed = torch.func.jvp(program, primals, tangents)
    gradient, product = torch.func.jvp(torch.func.grad(loss, (0, 1)), primals, tangents)
    groups = {"value": value, "gradient": gradient, "pushed": pushed, "product": product}
    return {f"{group}_{i}": t.numpy() for group, two in groups.items() for i, t in enumerate(two)}


@pytest.mark.parametrize("kind", ["torch", "onnx"])
@pytest.mark.parametrize("wanted", BEND.asks(), ids=lambda wanted: wanted.step)
def test_every_evaluation_equals_autograd(kind: str, wanted: Wanted) -> None:
    update = Autodiff(CONFIG).local(
        ask(wanted, request(wanted)), learner_of(kind), data_of(1), np.random.default_rng(0)
    )
    fields = [field.name for field in BEND.fields(wanted)]
    assert list(update.arrays) == fields
    assert float(update.arrays["clipped"]) == 0.0
    truth = expected()
    for name in fields[:-1]:
        np.testing.assert_allclose(update.arrays[name], truth[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_tangent_that_is_left_out_is_zero(kind: str) -> None:
    wanted = Wanted("curve/2", ("pushed", "product"), BOTH)

    def answer(tangents: dict[str, Array]) -> dict[str, Array]:
        asked = ask(wanted, request(wanted, tangents))
        made = Autodiff(CONFIG).local(asked, learner_of(kind), data_of(1), np.random.default_rng())
        return dict(made.arrays)

    short, full = answer({"b": TANGENTS["b"]}), answer({"w": np.zeros(5), "b": TANGENTS["b"]})
    for name, array in full.items():
        np.testing.assert_allclose(short[name], array, rtol=1e-12, atol=1e-15)


def test_clipping_is_counted() -> None:
    tight = replace(BEND, results=tuple(replace(r, bound=1e-3) for r in BEND.results))
    wanted = Wanted("curve/2", ("value",))
    asked = Ask(wanted.step, tight.fields(wanted), request(wanted))
    made = Autodiff(AutodiffConfig((tight,))).local(
        asked, learner_of("torch"), data_of(0), np.random.default_rng(0)
    )
    assert float(made.arrays["clipped"]) == 1.0


def test_a_seed_chooses_the_same_examples_again() -> None:
    few = replace(BEND, examples=2)
    wanted = Wanted("curve/2", ("value",))

    def answer(seed: int) -> Array:
        tensors = request(wanted) | {"seed": np.array(seed)}
        made = Autodiff(AutodiffConfig((few,))).local(
            Ask(wanted.step, few.fields(wanted), tensors),
            learner_of("torch"),
            data_of(0),
            np.random.default_rng(seed + 1),
        )
        return made.arrays["value_0"]

    assert np.array_equal(answer(1), answer(1))
    assert len({answer(seed).tobytes() for seed in range(6)}) > 1


VALUE, PUSHED = Wanted("curve/2", ("value",)), Wanted("curve/2", ("pushed",))
GRADIENT = Wanted("curve/2", ("gradient",), BOTH)
BROKEN: dict[str, tuple[Wanted, Callable[[dict[str, PublicArray]], object], str]] = {
    "missing": (VALUE, lambda t: t.pop("argument_1"), "an argument is missing"),
    "cotangent": (GRADIENT, lambda t: t.pop("cotangent_0"), "a cotangent is missing"),
    "tangent": (PUSHED, lambda t: [t.pop(f"tangent_{i}") for i in (0, 1)], "there is no tangent"),
    "too many": (VALUE, lambda t: t.update(cotangent_0=COTANGENTS["mean"]), "not asked for"),
    "shape": (VALUE, lambda t: t.update(argument_1=np.zeros(2)), "the terms say"),
    "dtype": (VALUE, lambda t: t.update(argument_1=np.array(1, np.int64)), "the terms say"),
    "bound": (VALUE, lambda t: t.update(argument_1=np.array(11.0)), "beyond 10"),
    "unit": (GRADIENT, lambda t: t.update(cotangent_1=np.array(1.01)), "beyond 1"),
    "nan": (VALUE, lambda t: t.update(argument_1=np.array(np.nan)), "not finite"),
    "seed": (VALUE, lambda t: t.update(seed=np.array(-1)), "no seed"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_does_not_keep_to_the_terms_is_refused(case: str) -> None:
    wanted, damage, said = BROKEN[case]
    tensors = request(wanted)
    read_call(BEND, wanted, tensors)
    damage(tensors)
    with pytest.raises(ConfigError, match=said):
        read_call(BEND, wanted, tensors)


@pytest.mark.parametrize(
    "step", ["", "curve/2", "curve/2:value:0", "curve/2:gradient", "curve/2:gradient+value:0"]
)
def test_a_step_is_written_in_one_way(step: str) -> None:
    with pytest.raises(ConfigError):
        Wanted.parse(step)


def test_terms_that_do_not_fit_an_offer_are_refused() -> None:
    many = tuple(replace(BEND, name=f"curve/{i}") for i in range(1, 6))
    with pytest.raises(ConfigError, match="an offer holds 64"):
        AutodiffConfig(many)


def test_a_session_waits_asks_and_ends() -> None:
    name, raw = config_json_of(CONFIG)
    algorithm = algorithm_from(name, raw)
    assert isinstance(algorithm, Autodiff)
    assert algorithm.config == CONFIG
    state = algorithm.init(np.random.default_rng(0))
    assert algorithm.plan(state) == Wait(64)
    state = algorithm.hear(state, Question(VALUE.step, request(VALUE)))
    asked = algorithm.plan(state)
    assert isinstance(asked, Ask)
    assert (asked.step, asked.sums, asked.cycle) == (VALUE.step, 64, 0)
    with pytest.raises(ConfigError, match="a question is open"):
        algorithm.hear(state, Question(VALUE.step, request(VALUE)))
    state = decode_state(encode_state(state), type(state))
    mean = {field.name: np.full(field.shape, 0.5) for field in asked.fields}
    state = algorithm.merge(state, mean, Crowd(5, 4))
    assert (state.survivors, float(state.sums["value_1"])) == (4, 2.0)
    assert algorithm.plan(state) == Wait(63)
    assert isinstance(algorithm.plan(algorithm.hear(state, Question(""))), Done)


def test_questions_beyond_the_terms_are_refused_where_they_arrive() -> None:
    algorithm = Autodiff(AutodiffConfig((replace(LOSS, transforms=("value",)),)))
    state = algorithm.init(np.random.default_rng(0))
    for step in ("curve/2:value", "logistic/1:gradient:0", "sum"):
        with pytest.raises(ConfigError):
            algorithm.hear(state, Question(step, request(VALUE)))


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_device_evaluates_what_it_has_registered(kind: str) -> None:
    call = ProgramCall("stolen/1", ("value",), (), POINT)
    batch = next(data_of(0).batches(np.random.default_rng(0), 6))
    learner = learner_of(kind)
    with pytest.raises(ConfigError, match="stolen/1"):
        learner.evaluate(call, batch)  # type: ignore[attr-defined]
