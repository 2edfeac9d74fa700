"""What devices and the aggregator say about a task: values to protobuf and back.

Rules: SA-2 bytes pass through untouched; only their length is looked at here. RoundStart travels in
RoundOpening and is refused in Sa2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dreamshare.protocol.messages import (
    CheckIn,
    Declined,
    NotNeeded,
    RoundOpening,
    Sa2,
    TaskClosed,
    TellDone,
    TellOrder,
)
from dreamshare.protocol.plan import RoundPlan
from dreamshare.wire import limits
from dreamshare.wire.border import (
    count,
    exactly,
    finite,
    name,
    present,
    refuse,
    size,
    text,
    unique,
)
from dreamshare.wire.updates import (
    fields_from_wire,
    fields_to_wire,
    tensors_from_wire,
    tensors_to_wire,
)
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import Stage
from dreamshare_protos.v1 import round_pb2 as pb


def sa2_to_wire(message: Sa2) -> pb.Sa2:
    """Return the wire form; stages have the same numbers in both."""
    return pb.Sa2(stage=pb.Stage.ValueType(message.stage), body=message.body)


def sa2_from_wire(wire: pb.Sa2) -> Sa2:
    """Return the message; RoundStart, unknown stages and empty bodies are refused."""
    try:
        stage = Stage(wire.stage)
    except ValueError:
        raise refuse(f"unknown stage {wire.stage}") from None
    if stage is Stage.ROUND_START:
        raise refuse("a RoundStart without its plan")
    body = size(wire.body, limits.BODY_LIMIT, "an SA-2 message")
    if not body:
        raise refuse(f"empty SA-2 message {stage.name}")
    return Sa2(stage, body)


def plan_to_wire(plan: RoundPlan) -> pb.RoundPlan:
    """Return the wire form of a plan."""
    return pb.RoundPlan(
        algorithm=plan.algorithm,
        step=plan.step,
        config=plan.config,
        cycle=plan.cycle,
        draw=plan.draw,
        tensors=tensors_to_wire(plan.tensors),
        last_tell=plan.last_tell,
        fields=fields_to_wire(plan.field_names, plan.field_shapes),
    )


def plan_from_wire(wire: pb.RoundPlan) -> RoundPlan:
    """Return the plan; whether this device takes it is for its policy to say."""
    last_tell = wire.last_tell
    names, shapes = fields_from_wire(wire.fields)
    return RoundPlan(
        algorithm=name(wire.algorithm, "algorithm id"),
        step=name(wire.step, "step"),
        config=size(wire.config, limits.CONFIG_LIMIT, "config"),
        cycle=wire.cycle,
        draw=wire.draw,
        tensors=tensors_from_wire(wire.tensors),
        last_tell=exactly(last_tell, limits.HASH_BYTES, "hash of the last Tell")
        if last_tell
        else b"",
        field_names=names,
        field_shapes=shapes,
    )


def opening_to_wire(message: RoundOpening) -> pb.RoundOpening:
    """Return the wire form."""
    return pb.RoundOpening(start=message.start, plan=plan_to_wire(message.plan))


def opening_from_wire(wire: pb.RoundOpening) -> RoundOpening:
    """Return the message."""
    present(wire, "plan")
    start = size(wire.start, limits.OPENING_LIMIT, "RoundStart")
    if not start:
        raise refuse("empty RoundStart")
    return RoundOpening(start, plan_from_wire(wire.plan))


def tell_to_wire(message: TellOrder) -> pb.TellOrder:
    """Return the wire form."""
    return pb.TellOrder(number=message.number, plan=plan_to_wire(message.plan))


def tell_from_wire(wire: pb.TellOrder) -> TellOrder:
    """Return the message; Tells count from 1."""
    present(wire, "plan")
    if not wire.number:
        raise refuse("a Tell without its number")
    return TellOrder(wire.number, plan_from_wire(wire.plan))


def closed_to_wire(message: TaskClosed) -> pb.TaskClosed:
    """Return the wire form."""
    return pb.TaskClosed(outcome=message.outcome)


def closed_from_wire(wire: pb.TaskClosed) -> TaskClosed:
    """Return the message."""
    return TaskClosed(text(wire.outcome, "outcome", limits.NAME_LIMIT))


def not_needed_to_wire(message: NotNeeded) -> pb.NotNeeded:
    """Return the wire form."""
    return pb.NotNeeded(for_s=message.for_s)


def not_needed_from_wire(wire: pb.NotNeeded) -> NotNeeded:
    """Return the message; a device that may come back at once was told nothing."""
    for_s = finite(wire.for_s, "time to stay away")
    if for_s <= 0:
        raise refuse(f"a device that stays away for {for_s} seconds")
    return NotNeeded(for_s)


def attributes_to_wire(attributes: Mapping[str, str]) -> list[pb.Attribute]:
    """Return the wire form, sorted by name."""
    return [pb.Attribute(name=key, value=attributes[key]) for key in sorted(attributes)]


def attributes_from_wire(wire: Iterable[pb.Attribute]) -> dict[str, str]:
    """Return what a device's owner made public; names are unique and sorted."""
    pairs = [(name(each.name, "attribute"), each.value) for each in wire]
    count(pairs, limits.ATTRIBUTES_LIMIT, "attributes")
    names = [key for key, _ in pairs]
    unique(names, "attribute")
    if names != sorted(names):
        raise refuse("attributes that are not sorted by name")
    return {key: text(value, "attribute", limits.NAME_LIMIT) for key, value in pairs}


def check_in_to_wire(message: CheckIn) -> pb.CheckIn:
    """Return the wire form."""
    return pb.CheckIn(
        algorithms=message.algorithms,
        label=message.label,
        attributes=attributes_to_wire(message.attributes),
    )


def check_in_from_wire(wire: pb.CheckIn) -> CheckIn:
    """Return the message."""
    return CheckIn(
        algorithms_from_wire(tuple(wire.algorithms)),
        text(wire.label, "label", limits.NAME_LIMIT),
        attributes_from_wire(wire.attributes),
    )


def algorithms_from_wire(ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids of algorithms, each once."""
    count(ids, limits.ALGORITHMS_LIMIT, "algorithms")
    unique(ids, "algorithm")
    return tuple(name(each, "algorithm id") for each in ids)


def declined_to_wire(message: Declined) -> pb.Declined:
    """Return the wire form."""
    code = pb.RefusalCode.Value(f"REFUSAL_CODE_{message.code.value}")
    return pb.Declined(code=code, round=message.round)


def declined_from_wire(wire: pb.Declined) -> Declined:
    """Return the message; a code that this version does not know is refused."""
    if wire.code not in pb.RefusalCode.values() or wire.code == pb.REFUSAL_CODE_UNSPECIFIED:
        raise refuse(f"unknown refusal code {wire.code}")
    code = RefusalCode(pb.RefusalCode.Name(wire.code).removeprefix("REFUSAL_CODE_"))
    return Declined(code, wire.round if wire.HasField("round") else None)


def tell_done_to_wire(message: TellDone) -> pb.TellDone:
    """Return the wire form."""
    return pb.TellDone(number=message.number)


def tell_done_from_wire(wire: pb.TellDone) -> TellDone:
    """Return the message; 0 says that there was no Tell yet."""
    return TellDone(wire.number)
