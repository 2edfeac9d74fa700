"""The one place where errors of the cryptographic room become ours.

Rules:
- what a peer's bytes caused is a PeerProtocolError with the code to tell it;
- what our own call caused is a LocalProtocolError or a ConfigError;
- texts of the cryptographic room hold no secrets and are passed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dreamshare.errors import AbortCode, ConfigError, LocalProtocolError, PeerProtocolError
from dreamshare_crypto.errors import (
    AuthenticationError,
    CryptoError,
    MalformedError,
    ParameterError,
    Refused,
)


@contextmanager
def crypto_border() -> Iterator[None]:
    """Run the body and raise our errors for those of `dreamshare_crypto`.

    Raises:
        PeerProtocolError: MALFORMED, UNAUTHENTICATED or REFUSED.
        ConfigError: a value of our own caller.
        LocalProtocolError: anything else, a bug here.
    """
    try:
        yield
    except MalformedError as error:
        raise PeerProtocolError(str(error), AbortCode.MALFORMED) from error
    except AuthenticationError as error:
        raise PeerProtocolError(str(error), AbortCode.UNAUTHENTICATED) from error
    except Refused as error:
        raise PeerProtocolError(str(error), AbortCode.REFUSED) from error
    except ParameterError as error:
        raise ConfigError(str(error)) from error
    except CryptoError as error:
        raise LocalProtocolError(str(error)) from error
