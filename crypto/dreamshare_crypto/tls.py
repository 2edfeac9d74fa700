"""X.509 for the transport: P-256 roots, requests and leaves (docs/protocol.md 5.4, 5.6).

Rules:
- a leaf's subject is CN = the party's id in hex; aggregators also get the names they answer to;
- private keys come from the injected `Entropy` by rejection sampling, serial numbers too, and
  signatures use RFC 6979 nonces, so that a seeded run makes the same bytes;
- these keys prove who is at the other end of a connection, and decide nothing in SA-2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import MalformedError, ParameterError
from dreamshare_crypto.secret import Secret

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names that every aggregator's leaf carries."""

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256, FIPS 186-4


def make_key(entropy: Entropy) -> Secret:
    """Return a P-256 private key as PKCS#8 PEM, uniform in 1..n-1 (FIPS 186-5, A.2.2)."""
    scalar = 0
    while not 0 < scalar < _ORDER:
        scalar = int.from_bytes(entropy.draw(32), "big")
    key = ec.derive_private_key(scalar, ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Secret(pem, "TLS private key")


@dataclass(frozen=True, slots=True)
class TlsAuthority:
    """A federation's root of the transport.

    Attributes:
        root_pem: its self-signed certificate.
        key_pem: its private key.
    """

    root_pem: bytes
    key_pem: Secret

    @classmethod
    def create(
        cls, federation: bytes, entropy: Entropy, not_before: int, not_after: int
    ) -> TlsAuthority:
        """Make a root for `federation` that may sign leaves alone (path length 0)."""
        key_pem = make_key(entropy)
        key = _load_key(key_pem)
        name = _name(f"dreamshare {federation.hex()}")
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = (
            _builder(entropy, not_before, not_after)
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(identifier, critical=False)
        )
        root = builder.sign(key, SHA256(), ecdsa_deterministic=True)
        return cls(root_pem=root.public_bytes(Encoding.PEM), key_pem=key_pem)

    def issue(
        self,
        party: bytes,
        public_key: ec.EllipticCurvePublicKey,
        entropy: Entropy,
        not_before: int,
        not_after: int,
        hosts: Sequence[str] = (),
    ) -> bytes:
        """Return a leaf for `party` as PEM; with `hosts` it may also serve under these names."""
        key = _load_key(self.key_pem)
        root = x509.load_pem_x509_certificate(self.root_pem)
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if hosts:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = (
            _builder(entropy, not_before, not_after)
            .subject_name(_name(party.hex()))
            .issuer_name(root.subject)
            .public_key(public_key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
            )
        )
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(key, SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.PEM)


def public_key_of(key_pem: Secret) -> ec.EllipticCurvePublicKey:
    """Return the public half of a key that `make_key` made."""
    return _load_key(key_pem).public_key()


def make_request(key_pem: Secret, party: bytes) -> bytes:
    """Return a PKCS#10 request of `party` for its key, DER (5.4)."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(party.hex()))
    request = builder.sign(_load_key(key_pem), SHA256(), ecdsa_deterministic=True)
    return request.public_bytes(Encoding.DER)


def read_request(der: bytes) -> ec.EllipticCurvePublicKey:
    """Return the key of a PKCS#10 request; its subject and extensions are not looked at.

    Raises:
        MalformedError: no request, not over P-256, or not signed by the key itself.
    """
    try:
        request = x509.load_der_x509_csr(der)
        key = request.public_key()
        valid = request.is_signature_valid
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm, InvalidSignature):
        raise MalformedError("the TLS request of an enrolment cannot be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedError("the TLS request of an enrolment is not over P-256")
    if not valid:
        raise MalformedError("the TLS request of an enrolment is not signed by its own key")
    return key


def leaf_key(chain_pem: bytes) -> ec.EllipticCurvePublicKey:
    """Return the key of the first certificate of a chain; MalformedError when there is none."""
    try:
        key = x509.load_pem_x509_certificate(chain_pem).public_key()
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm):
        raise MalformedError("a TLS certificate chain cannot be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedError("a TLS certificate is not over P-256")
    return key


def certificate_hash(pem: bytes) -> bytes:
    """Return SHA-256 of the first certificate of `pem`, in DER: what `openssl x509` shows.

    Raises:
        MalformedError: it holds no certificate.
    """
    try:
        return x509.load_pem_x509_certificate(pem).fingerprint(SHA256())
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm):
        raise MalformedError("a TLS certificate cannot be read") from None


def check_hosts(hosts: Sequence[str]) -> None:
    """Raise ParameterError when a name is neither an IP address nor a DNS name."""
    for host in hosts:
        _host(host)


def _load_key(key_pem: Secret) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(key_pem.reveal(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ParameterError("a TLS private key cannot be read; restore it from a copy") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ParameterError("a TLS private key is not over P-256")
    return key


def _builder(entropy: Entropy, not_before: int, not_after: int) -> x509.CertificateBuilder:
    serial = int.from_bytes(entropy.draw(16), "big") + 1
    return (
        x509.CertificateBuilder()
        .serial_number(serial)
        .not_valid_before(datetime.fromtimestamp(not_before, UTC))
        .not_valid_after(datetime.fromtimestamp(not_after, UTC))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    labels = host.split(".")
    plain = all(label and label.replace("-", "").isalnum() for label in labels)
    if not plain or not host.isascii() or len(host) > 253:
        raise ParameterError(f"{host!r} is neither an IP address nor a DNS name")
    return x509.DNSName(host)
