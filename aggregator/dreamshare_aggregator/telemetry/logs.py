"""Structured logs: one line per thing that happened, as JSON or for a console, without secrets.

Rules:
- everything that logs through the standard library comes out in one form, with its own fields;
- bytes and secrets are never written out, whatever a caller passes: a value that is bytes, a
  `Secret`, or goes by a telling name becomes its kind and size, and a long run of hexadecimal or
  base64 digits inside a text is cut to its first eight;
- control characters are escaped, so that nothing that a peer chose can forge a line;
- what a library adds to every record for itself, under a name that begins with _, is left out.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Literal, TextIO

import structlog

from dreamshare.errors import ConfigError
from dreamshare_crypto.secret import Secret

LogFormat = Literal["console", "json"]
FORMATS: tuple[LogFormat, ...] = ("console", "json")
LEVELS = ("debug", "info", "warning", "error")

_TELLING = re.compile(r"token|secret|password|passphrase|key|cookie|authorization|csrf|seed|body")
_HARMLESS = frozenset({"keys", "key_count"})
_LONG = re.compile(r"(?<![0-9A-Za-z+/_=-])[0-9A-Za-z+/_-]{40,}={0,2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Event = MutableMapping[str, object]


def configure_logs(log_format: str, level: str, stream: TextIO | None = None) -> None:
    """Send the process's logs to a stream (standard error) in this form, replacing what was set.

    Raises:
        ConfigError: another format or level.
    """
    if log_format not in FORMATS:
        raise ConfigError(f"log_format is {log_format!r}; choose one of {', '.join(FORMATS)}")
    if level not in LEVELS:
        raise ConfigError(f"log_level is {level!r}; choose one of {', '.join(LEVELS)}")
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=target.isatty())
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.ExtraAdder(),
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                without_secrets,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("aiosqlite", "asyncio", "grpc", "hpack", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))


def without_secrets(logger: object, method: str, event: Event) -> Event:
    """Return the event with every value that could be a secret replaced; a structlog processor."""
    told = (each for each in event.items() if not each[0].startswith("_"))
    return {name: _clean(name, value) for name, value in told}


def _clean(name: str, value: object) -> object:
    match value:
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Secret():
            return "<secret>"
        case bool() | int() | float() | None:
            return value
        case Mapping():
            return {str(key): _clean(str(key), item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(name, item) for item in value]
    if _TELLING.search(name.lower()) and name not in _HARMLESS:
        return "<kept back>"
    text = _LONG.sub(lambda found: f"{found.group()[:8]}...", str(value))
    keep = "\n" if name == "exception" else ""
    return _CONTROL.sub(
        lambda c: c.group() if c.group() in keep else f"\\x{ord(c.group()):02x}", text
    )
