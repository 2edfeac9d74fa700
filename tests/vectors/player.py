"""The package's device, fed with the messages of a vector file.

Rules:
- entropy is what the file says, in the order in which a device draws it: rounding key, epoch seed,
  the seed's wrap key, c_0 (docs/protocol.md 3, 9.3, 12.6);
- a computation is answered with the file's x and weight, at once.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dreamshare_crypto.certificates import Certificate, RevocationList
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.identity import Identity, TlsMaterial
from dreamshare_crypto.keys import AgreementKey, IdentityKey
from dreamshare_crypto.secagg.client import SecaggClient
from dreamshare_crypto.secagg.events import (
    ClientEffect,
    Compute,
    Computed,
    Payload,
    Received,
    Send,
    Stage,
)
from dreamshare_crypto.secret import Secret

FOLDER = Path(__file__).resolve().parent / "sa2-v1"


@cache
def load(name: str) -> dict[str, Any]:
    """Return a file of vectors, by its name without `.json`."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def sessions() -> list[str]:
    """Return the names of all session files."""
    return sorted(path.stem for path in FOLDER.glob("session-*.json"))


class Script:
    """Entropy that is written down; asking for more than there is fails the test."""

    def __init__(self, draws: list[bytes]) -> None:
        self.draws = draws

    def draw(self, n: int) -> bytes:
        data = self.draws.pop(0)
        assert len(data) == n
        return data


def identity(file: dict[str, Any], index: int) -> Identity:
    """Return one device of a session file."""
    return _identity(file, device_of(file, index))


def aggregator(file: dict[str, Any]) -> Identity:
    """Return the aggregator of a session file."""
    return _identity(file, file["parties"]["aggregator"])


def _identity(file: dict[str, Any], party: dict[str, Any]) -> Identity:
    parties = file["parties"]
    return Identity(
        signing=IdentityKey.from_secret(Secret(bytes.fromhex(party["ik_secret"]), "ik")),
        kem=AgreementKey.from_secret(Secret(bytes.fromhex(party["kem_secret"]), "kem")),
        certificate=Certificate.decode(bytes.fromhex(party["certificate"])),
        authority_key=bytes.fromhex(parties["authority_key"]),
        aggregators=(),
        revocations=RevocationList.decode(bytes.fromhex(parties["revocations"])),
        tls=TlsMaterial(b"", Secret(b""), b""),
    )


def device_of(file: dict[str, Any], index: int) -> dict[str, Any]:
    """Return what a session file says of one device."""
    return next(d for d in file["parties"]["devices"] if d["index"] == index)


def floor_for(file: dict[str, Any], changes: dict[str, list[int]] | None = None) -> Floor:
    """Return the default floor, which also allows the profile and mode of the file's offer."""
    wanted: dict[str, Any] = {}
    if file["offer"]["profile"] != 1:
        wanted["profiles"] = (1, file["offer"]["profile"])
    if file["offer"]["mode"] != 1:
        wanted["modes"] = (1, file["offer"]["mode"])
    for name, values in (changes or {}).items():
        wanted[name] = tuple(values)
    return replace(Floor(), **wanted)


class Player:
    """One device of a session file, played by the package's machine."""

    def __init__(self, name: str, index: int, floor: dict[str, list[int]] | None = None) -> None:
        self.file = load(name)
        self.index = index
        draws = device_of(self.file, index)["draws"]
        order = ("rounding_key", "epoch_seed", "seed_wrap_key", "chain_0")
        script = Script([bytes.fromhex(draws[key]) for key in order])
        self.client = SecaggClient(
            identity(self.file, index),
            bytes.fromhex(self.file["offer"]["task"]),
            floor_for(self.file, floor),
            script,
        )
        self.computes = True
        self.effects: list[ClientEffect] = []

    def message(self, name: str) -> tuple[str, bytes]:
        """Return (stage, bytes) of `roster`, `start:0` and so on, as the file has it."""
        stage, _, number = name.partition(":")
        own = str(self.index)
        match stage:
            case "offer":
                return stage, bytes.fromhex(self.file["offer"]["bytes"])
            case "roster" | "seed":
                return stage, bytes.fromhex(self.file["set_up"][stage])
            case "peer_keys" | "deliver":
                return stage, bytes.fromhex(self.file["set_up"][stage][own])
            case _:
                run = next(run for run in self.file["rounds"] if run["r"] == int(number))
                kind = "round_" + stage if stage in {"start", "result"} else stage
                return kind, bytes.fromhex(run[stage])

    def give(
        self, stage: str, body: bytes, now: float | None = None, payload: bytes | None = None
    ) -> list[ClientEffect]:
        """Hand a message over; return every effect, those of a computation too."""
        moment = float(self.file["now"]) if now is None else now
        plan = None
        if stage == "round_start":
            named = body[36 + self.bitmap_bytes : 68 + self.bitmap_bytes]
            hb = named.ljust(32, b"\0") if payload is None else payload
            base = next(
                (r["Hb_without_draw"] for r in self.file["rounds"] if r["Hb"] == hb.hex()), hb.hex()
            )
            plan = Payload(hash=hb, base_hash=bytes.fromhex(base), draw=self._draw(hb))
        found = list(self.client.handle(Received(Stage[stage.upper()], body, plan), moment))
        for effect in tuple(found):
            if isinstance(effect, Compute) and self.computes:
                found += self.client.handle(self._update(effect.round), moment)
        self.effects += found
        return found

    def play(self, name: str) -> list[ClientEffect]:
        """Hand over a message of the file, by name."""
        return self.give(*self.message(name))

    @property
    def bitmap_bytes(self) -> int:
        return (int(self.file["set_up"]["n"]) + 7) // 8

    def _draw(self, hb: bytes) -> int:
        return next((int(r["draw"]) for r in self.file["rounds"] if r["Hb"] == hb.hex()), 0)

    def _update(self, number: int) -> Computed:
        run = next(r for r in self.file["rounds"] if r["r"] == number)
        own = run["devices"][str(self.index)]
        fields = tuple(np.array(x, dtype=np.float64) for x in own["x"])
        return Computed(number, fields, own["weight"])


def sent(effects: list[ClientEffect], stage: Stage) -> bytes:
    """Return the one message of this stage among the effects."""
    bodies = [e.body for e in effects if isinstance(e, Send) and e.stage is stage]
    assert len(bodies) == 1, f"{len(bodies)} messages of stage {stage.name}"
    return bodies[0]
