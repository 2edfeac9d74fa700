from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RefusalReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSAL_REASON_UNSPECIFIED: _ClassVar[RefusalReason]
    REFUSAL_REASON_MALFORMED: _ClassVar[RefusalReason]
    REFUSAL_REASON_REFUSED: _ClassVar[RefusalReason]
    REFUSAL_REASON_BUSY: _ClassVar[RefusalReason]
REFUSAL_REASON_UNSPECIFIED: RefusalReason
REFUSAL_REASON_MALFORMED: RefusalReason
REFUSAL_REASON_REFUSED: RefusalReason
REFUSAL_REASON_BUSY: RefusalReason

class Knock(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("tls_root", "links")
    TLS_ROOT_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    tls_root: bytes
    links: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tls_root: _Optional[bytes] = ..., links: _Optional[_Iterable[str]] = ...) -> None: ...

class Ask(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    def __init__(self, request: _Optional[bytes] = ...) -> None: ...

class Waiting(_message.Message):
    __slots__ = ("retry_after_s",)
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    retry_after_s: int
    def __init__(self, retry_after_s: _Optional[int] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("reply",)
    REPLY_FIELD_NUMBER: _ClassVar[int]
    reply: bytes
    def __init__(self, reply: _Optional[bytes] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("reason", "text")
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    reason: RefusalReason
    text: str
    def __init__(self, reason: _Optional[_Union[RefusalReason, str]] = ..., text: _Optional[str] = ...) -> None: ...

class EnrolUp(_message.Message):
    __slots__ = ("knock", "ask")
    KNOCK_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    knock: Knock
    ask: Ask
    def __init__(self, knock: _Optional[_Union[Knock, _Mapping]] = ..., ask: _Optional[_Union[Ask, _Mapping]] = ...) -> None: ...

class EnrolDown(_message.Message):
    __slots__ = ("welcome", "waiting", "answer", "refusal")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    waiting: Waiting
    answer: Answer
    refusal: Refusal
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., waiting: _Optional[_Union[Waiting, _Mapping]] = ..., answer: _Optional[_Union[Answer, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("request_hash", "reply", "refusal")
    REQUEST_HASH_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    request_hash: bytes
    reply: bytes
    refusal: str
    def __init__(self, request_hash: _Optional[bytes] = ..., reply: _Optional[bytes] = ..., refusal: _Optional[str] = ...) -> None: ...

class Parcel(_message.Message):
    __slots__ = ("federation", "requests", "decisions", "revocations")
    FEDERATION_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    REVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    federation: bytes
    requests: _containers.RepeatedScalarFieldContainer[bytes]
    decisions: _containers.RepeatedCompositeFieldContainer[Decision]
    revocations: bytes
    def __init__(self, federation: _Optional[bytes] = ..., requests: _Optional[_Iterable[bytes]] = ..., decisions: _Optional[_Iterable[_Union[Decision, _Mapping]]] = ..., revocations: _Optional[bytes] = ...) -> None: ...
