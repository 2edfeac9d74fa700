"""What a long simulation keeps, so that one that was killed goes on where it was.

    FOLDER/run.txt                   what is run: another run's folder is refused
    FOLDER/step-00007/state.bin      the algorithm's state before the step
    FOLDER/step-00007/00042.npz      a group that has finished the step
    FOLDER/states/00042.npz          its devices, where they have learnt anything

Rules:
- a file appears whole or not at all; a step's folder is removed when the next one's state is there;
- nothing is unpickled.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dreamshare.algorithms.checkpoint import decode_state, encode_state
from dreamshare.errors import ConfigError
from dreamshare.simulate.population import Bytes, Group, GroupDone


@dataclass(frozen=True, slots=True)
class _States:
    states: tuple[Bytes, ...]


class Keeper:
    """The folder of a run.

    Args:
        folder: None keeps nothing.
        run: what is run, every argument of it that the result depends on.

    Raises:
        ConfigError: the folder holds another run, or cannot be written.
    """

    def __init__(self, folder: Path | None, run: str) -> None:
        self._folder = folder
        if folder is None:
            return
        told = folder / "run.txt"
        if not told.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(told, run.encode())
        elif told.read_text(encoding="utf-8") != run:
            raise ConfigError(f"{folder} holds another run: name another folder, or remove it")

    def found(self, checkpoint: bytes | None) -> tuple[int, bytes | None]:
        """Return the step to go on with and the state before it; 0 and `checkpoint` at first."""
        states = () if self._folder is None else sorted(self._folder.glob("step-*/state.bin"))
        if not states:
            return 0, checkpoint
        return int(states[-1].parent.name.removeprefix("step-")), states[-1].read_bytes()

    def states(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """Return the groups with what their devices have learnt so far."""
        return tuple(self._with_states(group) for group in groups)

    def begin(self, step: int, checkpoint: bytes) -> None:
        """A step begins; the state before it is kept, and steps before it are over."""
        if self._folder is None:
            return
        write_whole(self._step(step) / "state.bin", checkpoint)
        for folder in self._folder.glob("step-*"):
            if folder != self._step(step):
                shutil.rmtree(folder)

    def finished(self, step: int, groups: Sequence[Group]) -> Iterator[GroupDone]:
        """Yield what groups have done in this step already."""
        if self._folder is not None:
            for group in groups:
                path = self._group(step, group.number)
                if path.exists():
                    yield decode_state(path.read_bytes(), GroupDone)

    def keep(self, step: int, done: GroupDone) -> None:
        """A group has finished a step."""
        if self._folder is not None:
            write_whole(self._group(step, done.number), encode_state(done))

    def end(self, step: int, checkpoint: bytes, groups: Sequence[Group]) -> None:
        """A step is merged: keep the state after it, and what devices are now where they learnt.

        Devices first: a run that is killed in between finds the step finished in every group, and
        what it writes again is the same.
        """
        if self._folder is None:
            return
        for group in groups:
            path = self._folder / "states" / f"{group.number:05}.npz"
            write_whole(path, encode_state(_States(group.states)))
        write_whole(self._step(step + 1) / "state.bin", checkpoint)

    def _with_states(self, group: Group) -> Group:
        if self._folder is None:
            return group
        path = self._folder / "states" / f"{group.number:05}.npz"
        if not path.exists():
            return group
        return replace(group, states=decode_state(path.read_bytes(), _States).states)

    def _step(self, number: int) -> Path:
        return (self._folder or Path()) / f"step-{number:05}"

    def _group(self, step: int, number: int) -> Path:
        return self._step(step) / f"{number:05}.npz"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
