"""Logs: one form for everything, and nothing that could be a secret."""

from __future__ import annotations

import io
import json
import logging
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from dreamshare.errors import ConfigError
from dreamshare_aggregator.telemetry.logs import configure_logs
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.secret import Secret


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(log_format: str, level: str = "info") -> tuple[io.StringIO, logging.Logger]:
    stream = io.StringIO()
    configure_logs(log_format, level, stream)
    return stream, logging.getLogger("tests.some.place")


def test_json_has_one_object_a_line_with_its_fields() -> None:
    stream, log = lines("json")
    log.info("device %s came", "ab12", extra={"task": "cd34", "sums": 3})
    log.debug("not told")
    try:
        raise ValueError("a reason")
    except ValueError:
        log.exception("ended")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "device ab12 came",
        "level": "info",
        "logger": "tests.some.place",
        "task": "cd34",
        "sums": 3,
    }
    assert "ValueError: a reason" in second["exception"]


def test_what_a_library_adds_to_every_record_is_left_out() -> None:
    """Ray does: importing it sets a factory of records with `_ray_timestamp_ns`."""

    def marked(*args: Any, **named: Any) -> logging.LogRecord:
        record = logging.LogRecord(*args, **named)
        record.__dict__["_of_a_library"] = 7
        return record

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(marked)
    try:
        stream, log = lines("json")
        log.info("a device came", extra={"sums": 3})
    finally:
        logging.setLogRecordFactory(before)
    told = json.loads(stream.getvalue())
    assert "_of_a_library" not in told
    assert told["sums"] == 3


def test_the_console_has_one_line_for_people() -> None:
    stream, log = lines("console")
    log.warning("device %s came", "ab12", extra={"sums": 3})
    (line,) = stream.getvalue().splitlines()
    assert "device ab12 came" in line
    assert "sums=3" in line


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_is_written_whatever_is_passed(log_format: str) -> None:
    stream, log = lines(log_format)
    key = SystemEntropy().draw(32)
    forms = [key.hex(), b64encode(key).decode(), urlsafe_b64encode(key).rstrip(b"=").decode()]
    log.info("bytes", extra={"value": key, "many": [key, {"deep": key}]})
    log.info("a secret", extra={"value": Secret(key, "key")})
    log.info("argument %r", Secret(key, "key"))
    for form in forms:
        log.info("in a text: %s, and more", form, extra={"value": form})
        log.info("by name", extra={"session_token": form[:20], "authorization": form[:20]})
        try:
            raise ValueError(f"in an error: {form}")
        except ValueError:
            log.exception("ended")
    text = stream.getvalue()
    assert text.count("\n") >= 10
    for form in (*forms, repr(key)[2:-1]):
        assert form not in text
        assert form[:20] not in text


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_peer_cannot_forge_a_line_or_drive_a_terminal(log_format: str) -> None:
    stream, log = lines(log_format)
    log.info("refused: %s", "x\nINFO forged\x1b[2J\u2028", extra={"label": "y\r\nforged"})
    (line,) = stream.getvalue().splitlines()
    assert "\x1b" not in line


@pytest.mark.parametrize(("log_format", "level"), [("xml", "info"), ("json", "loud")])
def test_what_does_not_exist_is_refused(log_format: str, level: str) -> None:
    with pytest.raises(ConfigError, match="choose one of"):
        configure_logs(log_format, level)
