"""X.509 of the transport: what OpenSSL accepts from us, and requests that are no requests."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.errors import MalformedError, ParameterError
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.keys import Secret
from dreamshare_crypto.tls import leaf_key, make_key, make_request, public_key_of, read_request

NOW = 1_700_000_000.0


def federation(name: bytes, now: float = NOW) -> tuple[Identity, Identity]:
    entropy = SeededEntropy(name)
    authority = Authority.create(name.ljust(16, b"."), entropy, now)
    hub = authority.issue(Role.AGGREGATOR, "hub", entropy, now, hosts=("hub.example", "10.0.0.7"))
    return hub, authority.issue(Role.DEVICE, "device", entropy, now)


def test_subject_names_and_usages() -> None:
    hub, device = federation(b"one")
    leaf = x509.load_pem_x509_certificate(hub.tls.chain_pem)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "hub.example"]
    addresses = [str(a) for a in names.get_values_for_type(x509.IPAddress)]
    assert addresses == ["127.0.0.1", "::1", "10.0.0.7"]
    for identity, usages in ((hub, 2), (device, 1)):
        one = x509.load_pem_x509_certificate(identity.tls.chain_pem)
        name = one.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        assert name == identity.id.hex()
        assert isinstance(one.public_key(), ec.EllipticCurvePublicKey)
        assert len(one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == usages
        assert one.not_valid_before_utc.timestamp() == identity.certificate.not_before
        assert one.not_valid_after_utc.timestamp() == identity.certificate.not_after
        one.verify_directly_issued_by(x509.load_pem_x509_certificate(identity.tls.roots_pem))
    with pytest.raises(x509.ExtensionNotFound):
        x509.load_pem_x509_certificate(device.tls.chain_pem).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )


def handshake(server: Identity, client: Identity, host: str, folder: Path) -> None:
    """Both ends of a mutual TLS handshake over memory buffers, by the standard library."""
    ends = []
    for name, identity, purpose in (
        ("server", server, ssl.PROTOCOL_TLS_SERVER),
        ("client", client, ssl.PROTOCOL_TLS_CLIENT),
    ):
        file = folder / f"{name}.pem"
        file.write_bytes(identity.tls.chain_pem + identity.tls.key_pem.reveal())
        context = ssl.SSLContext(purpose)
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=identity.tls.roots_pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        ends.append((context, ssl.MemoryBIO(), ssl.MemoryBIO()))
    (s_context, s_in, s_out), (c_context, c_in, c_out) = ends
    s_end = s_context.wrap_bio(s_in, s_out, server_side=True)
    c_end = c_context.wrap_bio(c_in, c_out, server_hostname=host)
    done = set()
    for _ in range(10):
        for end, outgoing, incoming in ((c_end, c_out, s_in), (s_end, s_out, c_in)):
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                pass
            incoming.write(outgoing.read())
    assert len(done) == 2


@pytest.fixture
def present() -> float:
    """The handshake checks validity by the machine's clock: the certificate must be valid there."""
    return time.time()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "hub.example", "10.0.0.7"])
def test_mutual_tls(host: str, present: float, tmp_path: Path) -> None:
    hub, device = federation(b"one", present)
    handshake(hub, device, host, tmp_path)


def test_other_names_and_federations_are_refused(present: float, tmp_path: Path) -> None:
    hub, device = federation(b"one", present)
    stranger, _ = federation(b"two", present)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(hub, device, "other.example", tmp_path)
    with pytest.raises(ssl.SSLError):
        handshake(stranger, device, "localhost", tmp_path)
    with pytest.raises(ssl.SSLError):  # a device cannot serve
        handshake(device, hub, "localhost", tmp_path)


def test_keys_are_the_entropys() -> None:
    one, again = make_key(SeededEntropy(b"k")), make_key(SeededEntropy(b"k"))
    assert one == again != make_key(SeededEntropy(b"l"))
    assert isinstance(public_key_of(one).curve, ec.SECP256R1)


def test_rejection_sampling_skips_what_is_no_scalar() -> None:
    """FIPS 186-5 A.2.2: 0 and values of n and above are drawn again."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

    class Scripted:
        def __init__(self) -> None:
            self.draws = [
                bytes(32),
                order.to_bytes(32, "big"),
                b"\xff" * 32,
                (5).to_bytes(32, "big"),
            ]

        def draw(self, n: int) -> bytes:
            assert n == 32
            return self.draws.pop(0)

    key = serialization.load_pem_private_key(make_key(Scripted()).reveal(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.private_numbers().private_value == 5


def test_a_seeded_authority_is_the_same_bytes() -> None:
    one, again = federation(b"one"), federation(b"one")
    assert [i.tls for i in one] == [i.tls for i in again]


class TestRequests:
    key = make_key(SeededEntropy(b"request"))

    def test_round_trip(self) -> None:
        assert read_request(make_request(self.key, b"p" * 16)) == public_key_of(self.key)

    def test_changed_requests(self) -> None:
        raw = bytearray(make_request(self.key, b"p" * 16))
        raw[-1] ^= 1
        with pytest.raises(MalformedError):
            read_request(bytes(raw))

    @pytest.mark.parametrize("raw", [b"", b"x", bytes(100)])
    def test_garbage(self, raw: bytes) -> None:
        with pytest.raises(MalformedError):
            read_request(raw)
        with pytest.raises(MalformedError):
            leaf_key(raw)

    @pytest.mark.parametrize("kind", ["p384", "ed25519"])
    def test_other_keys(self, kind: str) -> None:
        key = (
            ec.generate_private_key(ec.SECP384R1())
            if kind == "p384"
            else ed25519.Ed25519PrivateKey.generate()
        )
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        request = builder.sign(key, SHA256() if kind == "p384" else None)
        with pytest.raises(MalformedError, match="P-256"):
            read_request(request.public_bytes(serialization.Encoding.DER))

    def test_private_keys_over_another_curve(self) -> None:
        pem = ec.generate_private_key(ec.SECP384R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        with pytest.raises(ParameterError, match="P-256"):
            public_key_of(Secret(pem))

    def test_keys_that_are_none(self) -> None:
        with pytest.raises(ParameterError):
            public_key_of(Secret(b"not PEM"))


@pytest.mark.parametrize(
    "host", ["", "a b", "-", "a..b", "*.example", "x" * 254, "schl\u00fcssel.de"]
)
def test_hosts_that_are_no_names(host: str) -> None:
    entropy = SeededEntropy(b"h")
    authority = Authority.create(bytes(16), entropy, NOW)
    with pytest.raises(ParameterError, match="neither"):
        authority.issue(Role.AGGREGATOR, "hub", entropy, NOW, hosts=(host,))
