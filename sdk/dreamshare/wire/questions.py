"""Questions to a task and their answers: values to protobuf and back."""

from __future__ import annotations

from dreamshare.errors import AbortCode
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.questions import AskTask, TaskAnswer
from dreamshare.wire import limits
from dreamshare.wire.border import count, exactly, refuse, text
from dreamshare_protos.v1 import control_pb2 as pb


def asked_to_wire(asked: AskTask) -> pb.AskTask:
    """Return the wire form of a question."""
    return pb.AskTask(task=asked.task, step=asked.step, archive=asked.archive)


def asked_from_wire(wire: pb.AskTask) -> AskTask:
    """Return a question."""
    task = TaskId(exactly(wire.task, limits.ID_BYTES, "task id"))
    return AskTask(task, text(wire.step, "step", limits.NAME_LIMIT), _archive(wire.archive))


def answer_to_wire(answer: TaskAnswer) -> pb.TaskAnswer:
    """Return the wire form of an answer."""
    return pb.TaskAnswer(
        archive=answer.archive, survivors=list(answer.survivors), roster=answer.roster
    )


def answer_from_wire(wire: pb.TaskAnswer) -> TaskAnswer:
    """Return an answer."""
    count(wire.survivors, limits.DEVICES_LIMIT, "survivors")
    survivors = tuple(PartyId(exactly(s, limits.ID_BYTES, "device id")) for s in wire.survivors)
    return TaskAnswer(_archive(wire.archive), survivors, wire.roster)


def _archive(raw: bytes) -> bytes:
    if len(raw) > limits.BODY_LIMIT:
        raise refuse(f"an archive of {len(raw)} bytes", AbortCode.TOO_LARGE)
    return raw
