"""What `dreamshare policy` does: keys, signatures, and what a file says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.keys import IdentityKey
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.secretfile import read_private, write_private
from dreamshare_edge.fleet_policy import FleetPolicy, signer

FORMAT = "dreamshare-policy-key/1"


def make_key(out: Path) -> str:
    """Write a new policy key; return its public half in hex; ConfigError where the file exists."""
    if out.exists():
        raise ConfigError(f"{out} exists; name another file, or move it away")
    key = IdentityKey.generate(SystemEntropy())
    write_private(out, {"format": FORMAT, "key": key.secret().reveal().hex()})
    return key.public.hex()


def sign_it(
    text: Path, version: int, out: Path, folder: Path, key: Path | None, federation: str
) -> Mapping[str, str | int]:
    """Sign the clauses of a file; return what was signed.

    Raises:
        ConfigError: the clauses make no sense, or a file cannot be used.
        ParameterError: the key's file cannot be used.
    """
    try:
        clauses = text.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {text}: {error}") from None
    if key is None:
        authority = Authority.load(FederationFolder(folder).authority)
        whose = authority.federation
        sign: Callable[[bytes], bytes] = authority.sign_policy
    else:
        file = read_private(key)
        if file.text("format") != FORMAT:
            raise file.broken(f"it is not a {FORMAT} file")
        sign = signer(IdentityKey.from_secret(Secret(file.raw("key", 32))))
        whose = _federation(federation)
    signed = FleetPolicy(whose, version, clauses).signed(sign)
    try:
        out.write_bytes(signed.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}") from None
    return {"version": version, "clauses": ", ".join(sorted(signed.named)), "file": str(out)}


def shown(file: Path) -> Mapping[str, str | int]:
    """Return what a signed file says; raises ConfigError."""
    try:
        found = FleetPolicy.decode(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    return {
        "federation": found.federation.hex(),
        "version": found.version,
        "policy": found.text,
    }


def tell(fields: Mapping[str, str | int], as_json: bool) -> None:
    """Print fields for people or for programs."""
    if as_json:
        print(json.dumps(dict(fields)))
        return
    for name, value in fields.items():
        print(f"{name}: {value}")


def _federation(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 16:
        raise ConfigError("with --key name the federation: --federation-id and 32 hex digits")
    return raw
