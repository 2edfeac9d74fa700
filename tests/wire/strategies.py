"""Hypothesis strategies: any value of each message and packet that may travel, and sameness."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dreamshare.errors import AbortCode
from dreamshare.ids import PartyId, TaskId
from dreamshare.privacy import Privacy
from dreamshare.protocol import history as h
from dreamshare.protocol import messages as m
from dreamshare.protocol import questions as q
from dreamshare.protocol.plan import DTYPES, RoundPlan
from dreamshare.wire import limits
from dreamshare.wire import link as w
from dreamshare_crypto.envelope import Frame
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.suite import Suite

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
counted = st.integers(1, 2**64 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=40)
names = st.text(min_size=1, max_size=40)
tasks = st.binary(min_size=16, max_size=16).map(TaskId)
parties = st.binary(min_size=16, max_size=16).map(PartyId)
algorithm_lists = st.lists(names, max_size=4, unique=True).map(tuple)
attributes = st.dictionaries(names, texts, max_size=3).map(
    lambda found: dict(sorted(found.items()))
)
metrics = st.dictionaries(names, st.floats(), max_size=4)

tensors = st.dictionaries(
    names,
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
    ),
    max_size=3,
)
shapes = st.lists(st.integers(1, 20), max_size=4).map(tuple)


@st.composite
def plans(draw: st.DrawFn) -> RoundPlan:
    fields = draw(st.dictionaries(names, shapes, max_size=3))
    return RoundPlan(
        algorithm=draw(names),
        step=draw(names),
        config=draw(st.binary(max_size=40)),
        cycle=draw(u32),
        draw=draw(u32),
        tensors=draw(tensors),
        last_tell=draw(st.just(b"") | st.binary(min_size=32, max_size=32)),
        field_names=tuple(fields),
        field_shapes=tuple(fields.values()),
    )


statuses = st.builds(
    m.TaskStatus,
    task=tasks,
    name=texts,
    algorithm=names,
    phase=st.sampled_from(m.TaskPhase),
    detail=texts,
    cycle=u32,
    aggregations=u64,
    abandoned=u64,
    roster=u32,
    alive=u32,
    dropped=u32,
    submitted=finite,
    secure_aggregation=st.booleans(),
    faulty=st.lists(parties, max_size=3).map(tuple),
    planned=u64,
    priority=u32,
)
devices = st.builds(
    m.DeviceStatus,
    device=st.binary(min_size=16, max_size=16).map(PartyId),
    label=texts,
    connected=st.booleans(),
    algorithms=algorithm_lists,
    bytes_up=u64,
    bytes_down=u64,
    attributes=attributes,
)
strata = st.lists(st.builds(m.Stratum, names, texts, u32, u32), max_size=2).map(tuple)
cohorts = st.builds(
    m.Cohort, u32, u32, u32, st.sampled_from(Suite), finite, u32, finite, finite, strata
)
privacies = st.builds(
    Privacy,
    clip=st.floats(1e-3, 1e3),
    epsilon=st.floats(1e-3, 1e3),
    delta=st.floats(1e-12, 0.5),
    bits=st.integers(8, 20),
)
requests = st.one_of(
    st.builds(
        m.Submit,
        algorithm=names,
        config=st.binary(max_size=40),
        cohort=cohorts,
        deadlines=st.builds(m.Deadlines, finite, finite, finite, finite),
        seed=u64,
        name=texts,
        privacy=st.none() | privacies,
        priority=u32,
        key=st.just(b"") | st.binary(min_size=16, max_size=16),
    ),
    st.just(m.ListTasks()),
    st.builds(m.Watch, tasks, st.integers(0, limits.REPORTS_LIMIT)),
    st.builds(m.Cancel, tasks),
    st.builds(m.Pause, tasks, st.booleans()),
    st.builds(m.Resume, tasks),
    st.builds(m.FetchResult, tasks),
    st.builds(
        h.FetchHistory,
        tasks,
        st.integers(0, limits.REPORTS_LIMIT),
        st.integers(1, limits.HISTORY_LIMIT),
    ),
    st.just(m.ListDevices()),
    st.builds(q.AskTask, tasks, names, st.binary(max_size=40)),
)
ended = st.builds(h.EndedRound, names, u32, st.sampled_from(h.RoundOutcome), texts, u32, u32, u64)
replies = st.one_of(
    statuses,
    st.builds(m.TaskList, st.lists(statuses, max_size=3).map(tuple)),
    st.builds(m.DeviceList, st.lists(devices, max_size=3).map(tuple)),
    st.builds(m.TaskReport, u64, statuses, names, metrics),
    st.builds(m.TaskResult, statuses, st.binary(max_size=40), metrics),
    st.builds(h.TaskHistory, st.lists(st.builds(h.RoundEntry, u64, finite, ended)).map(tuple)),
    st.builds(q.TaskAnswer, st.binary(max_size=40), st.lists(parties).map(tuple), u32),
    st.builds(m.ControlError, texts),
)

MESSAGES: dict[type[m.Message], st.SearchStrategy[m.Message]] = {
    m.Sa2: st.builds(
        m.Sa2,
        st.sampled_from([stage for stage in Stage if stage is not Stage.ROUND_START]),
        st.binary(min_size=1, max_size=100),
    ),
    m.RoundOpening: st.builds(m.RoundOpening, st.binary(min_size=1, max_size=100), plans()),
    m.TellOrder: st.builds(m.TellOrder, st.integers(1, 2**32 - 1), plans()),
    m.TaskClosed: st.builds(m.TaskClosed, texts),
    m.NotNeeded: st.builds(m.NotNeeded, st.floats(1e-3, 1e9)),
    m.CheckIn: st.builds(m.CheckIn, algorithm_lists, texts, attributes),
    m.Declined: st.builds(m.Declined, st.sampled_from(RefusalCode), st.none() | u32),
    m.TellDone: st.builds(m.TellDone, u32),
    m.Request: st.builds(m.Request, u64, requests),
    m.Reply: st.builds(m.Reply, u64, replies, st.booleans()),
}
"""Each message type with its strategy; a test holds the keys to the union."""

messages = st.one_of(*MESSAGES.values())
frames = st.builds(
    Frame,
    st.binary(min_size=128, max_size=128),
    st.binary(min_size=64, max_size=64),
    st.binary(min_size=1, max_size=200),
)


@st.composite
def positions(draw: st.DrawFn) -> w.Received:
    if draw(st.booleans()):
        return w.Received()
    transfer = draw(counted)
    return w.Received(draw(counted), draw(st.integers(0, transfer - 1)), transfer, draw(u64))


@st.composite
def chunks(draw: st.DrawFn) -> w.Chunk:
    data = draw(st.binary(min_size=1, max_size=100))
    offset = draw(st.integers(0, limits.FRAME_LIMIT - len(data)))
    total = draw(st.integers(offset + len(data), limits.FRAME_LIMIT))
    return w.Chunk(draw(counted), draw(counted), offset, total, data)


standings = st.builds(
    w.Standing,
    certificate=st.binary(min_size=218, max_size=218),
    birth=counted,
    first=counted,
    received=positions(),
    packet_limit=st.integers(limits.PACKET_LEAST, 2**32 - 1),
    frame_limit=counted,
    window=counted,
)

PACKETS: dict[type[w.Packet], st.SearchStrategy[w.Packet]] = {
    w.Hello: st.builds(w.Hello, standings, u32, u32),
    w.HelloReply: st.builds(w.HelloReply, standings, u32),
    w.Chunk: chunks(),
    w.Ack: st.builds(w.Ack, positions(), st.booleans()),
    w.Close: st.builds(w.Close, st.none() | st.sampled_from(AbortCode), texts),
    w.Ping: st.builds(w.Ping, u64, st.booleans()),
}
"""Each packet type with its strategy; a test holds the keys to the union."""

packets = st.one_of(*PACKETS.values())


def same(a: object, b: object) -> bool:
    """Equality of messages that also holds for arrays (type, shape, bits) and for NaN."""
    if type(a) is not type(b):
        return False
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return a == b
