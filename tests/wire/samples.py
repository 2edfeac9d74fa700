"""The messages and packets of version 1 whose bytes are kept in `golden/`.

Rules:
- one sample per kind, with every field away from its default, so that no field can be lost;
- a released sample never changes: a new field or kind gets a sample of its own;
- frames are signed by the Ed25519 key whose secret is the bytes 0 to 31 (Ed25519 signatures are
  deterministic), from sender 01..01 to receiver 02..02.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dreamshare.errors import AbortCode
from dreamshare.ids import PartyId, TaskId
from dreamshare.privacy import Privacy
from dreamshare.protocol import history as h
from dreamshare.protocol import messages as m
from dreamshare.protocol import questions as q
from dreamshare.protocol.plan import RoundPlan
from dreamshare.wire import link as w
from dreamshare.wire.codec import encode_frame, encode_message
from dreamshare_crypto.envelope import Header, sign_frame
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.keys import IdentityKey
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import Suite

TASK = TaskId(bytes.fromhex("70" * 16))
DEVICE = PartyId(bytes.fromhex("d1" * 16))
PLAN = RoundPlan(
    algorithm="codream/1",
    step="gradient",
    config=b'{"batch":32}',
    cycle=7,
    draw=1,
    tensors={
        "dreams": np.linspace(-1.0, 1.0, 6, dtype="<f4").reshape(2, 3),
        "scale": np.array(0.5, dtype="<f8"),
        "index": np.array([-1, 2**40], dtype="<i8"),
        "mask": np.array([[0, 255]], dtype="|u1"),
        "none": np.zeros((0, 4), dtype="<f4"),
    },
    last_tell=bytes(range(32)),
    field_names=("gradient", "loss"),
    field_shapes=((2, 3), ()),
)
STATUS = m.TaskStatus(
    task=TASK,
    name="digits",
    algorithm="codream/1",
    phase=m.TaskPhase.RUNNING,
    detail="cycle 7 of 20",
    cycle=7,
    aggregations=41,
    abandoned=2,
    roster=5,
    alive=4,
    dropped=1,
    submitted=1_700_000_000.5,
    secure_aggregation=True,
)
METRICS = {"accuracy": 0.875, "loss": 0.25}

MESSAGES: dict[str, m.Message] = {
    "sa2": m.Sa2(Stage.MASKED_INPUT, b"\x00\x01canonical\xff"),
    "round-opening": m.RoundOpening(b"round start", PLAN),
    "tell-order": m.TellOrder(3, PLAN),
    "task-closed": m.TaskClosed("done"),
    "check-in": m.CheckIn(("codream/1", "fedavg/1"), "resnet, r\u00e9seau"),
    "declined": m.Declined(RefusalCode.S6, 12),
    "declined-outside-a-round": m.Declined(RefusalCode.O2, None),
    "tell-done": m.TellDone(3),
    "submit": m.Request(
        1,
        m.Submit(
            algorithm="codream/1",
            config=b'{"cycles":20}',
            cohort=m.Cohort(4, 8, 3),
            deadlines=m.Deadlines(30.0, 60.0, 15.5),
            seed=2**63,
            name="digits",
        ),
    ),
    "submit-bounded": m.Request(
        1,
        m.Submit("codream/1", b"{}", m.Cohort(10, 20, 8, Suite.CHACHA, 0.1)),
    ),
    "submit-with-noise": m.Request(
        1,
        m.Submit(
            algorithm="evaluate/1",
            config=b"{}",
            cohort=m.Cohort(4, 8),
            privacy=Privacy(clip=1.5, epsilon=8.0, delta=1e-5, bits=12),
        ),
    ),
    "list-tasks": m.Request(2, m.ListTasks()),
    "watch": m.Request(3, m.Watch(TASK, 9)),
    "cancel": m.Request(4, m.Cancel(TASK)),
    "fetch-result": m.Request(5, m.FetchResult(TASK)),
    "list-devices": m.Request(6, m.ListDevices()),
    "task-status": m.Reply(1, STATUS),
    "task-list": m.Reply(2, m.TaskList((STATUS,))),
    "device-list": m.Reply(
        6, m.DeviceList((m.DeviceStatus(DEVICE, "vgg", True, ("codream/1",), 1000, 2**33),))
    ),
    "task-report": m.Reply(3, m.TaskReport(10, STATUS, "round", METRICS), last=False),
    "task-result": m.Reply(5, m.TaskResult(STATUS, b"PK archive", METRICS)),
    "check-in-with-attributes": m.CheckIn(("codream/1",), "vgg", {"os": "linux", "region": "eu"}),
    "not-needed": m.NotNeeded(600.5),
    "submit-chosen": m.Request(
        7,
        m.Submit(
            algorithm="evaluate/1",
            config=b"{}",
            cohort=m.Cohort(
                10,
                40,
                target=20,
                spare=0.25,
                quorum=0.75,
                strata=(m.Stratum("region", "eu", 5, 10), m.Stratum("os", "linux")),
            ),
            deadlines=m.Deadlines(30.0, 60.0, 15.5, 2.5),
            priority=3,
            key=bytes(range(16)),
        ),
    ),
    "pause": m.Request(8, m.Pause(TASK)),
    "pause-at-once": m.Request(8, m.Pause(TASK, give_up=True)),
    "resume": m.Request(9, m.Resume(TASK)),
    "task-status-paused": m.Reply(
        8, replace(STATUS, phase=m.TaskPhase.PAUSED, faulty=(DEVICE,), planned=60, priority=3)
    ),
    "device-list-with-attributes": m.Reply(
        6, m.DeviceList((m.DeviceStatus(DEVICE, "", False, (), 1, 2, {"region": "eu"}),))
    ),
    "ask-task": m.Request(11, q.AskTask(TASK, "logistic/1:value", b"npz")),
    "task-answer": m.Reply(11, q.TaskAnswer(b"npz", (DEVICE,), 4)),
    "fetch-history": m.Request(10, h.FetchHistory(TASK, 9, 250)),
    "task-history": m.Reply(
        10,
        h.TaskHistory(
            (
                h.RoundEntry(
                    1,
                    1_700_000_000.5,
                    h.EndedRound("gradient", 7, h.RoundOutcome.SUM, "", 8, 6, 2**33),
                ),
                h.RoundEntry(
                    2,
                    1_700_000_001.5,
                    h.EndedRound("gradient", 8, h.RoundOutcome.ABANDONED, "no quorum", 8, 0, 9),
                ),
                h.RoundEntry(
                    3, 1_700_000_002.5, h.EndedRound("tell", 8, h.RoundOutcome.TOLD, "", 8, 7, 5)
                ),
            )
        ),
    ),
    "control-error": m.Reply(4, m.ControlError("no such task")),
}

STANDING = w.Standing(
    certificate=bytes(i % 251 for i in range(218)),
    birth=4,
    first=17,
    received=w.Received(9, 5, 7, 4096),
    packet_limit=256 * 1024,
    frame_limit=64 * 1024 * 1024,
    window=8 * 1024 * 1024,
)

PACKETS: dict[str, w.Packet] = {
    "hello": w.Hello(STANDING),
    "hello-reply": w.HelloReply(STANDING, 1),
    "chunk": w.Chunk(4, 17, 192, 200, b"the rest"),
    "ack": w.Ack(w.Received(9, 5, 7, 4096), resend=True),
    "close": w.Close(AbortCode.TOO_LARGE, "a frame of 2 GiB"),
    "close-in-peace": w.Close(),
    "ping": w.Ping(3, answer=True),
}


def frame(message: m.Message) -> bytes:
    """Return the signed frame of a sample."""
    header = Header(
        federation=bytes.fromhex("fe" * 16),
        task=TASK,
        session=bytes(range(32)),
        round=12,
        stage=0,
        sender=bytes.fromhex("01" * 16),
        receiver=bytes.fromhex("02" * 16),
        birth=4,
        sequence=17,
    )
    key = IdentityKey.from_secret(Secret(bytes(range(32))))
    return encode_frame(sign_frame(key, header, encode_message(message)))


def golden() -> dict[str, bytes]:
    """Return what each file of `golden/` holds, by file name."""
    frames = {f"v1-frame-{name}.bin": frame(message) for name, message in MESSAGES.items()}
    packets = {f"v1-packet-{name}.bin": w.encode_packet(p) for name, p in PACKETS.items()}
    return frames | packets
