from dreamshare_protos.v1 import control_pb2 as _control_pb2
from dreamshare_protos.v1 import round_pb2 as _round_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frame(_message.Message):
    __slots__ = ("header", "signature", "body")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    signature: bytes
    body: bytes
    def __init__(self, header: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., body: _Optional[bytes] = ...) -> None: ...

class Body(_message.Message):
    __slots__ = ("sa2", "round_opening", "tell_order", "task_closed", "not_needed", "check_in", "declined", "tell_done", "request", "reply")
    SA2_FIELD_NUMBER: _ClassVar[int]
    ROUND_OPENING_FIELD_NUMBER: _ClassVar[int]
    TELL_ORDER_FIELD_NUMBER: _ClassVar[int]
    TASK_CLOSED_FIELD_NUMBER: _ClassVar[int]
    NOT_NEEDED_FIELD_NUMBER: _ClassVar[int]
    CHECK_IN_FIELD_NUMBER: _ClassVar[int]
    DECLINED_FIELD_NUMBER: _ClassVar[int]
    TELL_DONE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    sa2: _round_pb2.Sa2
    round_opening: _round_pb2.RoundOpening
    tell_order: _round_pb2.TellOrder
    task_closed: _round_pb2.TaskClosed
    not_needed: _round_pb2.NotNeeded
    check_in: _round_pb2.CheckIn
    declined: _round_pb2.Declined
    tell_done: _round_pb2.TellDone
    request: _control_pb2.Request
    reply: _control_pb2.Reply
    def __init__(self, sa2: _Optional[_Union[_round_pb2.Sa2, _Mapping]] = ..., round_opening: _Optional[_Union[_round_pb2.RoundOpening, _Mapping]] = ..., tell_order: _Optional[_Union[_round_pb2.TellOrder, _Mapping]] = ..., task_closed: _Optional[_Union[_round_pb2.TaskClosed, _Mapping]] = ..., not_needed: _Optional[_Union[_round_pb2.NotNeeded, _Mapping]] = ..., check_in: _Optional[_Union[_round_pb2.CheckIn, _Mapping]] = ..., declined: _Optional[_Union[_round_pb2.Declined, _Mapping]] = ..., tell_done: _Optional[_Union[_round_pb2.TellDone, _Mapping]] = ..., request: _Optional[_Union[_control_pb2.Request, _Mapping]] = ..., reply: _Optional[_Union[_control_pb2.Reply, _Mapping]] = ...) -> None: ...
