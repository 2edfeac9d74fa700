"""What an operator and the aggregator say to each other: values to protobuf and back.

Rules: the shape of a value is checked here; whether it makes sense (a cohort that is too small, an
unknown algorithm) is for the aggregator to say, in words.
"""

from __future__ import annotations

from dreamshare.errors import AbortCode, ConfigError
from dreamshare.ids import PartyId, TaskId
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol import messages as m
from dreamshare.protocol.history import FetchHistory, TaskHistory
from dreamshare.protocol.questions import AskTask, TaskAnswer
from dreamshare.wire import history, limits, questions
from dreamshare.wire.border import count, exactly, finite, name, present, refuse, size, text
from dreamshare.wire.rounds import (
    algorithms_from_wire,
    attributes_from_wire,
    attributes_to_wire,
)
from dreamshare.wire.updates import metrics_from_wire, metrics_to_wire
from dreamshare_crypto.suite import Suite
from dreamshare_protos.v1 import control_pb2 as pb

_SUITES = {pb.SUITE_UNSPECIFIED: Suite.AES, pb.SUITE_CHACHA: Suite.CHACHA}


def request_to_wire(message: m.Request) -> pb.Request:
    """Return the wire form of an operator's request."""
    wire = pb.Request(number=message.number)
    match message.request:
        case m.Submit() as submit:
            wire.submit.CopyFrom(_submit_to_wire(submit))
        case m.ListTasks():
            wire.list_tasks.SetInParent()
        case m.Watch(task, after):
            wire.watch.CopyFrom(pb.Watch(task=task, after=after))
        case m.Cancel(task):
            wire.cancel.CopyFrom(pb.Cancel(task=task))
        case m.Pause(task, give_up):
            wire.pause.CopyFrom(pb.Pause(task=task, give_up=give_up))
        case m.Resume(task):
            wire.resume.CopyFrom(pb.Resume(task=task))
        case m.FetchResult(task):
            wire.fetch_result.CopyFrom(pb.FetchResult(task=task))
        case FetchHistory() as asked:
            wire.fetch_history.CopyFrom(history.fetch_to_wire(asked))
        case AskTask() as question:
            wire.ask_task.CopyFrom(questions.asked_to_wire(question))
        case m.ListDevices():
            wire.list_devices.SetInParent()
    return wire


def request_from_wire(wire: pb.Request) -> m.Request:
    """Return an operator's request."""
    request: m.ControlRequest
    match wire.WhichOneof("request"):
        case "submit":
            request = _submit_from_wire(wire.submit)
        case "list_tasks":
            request = m.ListTasks()
        case "watch":
            if wire.watch.after > limits.REPORTS_LIMIT:
                raise refuse(f"reports after number {wire.watch.after}", AbortCode.TOO_LARGE)
            request = m.Watch(_task(wire.watch.task), wire.watch.after)
        case "cancel":
            request = m.Cancel(_task(wire.cancel.task))
        case "pause":
            request = m.Pause(_task(wire.pause.task), wire.pause.give_up)
        case "resume":
            request = m.Resume(_task(wire.resume.task))
        case "fetch_result":
            request = m.FetchResult(_task(wire.fetch_result.task))
        case "fetch_history":
            request = history.fetch_from_wire(wire.fetch_history)
        case "ask_task":
            request = questions.asked_from_wire(wire.ask_task)
        case "list_devices":
            request = m.ListDevices()
        case _:
            raise refuse("a request that asks for nothing")
    return m.Request(wire.number, request)


def reply_to_wire(message: m.Reply) -> pb.Reply:
    """Return the wire form of the aggregator's answer."""
    wire = pb.Reply(number=message.number, last=message.last)
    match message.reply:
        case m.TaskStatus() as status:
            wire.task_status.CopyFrom(_status_to_wire(status))
        case m.TaskList(tasks):
            wire.task_list.CopyFrom(pb.TaskList(tasks=[_status_to_wire(t) for t in tasks]))
        case m.DeviceList(devices):
            wire.device_list.CopyFrom(pb.DeviceList(devices=[_device_to_wire(d) for d in devices]))
        case m.TaskReport() as report:
            wire.task_report.CopyFrom(
                pb.TaskReport(
                    number=report.number,
                    status=_status_to_wire(report.status),
                    event=report.event,
                    metrics=metrics_to_wire(report.metrics),
                )
            )
        case m.TaskResult() as result:
            wire.task_result.CopyFrom(
                pb.TaskResult(
                    status=_status_to_wire(result.status),
                    archive=result.archive,
                    metrics=metrics_to_wire(result.metrics),
                )
            )
        case TaskHistory() as page:
            wire.task_history.CopyFrom(history.page_to_wire(page))
        case TaskAnswer() as answer:
            wire.task_answer.CopyFrom(questions.answer_to_wire(answer))
        case m.ControlError(words):
            wire.control_error.CopyFrom(pb.ControlError(text=words))
    return wire


def reply_from_wire(wire: pb.Reply) -> m.Reply:
    """Return the aggregator's answer."""
    reply: m.ControlReply
    match wire.WhichOneof("reply"):
        case "task_status":
            reply = _status_from_wire(wire.task_status)
        case "task_list":
            tasks = wire.task_list.tasks
            count(tasks, limits.TASKS_LIMIT, "tasks")
            reply = m.TaskList(tuple(_status_from_wire(t) for t in tasks))
        case "device_list":
            devices = wire.device_list.devices
            count(devices, limits.DEVICES_LIMIT, "devices")
            reply = m.DeviceList(tuple(_device_from_wire(d) for d in devices))
        case "task_report":
            reply = _report_from_wire(wire.task_report)
        case "task_result":
            reply = _result_from_wire(wire.task_result)
        case "task_answer":
            reply = questions.answer_from_wire(wire.task_answer)
        case "task_history":
            reply = history.page_from_wire(wire.task_history)
        case "control_error":
            reply = m.ControlError(text(wire.control_error.text, "error"))
        case _:
            raise refuse("a reply that says nothing")
    return m.Reply(wire.number, reply, wire.last)


def _submit_to_wire(submit: m.Submit) -> pb.Submit:
    cohort, deadlines = submit.cohort, submit.deadlines
    wire = pb.Submit(
        algorithm=submit.algorithm,
        config=submit.config,
        cohort=pb.Cohort(
            least=cohort.least,
            most=cohort.most,
            survivors=cohort.survivors,
            suite=next(wire for wire, suite in _SUITES.items() if suite is cohort.suite),
            dropouts=cohort.dropouts,
            target=cohort.target,
            spare=cohort.spare,
            quorum=cohort.quorum,
            strata=[
                pb.Stratum(attribute=s.attribute, value=s.value, least=s.least, most=s.most)
                for s in cohort.strata
            ],
        ),
        deadlines=pb.Deadlines(
            setup_s=deadlines.setup_s,
            collect_s=deadlines.collect_s,
            reveal_s=deadlines.reveal_s,
            adapt_s=deadlines.adapt_s,
        ),
        seed=submit.seed,
        name=submit.name,
        priority=submit.priority,
        key=submit.key,
    )
    privacy = submit.privacy
    if privacy is not None:
        wire.privacy.CopyFrom(
            pb.Privacy(
                clip=privacy.clip,
                multiplier=privacy.multiplier,
                epsilon=privacy.epsilon,
                delta=privacy.delta,
                bits=privacy.bits,
            )
        )
    return wire


def _submit_from_wire(wire: pb.Submit) -> m.Submit:
    present(wire, "cohort")
    present(wire, "deadlines")
    return m.Submit(
        algorithm=name(wire.algorithm, "algorithm id"),
        config=size(wire.config, limits.CONFIG_LIMIT, "config"),
        cohort=_cohort_from_wire(wire.cohort),
        deadlines=m.Deadlines(
            finite(wire.deadlines.setup_s, "set-up deadline"),
            finite(wire.deadlines.collect_s, "collect deadline"),
            finite(wire.deadlines.reveal_s, "reveal deadline"),
            finite(wire.deadlines.adapt_s, "least deadline"),
        ),
        seed=wire.seed,
        name=text(wire.name, "name", limits.NAME_LIMIT),
        privacy=_privacy_from_wire(wire.privacy) if wire.HasField("privacy") else None,
        priority=wire.priority,
        key=exactly(wire.key, limits.ID_BYTES, "submission key") if wire.key else b"",
    )


def _cohort_from_wire(wire: pb.Cohort) -> m.Cohort:
    if wire.suite not in _SUITES:
        raise refuse(f"an order for suite {wire.suite}, which is unknown here")
    count(wire.strata, limits.STRATA_LIMIT, "strata")
    return m.Cohort(
        wire.least,
        wire.most,
        wire.survivors,
        _SUITES[wire.suite],
        finite(wire.dropouts, "part that may drop out"),
        wire.target,
        finite(wire.spare, "part that is invited on top"),
        finite(wire.quorum, "quorum"),
        tuple(map(_stratum_from_wire, wire.strata)),
    )


def _stratum_from_wire(wire: pb.Stratum) -> m.Stratum:
    value = text(wire.value, "value", limits.NAME_LIMIT)
    return m.Stratum(name(wire.attribute, "attribute"), value, wire.least, wire.most)


def _privacy_from_wire(wire: pb.Privacy) -> Privacy:
    try:
        return Privacy(wire.clip, wire.multiplier, wire.epsilon, wire.delta, wire.bits)
    except ConfigError as error:
        raise refuse(str(error)) from None


def _status_to_wire(status: m.TaskStatus) -> pb.TaskStatus:
    return pb.TaskStatus(
        task=status.task,
        name=status.name,
        algorithm=status.algorithm,
        phase=pb.TaskPhase.Value(f"TASK_PHASE_{status.phase.name}"),
        detail=status.detail,
        cycle=status.cycle,
        aggregations=status.aggregations,
        abandoned=status.abandoned,
        roster=status.roster,
        alive=status.alive,
        dropped=status.dropped,
        submitted=status.submitted,
        secure_aggregation=status.secure_aggregation,
        faulty=status.faulty,
        planned=status.planned,
        priority=status.priority,
    )


def _status_from_wire(wire: pb.TaskStatus) -> m.TaskStatus:
    if wire.phase not in pb.TaskPhase.values() or wire.phase == pb.TASK_PHASE_UNSPECIFIED:
        raise refuse(f"unknown task phase {wire.phase}")
    count(wire.faulty, limits.DEVICES_LIMIT, "faulty devices")
    return m.TaskStatus(
        task=_task(wire.task),
        name=text(wire.name, "name", limits.NAME_LIMIT),
        algorithm=name(wire.algorithm, "algorithm id"),
        phase=m.TaskPhase[pb.TaskPhase.Name(wire.phase).removeprefix("TASK_PHASE_")],
        detail=text(wire.detail, "detail"),
        cycle=wire.cycle,
        aggregations=wire.aggregations,
        abandoned=wire.abandoned,
        roster=wire.roster,
        alive=wire.alive,
        dropped=wire.dropped,
        submitted=finite(wire.submitted, "time of submission"),
        secure_aggregation=wire.secure_aggregation,
        faulty=tuple(PartyId(exactly(device, 16, "device id")) for device in wire.faulty),
        planned=wire.planned,
        priority=wire.priority,
    )


def _device_to_wire(device: m.DeviceStatus) -> pb.DeviceStatus:
    return pb.DeviceStatus(
        device=device.device,
        label=device.label,
        connected=device.connected,
        algorithms=device.algorithms,
        bytes_up=device.bytes_up,
        bytes_down=device.bytes_down,
        attributes=attributes_to_wire(device.attributes),
    )


def _device_from_wire(wire: pb.DeviceStatus) -> m.DeviceStatus:
    return m.DeviceStatus(
        device=PartyId(exactly(wire.device, limits.ID_BYTES, "device id")),
        label=text(wire.label, "label", limits.NAME_LIMIT),
        connected=wire.connected,
        algorithms=algorithms_from_wire(tuple(wire.algorithms)),
        bytes_up=wire.bytes_up,
        bytes_down=wire.bytes_down,
        attributes=attributes_from_wire(wire.attributes),
    )


def _report_from_wire(wire: pb.TaskReport) -> m.TaskReport:
    present(wire, "status")
    return m.TaskReport(
        number=wire.number,
        status=_status_from_wire(wire.status),
        event=name(wire.event, "event"),
        metrics=metrics_from_wire(wire.metrics),
    )


def _result_from_wire(wire: pb.TaskResult) -> m.TaskResult:
    present(wire, "status")
    return m.TaskResult(
        status=_status_from_wire(wire.status),
        archive=size(wire.archive, limits.BODY_LIMIT, "a result"),
        metrics=metrics_from_wire(wire.metrics),
    )


def _task(raw: bytes) -> TaskId:
    return TaskId(exactly(raw, limits.ID_BYTES, "task id"))
