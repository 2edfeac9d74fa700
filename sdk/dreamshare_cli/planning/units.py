"""Unit costs of one machine: processor seconds, measured once and kept in a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from dreamshare.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Units:
    """What one core of this machine takes, in seconds of processor time.

    Attributes:
        vector_s: a masked vector that comes in, however short: frame, signatures, adding.
        vector_byte_s: each byte of it: TLS, packets, hashes, copies, adding.
        message_s: a small message that comes in and is acknowledged.
        post_s: a small message that goes out to one device.
        post_byte_s: each byte of a message that goes out to one device.
        mask_byte_s: expanding a byte of a mask and taking it from a sum.
        word_s: reading a word of an unmasked sum.
        agreement_s: one key agreement.
        share_s: one share of a secret that is put together.
        pair_s: two holders of an answer set that no other secret has.
        device_mb: memory of a connected device with the keys of a task, 10^6 bytes.
        base_mb: memory of a process that has none.
    """

    vector_s: float
    vector_byte_s: float
    message_s: float
    post_s: float
    post_byte_s: float
    mask_byte_s: float
    word_s: float
    agreement_s: float
    share_s: float
    pair_s: float
    device_mb: float = 0.4
    base_mb: float = 95.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int | float) or not 0 <= value < 1e6:
                raise ConfigError(f"unit cost {field.name} is {value!r}; measure again")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file of `save`.

        Raises:
            ConfigError: it cannot be read, or is none.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{field.name: found[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            text = f"{path} holds no unit costs ({error}); measure them with --calibrate"
            raise ConfigError(text) from None

    def save(self, path: Path) -> None:
        """Write the costs, for people and for `load`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
