"""Exit codes of the command, and what a user sees instead of a traceback.

Rules:
- a user's mistake or a refusing peer is one line on standard error: what happened, what to do;
- a traceback is a bug of this program and nothing else.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol, runtime_checkable

from dreamshare.errors import ConfigError, PrivacyError, Rejected, TransportError
from dreamshare_crypto.errors import CryptoError, ParameterError


class Exit(IntEnum):
    """What the command's exit code says. A released value never changes meaning."""

    OK = 0
    FAILED = 1  # the task failed, or the program could not go on
    USAGE = 2  # an option, a settings file or an identity is wrong
    UNREACHABLE = 3  # nobody answered, or the connection broke for good
    REFUSED = 4  # the peer does not accept this identity, or a policy forbids it
    INTERRUPTED = 130  # Ctrl-C before the end


@runtime_checkable
class UsageMistake(Protocol):
    """The command-line parser's own error, whichever release of it is installed."""

    exit_code: int

    def format_message(self) -> str:
        """Return the mistake as one line."""
        ...


def exit_of(error: Exception) -> Exit:
    """Return the exit code that belongs to an error that was raised on purpose."""
    match error:
        case ConfigError() | ParameterError():
            return Exit.USAGE
        case Rejected() | PrivacyError():
            return Exit.REFUSED
        case TransportError():
            return Exit.UNREACHABLE
        case CryptoError():
            return Exit.REFUSED
        case _:
            return Exit.FAILED
