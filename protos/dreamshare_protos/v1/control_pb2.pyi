from dreamshare_protos.v1 import round_pb2 as _round_pb2
from dreamshare_protos.v1 import update_pb2 as _update_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_PHASE_UNSPECIFIED: _ClassVar[TaskPhase]
    TASK_PHASE_WAITING: _ClassVar[TaskPhase]
    TASK_PHASE_SETTING_UP: _ClassVar[TaskPhase]
    TASK_PHASE_RUNNING: _ClassVar[TaskPhase]
    TASK_PHASE_DONE: _ClassVar[TaskPhase]
    TASK_PHASE_FAILED: _ClassVar[TaskPhase]
    TASK_PHASE_CANCELLED: _ClassVar[TaskPhase]
    TASK_PHASE_PAUSED: _ClassVar[TaskPhase]

class Suite(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUITE_UNSPECIFIED: _ClassVar[Suite]
    SUITE_CHACHA: _ClassVar[Suite]

class RoundOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROUND_OUTCOME_UNSPECIFIED: _ClassVar[RoundOutcome]
    ROUND_OUTCOME_SUM: _ClassVar[RoundOutcome]
    ROUND_OUTCOME_ABANDONED: _ClassVar[RoundOutcome]
    ROUND_OUTCOME_TOLD: _ClassVar[RoundOutcome]
TASK_PHASE_UNSPECIFIED: TaskPhase
TASK_PHASE_WAITING: TaskPhase
TASK_PHASE_SETTING_UP: TaskPhase
TASK_PHASE_RUNNING: TaskPhase
TASK_PHASE_DONE: TaskPhase
TASK_PHASE_FAILED: TaskPhase
TASK_PHASE_CANCELLED: TaskPhase
TASK_PHASE_PAUSED: TaskPhase
SUITE_UNSPECIFIED: Suite
SUITE_CHACHA: Suite
ROUND_OUTCOME_UNSPECIFIED: RoundOutcome
ROUND_OUTCOME_SUM: RoundOutcome
ROUND_OUTCOME_ABANDONED: RoundOutcome
ROUND_OUTCOME_TOLD: RoundOutcome

class Stratum(_message.Message):
    __slots__ = ("attribute", "value", "least", "most")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LEAST_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    value: str
    least: int
    most: int
    def __init__(self, attribute: _Optional[str] = ..., value: _Optional[str] = ..., least: _Optional[int] = ..., most: _Optional[int] = ...) -> None: ...

class Cohort(_message.Message):
    __slots__ = ("least", "most", "survivors", "suite", "dropouts", "target", "spare", "quorum", "strata")
    LEAST_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    SURVIVORS_FIELD_NUMBER: _ClassVar[int]
    SUITE_FIELD_NUMBER: _ClassVar[int]
    DROPOUTS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SPARE_FIELD_NUMBER: _ClassVar[int]
    QUORUM_FIELD_NUMBER: _ClassVar[int]
    STRATA_FIELD_NUMBER: _ClassVar[int]
    least: int
    most: int
    survivors: int
    suite: Suite
    dropouts: float
    target: int
    spare: float
    quorum: float
    strata: _containers.RepeatedCompositeFieldContainer[Stratum]
    def __init__(self, least: _Optional[int] = ..., most: _Optional[int] = ..., survivors: _Optional[int] = ..., suite: _Optional[_Union[Suite, str]] = ..., dropouts: _Optional[float] = ..., target: _Optional[int] = ..., spare: _Optional[float] = ..., quorum: _Optional[float] = ..., strata: _Optional[_Iterable[_Union[Stratum, _Mapping]]] = ...) -> None: ...

class Deadlines(_message.Message):
    __slots__ = ("setup_s", "collect_s", "reveal_s", "adapt_s")
    SETUP_S_FIELD_NUMBER: _ClassVar[int]
    COLLECT_S_FIELD_NUMBER: _ClassVar[int]
    REVEAL_S_FIELD_NUMBER: _ClassVar[int]
    ADAPT_S_FIELD_NUMBER: _ClassVar[int]
    setup_s: float
    collect_s: float
    reveal_s: float
    adapt_s: float
    def __init__(self, setup_s: _Optional[float] = ..., collect_s: _Optional[float] = ..., reveal_s: _Optional[float] = ..., adapt_s: _Optional[float] = ...) -> None: ...

class Privacy(_message.Message):
    __slots__ = ("clip", "multiplier", "epsilon", "delta", "bits")
    CLIP_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    clip: float
    multiplier: float
    epsilon: float
    delta: float
    bits: int
    def __init__(self, clip: _Optional[float] = ..., multiplier: _Optional[float] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., bits: _Optional[int] = ...) -> None: ...

class Submit(_message.Message):
    __slots__ = ("algorithm", "config", "cohort", "deadlines", "seed", "name", "privacy", "priority", "key")
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    COHORT_FIELD_NUMBER: _ClassVar[int]
    DEADLINES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRIVACY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    algorithm: str
    config: bytes
    cohort: Cohort
    deadlines: Deadlines
    seed: int
    name: str
    privacy: Privacy
    priority: int
    key: bytes
    def __init__(self, algorithm: _Optional[str] = ..., config: _Optional[bytes] = ..., cohort: _Optional[_Union[Cohort, _Mapping]] = ..., deadlines: _Optional[_Union[Deadlines, _Mapping]] = ..., seed: _Optional[int] = ..., name: _Optional[str] = ..., privacy: _Optional[_Union[Privacy, _Mapping]] = ..., priority: _Optional[int] = ..., key: _Optional[bytes] = ...) -> None: ...

class ListTasks(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Watch(_message.Message):
    __slots__ = ("task", "after")
    TASK_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    after: int
    def __init__(self, task: _Optional[bytes] = ..., after: _Optional[int] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    def __init__(self, task: _Optional[bytes] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ("task", "give_up")
    TASK_FIELD_NUMBER: _ClassVar[int]
    GIVE_UP_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    give_up: bool
    def __init__(self, task: _Optional[bytes] = ..., give_up: bool = ...) -> None: ...

class Resume(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    def __init__(self, task: _Optional[bytes] = ...) -> None: ...

class FetchResult(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    def __init__(self, task: _Optional[bytes] = ...) -> None: ...

class FetchHistory(_message.Message):
    __slots__ = ("task", "after", "most")
    TASK_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    after: int
    most: int
    def __init__(self, task: _Optional[bytes] = ..., after: _Optional[int] = ..., most: _Optional[int] = ...) -> None: ...

class AskTask(_message.Message):
    __slots__ = ("task", "step", "archive")
    TASK_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    step: str
    archive: bytes
    def __init__(self, task: _Optional[bytes] = ..., step: _Optional[str] = ..., archive: _Optional[bytes] = ...) -> None: ...

class ListDevices(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TaskStatus(_message.Message):
    __slots__ = ("task", "name", "algorithm", "phase", "detail", "cycle", "aggregations", "abandoned", "roster", "alive", "dropped", "submitted", "secure_aggregation", "faulty", "planned", "priority")
    TASK_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CYCLE_FIELD_NUMBER: _ClassVar[int]
    AGGREGATIONS_FIELD_NUMBER: _ClassVar[int]
    ABANDONED_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    ALIVE_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    SECURE_AGGREGATION_FIELD_NUMBER: _ClassVar[int]
    FAULTY_FIELD_NUMBER: _ClassVar[int]
    PLANNED_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    task: bytes
    name: str
    algorithm: str
    phase: TaskPhase
    detail: str
    cycle: int
    aggregations: int
    abandoned: int
    roster: int
    alive: int
    dropped: int
    submitted: float
    secure_aggregation: bool
    faulty: _containers.RepeatedScalarFieldContainer[bytes]
    planned: int
    priority: int
    def __init__(self, task: _Optional[bytes] = ..., name: _Optional[str] = ..., algorithm: _Optional[str] = ..., phase: _Optional[_Union[TaskPhase, str]] = ..., detail: _Optional[str] = ..., cycle: _Optional[int] = ..., aggregations: _Optional[int] = ..., abandoned: _Optional[int] = ..., roster: _Optional[int] = ..., alive: _Optional[int] = ..., dropped: _Optional[int] = ..., submitted: _Optional[float] = ..., secure_aggregation: bool = ..., faulty: _Optional[_Iterable[bytes]] = ..., planned: _Optional[int] = ..., priority: _Optional[int] = ...) -> None: ...

class TaskList(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskStatus]
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskStatus, _Mapping]]] = ...) -> None: ...

class DeviceStatus(_message.Message):
    __slots__ = ("device", "label", "connected", "algorithms", "bytes_up", "bytes_down", "attributes")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    BYTES_UP_FIELD_NUMBER: _ClassVar[int]
    BYTES_DOWN_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    device: bytes
    label: str
    connected: bool
    algorithms: _containers.RepeatedScalarFieldContainer[str]
    bytes_up: int
    bytes_down: int
    attributes: _containers.RepeatedCompositeFieldContainer[_round_pb2.Attribute]
    def __init__(self, device: _Optional[bytes] = ..., label: _Optional[str] = ..., connected: bool = ..., algorithms: _Optional[_Iterable[str]] = ..., bytes_up: _Optional[int] = ..., bytes_down: _Optional[int] = ..., attributes: _Optional[_Iterable[_Union[_round_pb2.Attribute, _Mapping]]] = ...) -> None: ...

class DeviceList(_message.Message):
    __slots__ = ("devices",)
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedCompositeFieldContainer[DeviceStatus]
    def __init__(self, devices: _Optional[_Iterable[_Union[DeviceStatus, _Mapping]]] = ...) -> None: ...

class TaskReport(_message.Message):
    __slots__ = ("number", "status", "event", "metrics")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    number: int
    status: TaskStatus
    event: str
    metrics: _containers.RepeatedCompositeFieldContainer[_update_pb2.Metric]
    def __init__(self, number: _Optional[int] = ..., status: _Optional[_Union[TaskStatus, _Mapping]] = ..., event: _Optional[str] = ..., metrics: _Optional[_Iterable[_Union[_update_pb2.Metric, _Mapping]]] = ...) -> None: ...

class TaskResult(_message.Message):
    __slots__ = ("status", "archive", "metrics")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    status: TaskStatus
    archive: bytes
    metrics: _containers.RepeatedCompositeFieldContainer[_update_pb2.Metric]
    def __init__(self, status: _Optional[_Union[TaskStatus, _Mapping]] = ..., archive: _Optional[bytes] = ..., metrics: _Optional[_Iterable[_Union[_update_pb2.Metric, _Mapping]]] = ...) -> None: ...

class RoundEntry(_message.Message):
    __slots__ = ("number", "moment", "step", "cycle", "outcome", "reason", "roster", "survivors", "sent")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    MOMENT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CYCLE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    SURVIVORS_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    number: int
    moment: float
    step: str
    cycle: int
    outcome: RoundOutcome
    reason: str
    roster: int
    survivors: int
    sent: int
    def __init__(self, number: _Optional[int] = ..., moment: _Optional[float] = ..., step: _Optional[str] = ..., cycle: _Optional[int] = ..., outcome: _Optional[_Union[RoundOutcome, str]] = ..., reason: _Optional[str] = ..., roster: _Optional[int] = ..., survivors: _Optional[int] = ..., sent: _Optional[int] = ...) -> None: ...

class TaskHistory(_message.Message):
    __slots__ = ("rounds",)
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    rounds: _containers.RepeatedCompositeFieldContainer[RoundEntry]
    def __init__(self, rounds: _Optional[_Iterable[_Union[RoundEntry, _Mapping]]] = ...) -> None: ...

class TaskAnswer(_message.Message):
    __slots__ = ("archive", "survivors", "roster")
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    SURVIVORS_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    archive: bytes
    survivors: _containers.RepeatedScalarFieldContainer[bytes]
    roster: int
    def __init__(self, archive: _Optional[bytes] = ..., survivors: _Optional[_Iterable[bytes]] = ..., roster: _Optional[int] = ...) -> None: ...

class ControlError(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("number", "submit", "list_tasks", "watch", "cancel", "fetch_result", "list_devices", "pause", "resume", "fetch_history", "ask_task")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_FIELD_NUMBER: _ClassVar[int]
    LIST_TASKS_FIELD_NUMBER: _ClassVar[int]
    WATCH_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    FETCH_RESULT_FIELD_NUMBER: _ClassVar[int]
    LIST_DEVICES_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    FETCH_HISTORY_FIELD_NUMBER: _ClassVar[int]
    ASK_TASK_FIELD_NUMBER: _ClassVar[int]
    number: int
    submit: Submit
    list_tasks: ListTasks
    watch: Watch
    cancel: Cancel
    fetch_result: FetchResult
    list_devices: ListDevices
    pause: Pause
    resume: Resume
    fetch_history: FetchHistory
    ask_task: AskTask
    def __init__(self, number: _Optional[int] = ..., submit: _Optional[_Union[Submit, _Mapping]] = ..., list_tasks: _Optional[_Union[ListTasks, _Mapping]] = ..., watch: _Optional[_Union[Watch, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., fetch_result: _Optional[_Union[FetchResult, _Mapping]] = ..., list_devices: _Optional[_Union[ListDevices, _Mapping]] = ..., pause: _Optional[_Union[Pause, _Mapping]] = ..., resume: _Optional[_Union[Resume, _Mapping]] = ..., fetch_history: _Optional[_Union[FetchHistory, _Mapping]] = ..., ask_task: _Optional[_Union[AskTask, _Mapping]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("number", "task_status", "task_list", "device_list", "task_report", "task_result", "control_error", "task_history", "task_answer", "last")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TASK_STATUS_FIELD_NUMBER: _ClassVar[int]
    TASK_LIST_FIELD_NUMBER: _ClassVar[int]
    DEVICE_LIST_FIELD_NUMBER: _ClassVar[int]
    TASK_REPORT_FIELD_NUMBER: _ClassVar[int]
    TASK_RESULT_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ERROR_FIELD_NUMBER: _ClassVar[int]
    TASK_HISTORY_FIELD_NUMBER: _ClassVar[int]
    TASK_ANSWER_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    number: int
    task_status: TaskStatus
    task_list: TaskList
    device_list: DeviceList
    task_report: TaskReport
    task_result: TaskResult
    control_error: ControlError
    task_history: TaskHistory
    task_answer: TaskAnswer
    last: bool
    def __init__(self, number: _Optional[int] = ..., task_status: _Optional[_Union[TaskStatus, _Mapping]] = ..., task_list: _Optional[_Union[TaskList, _Mapping]] = ..., device_list: _Optional[_Union[DeviceList, _Mapping]] = ..., task_report: _Optional[_Union[TaskReport, _Mapping]] = ..., task_result: _Optional[_Union[TaskResult, _Mapping]] = ..., control_error: _Optional[_Union[ControlError, _Mapping]] = ..., task_history: _Optional[_Union[TaskHistory, _Mapping]] = ..., task_answer: _Optional[_Union[TaskAnswer, _Mapping]] = ..., last: bool = ...) -> None: ...
