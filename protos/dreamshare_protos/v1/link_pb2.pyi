from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AbortCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ABORT_CODE_UNSPECIFIED: _ClassVar[AbortCode]
    ABORT_CODE_MALFORMED: _ClassVar[AbortCode]
    ABORT_CODE_UNAUTHENTICATED: _ClassVar[AbortCode]
    ABORT_CODE_UNEXPECTED: _ClassVar[AbortCode]
    ABORT_CODE_UNSUPPORTED_VERSION: _ClassVar[AbortCode]
    ABORT_CODE_TOO_LARGE: _ClassVar[AbortCode]
    ABORT_CODE_REFUSED: _ClassVar[AbortCode]
ABORT_CODE_UNSPECIFIED: AbortCode
ABORT_CODE_MALFORMED: AbortCode
ABORT_CODE_UNAUTHENTICATED: AbortCode
ABORT_CODE_UNEXPECTED: AbortCode
ABORT_CODE_UNSUPPORTED_VERSION: AbortCode
ABORT_CODE_TOO_LARGE: AbortCode
ABORT_CODE_REFUSED: AbortCode

class Received(_message.Message):
    __slots__ = ("birth", "acknowledged", "transfer", "offset")
    BIRTH_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    birth: int
    acknowledged: int
    transfer: int
    offset: int
    def __init__(self, birth: _Optional[int] = ..., acknowledged: _Optional[int] = ..., transfer: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class Standing(_message.Message):
    __slots__ = ("packet_limit", "frame_limit", "window", "certificate", "birth", "first", "received")
    PACKET_LIMIT_FIELD_NUMBER: _ClassVar[int]
    FRAME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    BIRTH_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    packet_limit: int
    frame_limit: int
    window: int
    certificate: bytes
    birth: int
    first: int
    received: Received
    def __init__(self, packet_limit: _Optional[int] = ..., frame_limit: _Optional[int] = ..., window: _Optional[int] = ..., certificate: _Optional[bytes] = ..., birth: _Optional[int] = ..., first: _Optional[int] = ..., received: _Optional[_Union[Received, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("min_version", "max_version", "standing", "proof")
    MIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    MAX_VERSION_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    min_version: int
    max_version: int
    standing: Standing
    proof: bytes
    def __init__(self, min_version: _Optional[int] = ..., max_version: _Optional[int] = ..., standing: _Optional[_Union[Standing, _Mapping]] = ..., proof: _Optional[bytes] = ...) -> None: ...

class HelloReply(_message.Message):
    __slots__ = ("version", "standing", "proof")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    version: int
    standing: Standing
    proof: bytes
    def __init__(self, version: _Optional[int] = ..., standing: _Optional[_Union[Standing, _Mapping]] = ..., proof: _Optional[bytes] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("birth", "transfer", "offset", "total", "data")
    BIRTH_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    birth: int
    transfer: int
    offset: int
    total: int
    data: bytes
    def __init__(self, birth: _Optional[int] = ..., transfer: _Optional[int] = ..., offset: _Optional[int] = ..., total: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("received", "resend")
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    RESEND_FIELD_NUMBER: _ClassVar[int]
    received: Received
    resend: bool
    def __init__(self, received: _Optional[_Union[Received, _Mapping]] = ..., resend: bool = ...) -> None: ...

class Close(_message.Message):
    __slots__ = ("code", "text")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    code: AbortCode
    text: str
    def __init__(self, code: _Optional[_Union[AbortCode, str]] = ..., text: _Optional[str] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("number", "answer")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    number: int
    answer: bool
    def __init__(self, number: _Optional[int] = ..., answer: bool = ...) -> None: ...

class Packet(_message.Message):
    __slots__ = ("hello", "hello_reply", "chunk", "ack", "close", "ping")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HELLO_REPLY_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    hello_reply: HelloReply
    chunk: Chunk
    ack: Ack
    close: Close
    ping: Ping
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., hello_reply: _Optional[_Union[HelloReply, _Mapping]] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., close: _Optional[_Union[Close, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ...) -> None: ...
