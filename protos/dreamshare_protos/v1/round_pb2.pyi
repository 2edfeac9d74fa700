from dreamshare_protos.v1 import update_pb2 as _update_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_OFFER: _ClassVar[Stage]
    STAGE_ADVERTISE: _ClassVar[Stage]
    STAGE_ROSTER: _ClassVar[Stage]
    STAGE_PEER_KEYS: _ClassVar[Stage]
    STAGE_SHARES: _ClassVar[Stage]
    STAGE_DELIVER: _ClassVar[Stage]
    STAGE_READY: _ClassVar[Stage]
    STAGE_ROUND_START: _ClassVar[Stage]
    STAGE_MASKED_INPUT: _ClassVar[Stage]
    STAGE_SURVIVORS: _ClassVar[Stage]
    STAGE_AGREE: _ClassVar[Stage]
    STAGE_AGREE_SET: _ClassVar[Stage]
    STAGE_UNMASK_RESPONSE: _ClassVar[Stage]
    STAGE_ROUND_RESULT: _ClassVar[Stage]
    STAGE_ROUND_ABORT: _ClassVar[Stage]
    STAGE_REVEAL: _ClassVar[Stage]
    STAGE_SEED: _ClassVar[Stage]

class RefusalCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSAL_CODE_UNSPECIFIED: _ClassVar[RefusalCode]
    REFUSAL_CODE_M1: _ClassVar[RefusalCode]
    REFUSAL_CODE_M2: _ClassVar[RefusalCode]
    REFUSAL_CODE_O1: _ClassVar[RefusalCode]
    REFUSAL_CODE_O2: _ClassVar[RefusalCode]
    REFUSAL_CODE_O3: _ClassVar[RefusalCode]
    REFUSAL_CODE_R1: _ClassVar[RefusalCode]
    REFUSAL_CODE_R2: _ClassVar[RefusalCode]
    REFUSAL_CODE_R3: _ClassVar[RefusalCode]
    REFUSAL_CODE_G1: _ClassVar[RefusalCode]
    REFUSAL_CODE_G2: _ClassVar[RefusalCode]
    REFUSAL_CODE_D1: _ClassVar[RefusalCode]
    REFUSAL_CODE_S1: _ClassVar[RefusalCode]
    REFUSAL_CODE_S2: _ClassVar[RefusalCode]
    REFUSAL_CODE_S3: _ClassVar[RefusalCode]
    REFUSAL_CODE_S4: _ClassVar[RefusalCode]
    REFUSAL_CODE_S5: _ClassVar[RefusalCode]
    REFUSAL_CODE_S6: _ClassVar[RefusalCode]
    REFUSAL_CODE_S7: _ClassVar[RefusalCode]
    REFUSAL_CODE_E1: _ClassVar[RefusalCode]
    REFUSAL_CODE_U1: _ClassVar[RefusalCode]
    REFUSAL_CODE_U2: _ClassVar[RefusalCode]
    REFUSAL_CODE_U3: _ClassVar[RefusalCode]
    REFUSAL_CODE_U4: _ClassVar[RefusalCode]
    REFUSAL_CODE_B1: _ClassVar[RefusalCode]
    REFUSAL_CODE_Q1: _ClassVar[RefusalCode]
    REFUSAL_CODE_Q2: _ClassVar[RefusalCode]
    REFUSAL_CODE_K1: _ClassVar[RefusalCode]
    REFUSAL_CODE_J1: _ClassVar[RefusalCode]
STAGE_UNSPECIFIED: Stage
STAGE_OFFER: Stage
STAGE_ADVERTISE: Stage
STAGE_ROSTER: Stage
STAGE_PEER_KEYS: Stage
STAGE_SHARES: Stage
STAGE_DELIVER: Stage
STAGE_READY: Stage
STAGE_ROUND_START: Stage
STAGE_MASKED_INPUT: Stage
STAGE_SURVIVORS: Stage
STAGE_AGREE: Stage
STAGE_AGREE_SET: Stage
STAGE_UNMASK_RESPONSE: Stage
STAGE_ROUND_RESULT: Stage
STAGE_ROUND_ABORT: Stage
STAGE_REVEAL: Stage
STAGE_SEED: Stage
REFUSAL_CODE_UNSPECIFIED: RefusalCode
REFUSAL_CODE_M1: RefusalCode
REFUSAL_CODE_M2: RefusalCode
REFUSAL_CODE_O1: RefusalCode
REFUSAL_CODE_O2: RefusalCode
REFUSAL_CODE_O3: RefusalCode
REFUSAL_CODE_R1: RefusalCode
REFUSAL_CODE_R2: RefusalCode
REFUSAL_CODE_R3: RefusalCode
REFUSAL_CODE_G1: RefusalCode
REFUSAL_CODE_G2: RefusalCode
REFUSAL_CODE_D1: RefusalCode
REFUSAL_CODE_S1: RefusalCode
REFUSAL_CODE_S2: RefusalCode
REFUSAL_CODE_S3: RefusalCode
REFUSAL_CODE_S4: RefusalCode
REFUSAL_CODE_S5: RefusalCode
REFUSAL_CODE_S6: RefusalCode
REFUSAL_CODE_S7: RefusalCode
REFUSAL_CODE_E1: RefusalCode
REFUSAL_CODE_U1: RefusalCode
REFUSAL_CODE_U2: RefusalCode
REFUSAL_CODE_U3: RefusalCode
REFUSAL_CODE_U4: RefusalCode
REFUSAL_CODE_B1: RefusalCode
REFUSAL_CODE_Q1: RefusalCode
REFUSAL_CODE_Q2: RefusalCode
REFUSAL_CODE_K1: RefusalCode
REFUSAL_CODE_J1: RefusalCode

class Sa2(_message.Message):
    __slots__ = ("stage", "body")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    stage: Stage
    body: bytes
    def __init__(self, stage: _Optional[_Union[Stage, str]] = ..., body: _Optional[bytes] = ...) -> None: ...

class RoundPlan(_message.Message):
    __slots__ = ("algorithm", "step", "config", "cycle", "draw", "tensors", "last_tell", "fields")
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CYCLE_FIELD_NUMBER: _ClassVar[int]
    DRAW_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    LAST_TELL_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    algorithm: str
    step: str
    config: bytes
    cycle: int
    draw: int
    tensors: _containers.RepeatedCompositeFieldContainer[_update_pb2.Tensor]
    last_tell: bytes
    fields: _containers.RepeatedCompositeFieldContainer[_update_pb2.FieldShape]
    def __init__(self, algorithm: _Optional[str] = ..., step: _Optional[str] = ..., config: _Optional[bytes] = ..., cycle: _Optional[int] = ..., draw: _Optional[int] = ..., tensors: _Optional[_Iterable[_Union[_update_pb2.Tensor, _Mapping]]] = ..., last_tell: _Optional[bytes] = ..., fields: _Optional[_Iterable[_Union[_update_pb2.FieldShape, _Mapping]]] = ...) -> None: ...

class RoundOpening(_message.Message):
    __slots__ = ("start", "plan")
    START_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    start: bytes
    plan: RoundPlan
    def __init__(self, start: _Optional[bytes] = ..., plan: _Optional[_Union[RoundPlan, _Mapping]] = ...) -> None: ...

class TellOrder(_message.Message):
    __slots__ = ("number", "plan")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    number: int
    plan: RoundPlan
    def __init__(self, number: _Optional[int] = ..., plan: _Optional[_Union[RoundPlan, _Mapping]] = ...) -> None: ...

class TaskClosed(_message.Message):
    __slots__ = ("outcome",)
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    def __init__(self, outcome: _Optional[str] = ...) -> None: ...

class NotNeeded(_message.Message):
    __slots__ = ("for_s",)
    FOR_S_FIELD_NUMBER: _ClassVar[int]
    for_s: float
    def __init__(self, for_s: _Optional[float] = ...) -> None: ...

class Attribute(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class CheckIn(_message.Message):
    __slots__ = ("algorithms", "label", "attributes")
    ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    algorithms: _containers.RepeatedScalarFieldContainer[str]
    label: str
    attributes: _containers.RepeatedCompositeFieldContainer[Attribute]
    def __init__(self, algorithms: _Optional[_Iterable[str]] = ..., label: _Optional[str] = ..., attributes: _Optional[_Iterable[_Union[Attribute, _Mapping]]] = ...) -> None: ...

class Declined(_message.Message):
    __slots__ = ("code", "round")
    CODE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    code: RefusalCode
    round: int
    def __init__(self, code: _Optional[_Union[RefusalCode, str]] = ..., round: _Optional[int] = ...) -> None: ...

class TellDone(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...
