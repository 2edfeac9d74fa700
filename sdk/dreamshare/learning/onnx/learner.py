"""A learner around a bundle: everything that `TorchLearner` offers, by onnxruntime and numpy.

Shape legend: N batch, C channels, H height, W width, K classes. A bundle that labels pixels has a
row of logits for each of them, as `base` says.

Rules:
- weights and optimiser state are arrays of this object; what a method changes, it replaces whole:
  a method that raises leaves them as they were after the last finished step;
- sessions that classify and dream are bound to the weights they were made with, and are made anew
  when the weights have changed;
- dropout is off, in training, too (`dreamshare.learning.export`);
- a snapshot has the layout of the torch learner's, so a device may change from one to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, InputGradient, ParameterGradient
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.onnx import snapshots
from dreamshare.learning.onnx.bundle import Bundle
from dreamshare.learning.onnx.calls import dream_feeds, dream_result, folded, pooled
from dreamshare.learning.onnx.evaluating import evaluate
from dreamshare.learning.onnx.runtime import Program, Runtime
from dreamshare.learning.onnx.training import Training, TrainState
from dreamshare.learning.programs import ProgramCall
from dreamshare.updates import Array, PublicArray

EVALUATION_BATCH = 512
"""Most examples per run of `logits`; changes no result."""


class OnnxLearner:
    """Everything that `dreamshare.learning.base.Learner` asks for.

    Args:
        bundle: what `dreamshare export` made; its weights are the first ones.
        runtime: threads, memory arena, execution providers and the budget of memory.

    Raises:
        BundleError: the bundle's weights are not those that its manifest names.
    """

    def __init__(self, bundle: Bundle, *, runtime: Runtime | None = None) -> None:
        self.classes = bundle.manifest.classes
        self._bundle = bundle
        self._runtime = runtime or Runtime()
        self._training = Training(bundle, self._runtime)
        stored = bundle.weights()
        self._state = TrainState({name: stored[name] for name in bundle.manifest.state})
        self._memory: dict[str, PublicArray] = {}
        self._bound: dict[str, Program] = {}

    def logits(self, x_NCHW: Floats) -> Floats:
        """Return logits_NK in evaluation mode.

        Raises:
            ConfigError: inputs of another shape, or one example needs more than the budget.
        """
        self._check_shape(x_NCHW)
        parts = [np.zeros((0, self.classes), np.float32)]
        program = self._program("logits")
        size = min(EVALUATION_BATCH, self._runtime.most_examples(program.entry))
        for start in range(0, len(x_NCHW), size):
            x = np.ascontiguousarray(x_NCHW[start : start + size], np.float32)
            logits = program.run({"x": x})["logits"].astype(np.float32, copy=False)
            parts.append(logits.reshape(-1, self.classes))
        return np.concatenate(parts)

    def input_gradient(self, x_NCHW: Floats, objective: DreamObjective) -> InputGradient:
        """Return the gradient of `objective` at x_NCHW in evaluation mode.

        Raises:
            ConfigError: the objective does not fit the batch or the net, or the batch the budget.
        """
        self._check_shape(x_NCHW)
        if objective.student_BK is not None and objective.adversarial != "jsd":
            objective.check(len(x_NCHW) * self._bundle.manifest.rows, self.classes)
            fold = folded(objective, objective.student_BK, self.logits(x_NCHW))
            found = self.input_gradient(x_NCHW, fold.objective)
            terms = {**found.terms, "adversarial": fold.term}
            return replace(found, terms=terms, student_cotangent_BK=fold.student_NK)
        feeds = dream_feeds(self._bundle.manifest, x_NCHW, objective)
        program = self._program("dream_grad")
        self._runtime.check(program.entry, len(x_NCHW))
        return dream_result(program.run(feeds), objective)

    def parameter_gradient(self, batch: Batch) -> ParameterGradient:
        """Return loss and gradient of labelled examples (see `GivesParameterGradients`).

        Raises:
            ConfigError: examples without labels or of another shape, or one needs more than the
                budget.
        """
        self._check_shape(batch.x_NCHW)
        return self._training.gradient(self._state, batch)

    def feature_statistics(self, x_NCHW: Floats) -> Mapping[str, Floats]:
        """Return statistics of LayerNorm and GroupNorm inputs (see `GivesFeatureStatistics`).

        Raises:
            ConfigError: inputs of another shape, or one example needs more than the budget.
        """
        if not self._bundle.manifest.own_statistics or len(x_NCHW) == 0:
            return {}
        self._check_shape(x_NCHW)
        program = self._program("statistics")
        size = min(EVALUATION_BATCH, self._runtime.most_examples(program.entry))
        batches = [
            np.ascontiguousarray(x_NCHW[start : start + size], np.float32)
            for start in range(0, len(x_NCHW), size)
        ]
        return pooled([(len(x), program.run({"x": x})) for x in batches])

    def evaluate(self, call: ProgramCall, batch: Batch) -> Mapping[str, Array]:
        """Return what is wanted of one of the bundle's programs (see `EvaluatesPrograms`)."""
        return evaluate(self._bundle, self._state.weights, self._runtime, call, batch)

    def fit(self, steps: Iterable[tuple[Batch, ...]], objective: FitObjective) -> float:
        """Take one optimiser step per item; return the mean loss (see `Fits.fit`)."""
        losses, anchor = [], self._state.weights
        for number, step in enumerate(steps):
            for batch in step:
                self._check_shape(batch.x_NCHW)
            self._bound.clear()
            now = replace(objective, learning_rate=objective.rate_at(number), decay_steps=0)
            losses.append(self._training.step(self._state, step, now, anchor))
        return float(np.mean(losses)) if losses else 0.0

    def snapshot(self) -> bytes:
        """Return model, optimiser state and memory as one safetensors file."""
        return snapshots.pack(self._state, self._memory)

    def restore(self, snapshot: bytes) -> None:
        """Load what `snapshot` of this or of the torch learner returned.

        Raises:
            ConfigError: not such a file, or of another net.
        """
        self._state, self._memory = snapshots.unpack(
            snapshot, self._bundle.manifest, self._state.weights
        )
        self._bound.clear()

    def memory(self) -> Mapping[str, PublicArray]:
        """Return what `remember` was last given."""
        return dict(self._memory)

    def remember(self, memory: Mapping[str, PublicArray]) -> None:
        """Replace the memory."""
        self._memory = {name: array.copy() for name, array in memory.items()}

    def parameters(self) -> Mapping[str, Floats]:
        """Return a copy of every floating-point entry of the net's state, by name."""
        return {
            name: array.astype(np.float32)
            for name, array in self._state.weights.items()
            if array.dtype == np.float32
        }

    def load_parameters(self, parameters: Mapping[str, Floats]) -> None:
        """Replace them; optimiser state stays.

        Raises:
            ConfigError: names or shapes differ from those of `parameters()`.
        """
        own = {n: a.shape for n, a in self._state.weights.items() if a.dtype == np.float32}
        if own.keys() != parameters.keys():
            raise ConfigError(
                f"parameters do not fit: {sorted(own.keys() ^ parameters.keys())} on one side only"
            )
        for name, array in parameters.items():
            if own[name] != array.shape:
                raise ConfigError(f"parameter {name}: shape {array.shape}, the net has {own[name]}")
        new = {name: np.array(array, np.float32, order="C") for name, array in parameters.items()}
        self._state.weights = {**self._state.weights, **new}
        self._bound.clear()

    def _program(self, name: str) -> Program:
        if name not in self._bound:
            self._bound[name] = self._bundle.open(name, self._state.weights, self._runtime)
        return self._bound[name]

    def _check_shape(self, x_NCHW: Floats) -> None:
        shape = self._bundle.manifest.shape
        if x_NCHW.shape[1:] != shape:
            raise ConfigError(f"inputs of shape {x_NCHW.shape[1:]}; the model takes {shape}")
