"""Keys: RFC 8032 and RFC 7748 answers through our types, and the refusals of 2.5."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.errors import AuthenticationError, MalformedError, ParameterError
from dreamshare_crypto.kdf import lp
from dreamshare_crypto.keys import (
    AgreementKey,
    IdentityKey,
    Secret,
    check_public,
    verify_bytes,
    verify_signature,
)

P = 2**255 - 19

RFC_8032 = [  # section 7.1, tests 1 to 3 and SHA(abc): secret, public, message, signature
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970"
        "1cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613"
        "d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760"
        "984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_rfc_8032(secret: str, public: str, message: str, signature: str) -> None:
    key = IdentityKey.from_secret(Secret(bytes.fromhex(secret)))
    assert key.public.hex() == public
    # The RFC's messages carry no label; the key under our type is the RFC's key all the same.
    bare = Ed25519PrivateKey.from_private_bytes(key.secret().reveal())
    assert bare.sign(bytes.fromhex(message)).hex() == signature
    verify_bytes(key.public, bytes.fromhex(message), bytes.fromhex(signature))
    assert key.sign("sa2/v1/t", b"body") == bare.sign(lp(b"sa2/v1/t", b"body"))


class TestSignatures:
    key = IdentityKey.generate(SeededEntropy(b"signer"))

    def test_holds_for_exactly_this_label_body_and_key(self) -> None:
        signature = self.key.sign("sa2/v1/a", b"body")
        verify_signature(self.key.public, "sa2/v1/a", b"body", signature)
        other = IdentityKey.generate(SeededEntropy(b"other")).public
        for public, label, body in [
            (self.key.public, "sa2/v1/b", b"body"),
            (self.key.public, "sa2/v1/a", b"bodY"),
            (other, "sa2/v1/a", b"body"),
        ]:
            with pytest.raises(AuthenticationError):
                verify_signature(public, label, body, signature)

    @pytest.mark.parametrize("broken", [b"", bytes(63), bytes(64), bytes(65)])
    def test_broken_signatures_do_not_hold(self, broken: bytes) -> None:
        with pytest.raises(AuthenticationError):
            verify_signature(self.key.public, "sa2/v1/a", b"body", broken)

    @pytest.mark.parametrize("public", [b"", bytes(31), b"\xff" * 32])
    def test_broken_public_keys_verify_nothing(self, public: bytes) -> None:
        with pytest.raises(AuthenticationError):
            verify_signature(public, "sa2/v1/a", b"body", self.key.sign("sa2/v1/a", b"body"))

    def test_malleated_signature_does_not_hold(self) -> None:
        """s + L verifies the same equation; RFC 8032 5.1.7 refuses s >= L."""
        order = 2**252 + 27742317777372353535851937790883648493
        signature = self.key.sign("sa2/v1/a", b"body")
        s = int.from_bytes(signature[32:], "little") + order
        with pytest.raises(AuthenticationError):
            verify_signature(
                self.key.public, "sa2/v1/a", b"body", signature[:32] + s.to_bytes(32, "little")
            )

    def test_round_trip_and_repr(self) -> None:
        again = IdentityKey.from_secret(self.key.secret())
        assert again.public == self.key.public
        assert self.key.secret().reveal().hex() not in repr(self.key)
        with pytest.raises(ParameterError):
            IdentityKey.from_secret(Secret(bytes(31)))


def test_rfc_7748_scalar_multiplication() -> None:
    """Section 5.2, first vector."""
    scalar = "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"
    u = "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"
    out = "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    key = AgreementKey.from_secret(Secret(bytes.fromhex(scalar)))
    assert key.exchange(bytes.fromhex(u)).reveal().hex() == out


def test_rfc_7748_iterated() -> None:
    """Section 5.2, the loop: after 1 and after 1,000 rounds. A million take minutes."""
    k = u = (9).to_bytes(32, "little")
    answers = {
        1: "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
        1_000: "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
    }
    for i in range(1, 1_001):
        k, u = AgreementKey.from_secret(Secret(k)).exchange(u).reveal(), k
        assert i not in answers or k.hex() == answers[i]


def test_rfc_7748_diffie_hellman() -> None:
    """Section 6.1."""
    alice = AgreementKey.from_secret(
        Secret(bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
    )
    bob = AgreementKey.from_secret(
        Secret(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    )
    assert alice.public.hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert bob.public.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert alice.exchange(bob.public).reveal().hex() == shared
    assert bob.exchange(alice.public).reveal().hex() == shared


class TestRefusedPublicKeys:
    """2.5: canonical, top bit clear, not of low order; spec test 40."""

    key = AgreementKey.generate(SeededEntropy(b"agree"))

    ORDER_EIGHT = (  # RFC 7748's curve: the u of its points of order eight
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )

    @pytest.mark.parametrize("u", [0, 1, P - 1, *ORDER_EIGHT])
    def test_low_order(self, u: int) -> None:
        raw = u.to_bytes(32, "little")
        bare = X25519PrivateKey.from_private_bytes(self.key.secret().reveal())
        with pytest.raises(ValueError):  # the library agrees that the secret is zero
            bare.exchange(X25519PublicKey.from_public_bytes(raw))
        with pytest.raises(MalformedError, match="low order"):
            check_public(raw)
        with pytest.raises(MalformedError, match="low order"):
            self.key.exchange(raw)

    @pytest.mark.parametrize("u", [P, P + 1, P + 18, 9 + 2**255, P - 1 + 2**255, 2**256 - 1])
    def test_not_canonical(self, u: int) -> None:
        with pytest.raises(MalformedError, match="canonical"):
            self.key.exchange(u.to_bytes(32, "little"))

    def test_rfc_7748_second_vector_is_not_canonical_here(self) -> None:
        """RFC 7748 masks the top bit of this u; 2.5 does not take it."""
        u = "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"
        with pytest.raises(MalformedError, match="canonical"):
            check_public(bytes.fromhex(u))

    @pytest.mark.parametrize("length", [0, 31, 33])
    def test_length(self, length: int) -> None:
        with pytest.raises(MalformedError, match="32"):
            check_public(bytes([9]) * length)

    def test_good_keys_pass(self) -> None:
        check_public((9).to_bytes(32, "little"))
        for i in range(20):
            check_public(AgreementKey.generate(SeededEntropy(bytes([i]))).public)


def test_agreement_round_trip_and_repr() -> None:
    key = AgreementKey.generate(SeededEntropy(b"agree"))
    assert AgreementKey.from_secret(key.secret()).public == key.public
    assert key.secret().reveal().hex() not in repr(key)
    with pytest.raises(ParameterError):
        AgreementKey.from_secret(Secret(bytes(33)))


@pytest.mark.parametrize("low", [0, 1, 2**255 - 20])
def test_a_zero_secret_is_refused_by_itself(low: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """2.5 asks for both: were the list of weak values short of one, the exchange still fails."""
    monkeypatch.setattr("dreamshare_crypto.keys.check_public", lambda key: None)
    key = AgreementKey.generate(SeededEntropy(b"x"))
    with pytest.raises(MalformedError, match="zero secret"):
        key.exchange(low.to_bytes(32, "little"))
