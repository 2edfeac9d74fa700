"""A learner around a `torch.nn.Module` that maps (N, C, H, W) to logits (N, K) or (N, K, H, W).

Shape legend: N batch, C channels, H height, W width, K classes.

Rules:
- the net belongs to the learner; give each learner a net of its own;
- giving logits, gradients or parameters changes nothing (`dreaming.teaching`);
- thread counts, seeds and backends are the process's business: nothing global is set here;
- a snapshot is one safetensors file: model, optimiser state, memory; it holds no code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, InputGradient, ParameterGradient
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.programs import ProgramCall
from dreamshare.learning.torch import snapshots
from dreamshare.learning.torch.dreaming import evaluate_objective, teaching
from dreamshare.learning.torch.features import feature_statistics
from dreamshare.learning.torch.fitting import Fitter
from dreamshare.learning.torch.gradients import parameter_gradient
from dreamshare.learning.torch.pixels import rows
from dreamshare.learning.torch.programs import TorchPrograms
from dreamshare.learning.torch.sources import ProgramSource
from dreamshare.updates import Array, PublicArray

EVALUATION_BATCH = 512
"""Examples per forward pass of `logits`: bounds memory, changes no result in evaluation mode."""


class TorchLearner:
    """Everything that `dreamshare.learning.base.Learner` asks for.

    Args:
        net: takes float32 (N, C, H, W), returns logits (N, classes) or, of pixels, (N, classes,
            H, W). Its state is changed by `fit`, `restore` and `load_parameters` only.
        classes: K >= 2.
        device: "cpu", "cuda" or "cuda:N".
        channels_last: memory layout of convolutions; it changes results by rounding only. None
            chooses it on CUDA. On a CPU the demo's nets train 12 to 25 % faster with it and dream
            about as fast (torch 2.13, one thread).
        programs: what this device evaluates for `dreamshare.autodiff`; its policy names which.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        classes: int,
        device: str = "cpu",
        channels_last: bool | None = None,
        programs: Sequence[ProgramSource] = (),
    ) -> None:
        if classes < 2:
            raise ConfigError(f"classes is {classes}; a classifier needs at least 2")
        try:
            self._device = torch.device(device)
        except RuntimeError as error:
            raise ConfigError(f"device {device!r}: {error}") from None
        if self._device.type == "cuda" and not torch.cuda.is_available():
            raise ConfigError(f"device {device!r}: torch sees no CUDA device here; use 'cpu'")
        self.classes = classes
        wanted = self._device.type == "cuda" if channels_last is None else channels_last
        self._format = torch.channels_last if wanted else torch.contiguous_format
        self._net = net.to(self._device)
        if wanted:
            self._net = self._net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._fitter = Fitter(self._net)
        self._programs = TorchPrograms(self._net, programs, self._device)
        self._memory: dict[str, PublicArray] = {}

    def logits(self, x_NCHW: Floats) -> Floats:
        """Return logits_NK in evaluation mode; parameters and buffers stay as they are."""
        parts = [np.zeros((0, self.classes), np.float32)]
        with teaching(self._net), torch.inference_mode():
            for start in range(0, len(x_NCHW), EVALUATION_BATCH):
                logits = rows(self._net(self._tensor(x_NCHW[start : start + EVALUATION_BATCH])))
                parts.append(logits.float().cpu().numpy())
        return np.concatenate(parts)

    def input_gradient(self, x_NCHW: Floats, objective: DreamObjective) -> InputGradient:
        """Return the gradient of `objective` at x_NCHW in evaluation mode.

        Raises:
            ConfigError: the objective does not fit the batch or the net.
        """
        evaluated = evaluate_objective(self._net, self._tensor(x_NCHW), objective)
        student = evaluated.student_cotangent
        return InputGradient(
            gradient_NCHW=np.ascontiguousarray(evaluated.gradient.float().cpu().numpy()),
            logits_NK=evaluated.logits.float().cpu().numpy(),
            terms=evaluated.terms,
            student_cotangent_BK=None if student is None else student.float().cpu().numpy(),
        )

    def parameter_gradient(self, batch: Batch) -> ParameterGradient:
        """Return loss and gradient of labelled examples (see `GivesParameterGradients`)."""
        if batch.y_N is None:
            raise ConfigError("a gradient by the parameters needs y_N: labelled examples")
        size = EVALUATION_BATCH
        parts = [
            (self._tensor(batch.x_NCHW[at : at + size]), torch.as_tensor(batch.y_N[at : at + size]))
            for at in range(0, len(batch.x_NCHW), size)
        ]
        return parameter_gradient(self._net, parts)

    def feature_statistics(self, x_NCHW: Floats) -> Mapping[str, Floats]:
        """Return statistics of LayerNorm and GroupNorm inputs (see `GivesFeatureStatistics`)."""
        with teaching(self._net), torch.inference_mode():
            found = feature_statistics(self._net, self._tensor(x_NCHW))
            return {name: tensor.float().cpu().numpy() for name, tensor in found.items()}

    def evaluate(self, call: ProgramCall, batch: Batch) -> Mapping[str, Array]:
        """Return what is wanted of a program (see `EvaluatesPrograms`)."""
        return self._programs.evaluate(call, batch)

    def fit(self, steps: Iterable[tuple[Batch, ...]], objective: FitObjective) -> float:
        """Take one optimiser step per item; return the mean loss (see `Fits.fit`)."""
        return self._fitter.fit((tuple(self._batch(b) for b in step) for step in steps), objective)

    def snapshot(self) -> bytes:
        """Return model, optimiser state and memory as one safetensors file."""
        return snapshots.pack(self._net, self._fitter.state(), self._memory)

    def restore(self, snapshot: bytes) -> None:
        """Load what `snapshot` returned.

        Raises:
            ConfigError: not such a file, or of another net.
        """
        state, memory = snapshots.unpack(snapshot, self._net)
        self._fitter.load(state)
        self._memory = memory

    def memory(self) -> Mapping[str, PublicArray]:
        """Return what `remember` was last given."""
        return dict(self._memory)

    def remember(self, memory: Mapping[str, PublicArray]) -> None:
        """Replace the memory."""
        self._memory = {name: array.copy() for name, array in memory.items()}

    def parameters(self) -> Mapping[str, Floats]:
        """Return a float32 copy of every floating-point entry of the net's state, by name."""
        copies: dict[str, Floats] = {}
        for name, tensor in self._net.state_dict().items():
            if tensor.is_floating_point():
                copies[name] = np.array(tensor.cpu().numpy(), dtype=np.float32, order="C")
        return copies

    def load_parameters(self, parameters: Mapping[str, Floats]) -> None:
        """Replace them; optimiser state stays.

        Raises:
            ConfigError: names or shapes differ from those of `parameters()`.
        """
        state = self._net.state_dict()
        own = {name for name, tensor in state.items() if tensor.is_floating_point()}
        if own != set(parameters):
            raise ConfigError(
                f"parameters do not fit: {sorted(own ^ set(parameters))} on one side only"
            )
        for name, array in parameters.items():
            if tuple(state[name].shape) != array.shape:
                raise ConfigError(
                    f"parameter {name}: shape {array.shape}, the net has {tuple(state[name].shape)}"
                )
        with torch.no_grad():
            for name, array in parameters.items():
                state[name].copy_(torch.tensor(array))

    def _tensor(self, x_NCHW: Floats) -> Tensor:
        x = torch.tensor(x_NCHW, dtype=torch.float32, device=self._device)  # payloads are read-only
        return x.contiguous(memory_format=self._format) if x.dim() == 4 else x

    def _batch(self, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor | None]:
        y = None if batch.y_N is None else torch.as_tensor(batch.y_N, device=self._device)
        targets = None
        if batch.targets_NK is not None:
            targets = torch.as_tensor(batch.targets_NK, device=self._device)
        return self._tensor(batch.x_NCHW), y, targets
