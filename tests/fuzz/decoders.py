"""Targets: everything in the cryptographic room that turns bytes of others into values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dreamshare_crypto.certificates import Certificate, RevocationList, Role
from dreamshare_crypto.encoding import Params, words_from_bytes, words_to_bytes
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.envelope import (
    EVERYBODY,
    Header,
    open_broadcast,
    open_sealed,
    seal_broadcast,
    seal_to,
)
from dreamshare_crypto.errors import AuthenticationError, MalformedError
from dreamshare_crypto.graph import Mode
from dreamshare_crypto.keys import AgreementKey
from dreamshare_crypto.secagg.events import RecordKind, Stage
from dreamshare_crypto.secagg.vault import RoundSecrets
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.shamir import decode_element, encode_element
from dreamshare_crypto.tls import leaf_key, make_key, make_request, read_request
from tests.fuzz.recorded import ROUNDS, TERMS, N, recording
from tests.fuzz.target import Target, canonical, refusing
from tests.sim.secagg.decoders import RECORDS, Message, decoders
from tests.sim.secagg.federation import Federation

WORDS = TERMS[Mode.AGREED].template[0].params.words
HEADER = Header(bytes(16), bytes(16), bytes(32), 1, Stage.OFFER, bytes(16), bytes([2] * 16), 1, 1)
HEADER_BYTES = 128
GROUP_KEY = Secret(bytes(32), "group key")


def _encode(message: Message) -> bytes:
    return message.encode()


def _messages(stage: Stage) -> Callable[[], Sequence[bytes]]:
    return lambda: [*recording().down.get(stage, ()), *recording().up.get(stage, ())]


def _records(kind: RecordKind) -> Callable[[], Sequence[bytes]]:
    return lambda: recording().records[kind][:4]


def _certificates() -> Sequence[bytes]:
    return [Federation().issue(role, role.name).certificate.encode() for role in Role]


def _revocations() -> Sequence[bytes]:
    federation = Federation()
    return [federation.revoke(n, range(1, n)).encode() for n in (1, 2, 9)]


def _round_secrets() -> Sequence[bytes]:
    secret = Secret(bytes(32), "secret")
    shares = {dealer: (bytes(32 * (dealer != 1)), bytes(32)) for dealer in range(N)}
    return [RoundSecrets(secret, secret, shares).encode().reveal()]


def _kem() -> AgreementKey:
    return AgreementKey.from_secret(Secret(bytes(range(32)), "kem"))


def _split(raw: bytes) -> tuple[Header, bytes]:
    return Header.decode(raw[:HEADER_BYTES]), raw[HEADER_BYTES:]


def _sealed() -> Sequence[bytes]:
    header, body = seal_to(_kem().public, HEADER, b"plain", SeededEntropy(b"sealed"))
    return [header.encode() + body]


def _broadcast() -> Sequence[bytes]:
    to_all = Header(
        bytes(16), bytes(16), bytes(32), 1, Stage.OFFER, bytes(16), EVERYBODY, 1, 1, key_id=1
    )
    header, body = seal_broadcast(GROUP_KEY, to_all, b"plain", SeededEntropy(b"broadcast"))
    return [header.encode() + body]


def _tls_request() -> Sequence[bytes]:
    return [make_request(make_key(SeededEntropy(b"tls")), bytes(16))]


def _message_targets() -> list[Target]:
    made = decoders(N, ROUNDS, WORDS)
    return [
        Target(
            f"message-{stage.name.lower().replace('_', '-')}",
            canonical(decode, _encode, MalformedError),
            _messages(stage),
        )
        for stage, decode in made.items()
    ]


def _record_targets() -> list[Target]:
    return [
        Target(
            f"record-{kind.name.lower().replace('_', '-')}",
            canonical(body.decode, body.encode, MalformedError),
            _records(kind),
        )
        for kind, body in RECORDS.items()
    ]


SEALED = (MalformedError, AuthenticationError)


TARGETS: tuple[Target, ...] = (
    *_message_targets(),
    *_record_targets(),
    Target(
        "params",
        canonical(Params.decode, Params.encode, MalformedError),
        lambda: [step.params.encode() for step in TERMS[Mode.AGREED].template],
    ),
    Target(
        "certificate",
        canonical(Certificate.decode, Certificate.encode, MalformedError),
        _certificates,
    ),
    Target(
        "revocations",
        canonical(RevocationList.decode, RevocationList.encode, MalformedError),
        _revocations,
    ),
    Target(
        "round-secrets",
        canonical(RoundSecrets.decode, lambda secrets: secrets.encode().reveal(), MalformedError),
        _round_secrets,
    ),
    Target(
        "share",
        canonical(decode_element, encode_element, MalformedError),
        lambda: [bytes(32), encode_element(2**255 - 20)],
    ),
    Target(
        "vector",
        canonical(words_from_bytes, words_to_bytes, MalformedError),
        lambda: [bytes(8 * WORDS)],
    ),
    Target(
        "header",
        canonical(Header.decode, Header.encode, MalformedError),
        lambda: [HEADER.encode()],
    ),
    Target("sealed", refusing(lambda raw: open_sealed(_kem(), *_split(raw)), SEALED), _sealed),
    Target(
        "broadcast",
        refusing(lambda raw: open_broadcast(GROUP_KEY, *_split(raw)), SEALED),
        _broadcast,
    ),
    Target("tls-request", refusing(read_request, MalformedError), _tls_request),
    Target("tls-chain", refusing(leaf_key, MalformedError), lambda: [b"-----BEGIN CERTIFICATE"]),
)
