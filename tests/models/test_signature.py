"""Promise: a signature counts if somebody who may sign made it over these bytes."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from gm.errors import ConfigError
from gm.models.signature import load_people, sign_bundle, signature_fault, signer

from .make import named

ADA, EVE = (Ed25519PrivateKey.from_private_bytes(bytes([i] * 32)) for i in (1, 2))


def public(key):
    return key.public_key().public_bytes_raw().hex()


def key_file(path, key, encryption=None):
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    )
    path.chmod(0o600)
    return path


def people_file(path, **people):
    lines = [f"  {n}: {{role: {role}, public_key: '{key}'}}\n" for n, (role, key) in people.items()]
    path.write_text("people:\n" + "".join(lines))
    return path


@pytest.fixture
def people(tmp_path):
    path = people_file(
        tmp_path / "people.yaml", ada=("operator", public(ADA)), tom=("trader", public(EVE))
    )
    return load_people(path)


@pytest.fixture
def folder(tmp_path):
    return named(tmp_path / "bundle", "signed").path


def fault(folder, people, *, is_required=True):
    raw = (folder / "manifest.json").read_bytes()
    return signature_fault(folder, raw, people, is_required=is_required)


def test_a_signature_of_the_test_vector_of_rfc_8032_is_reproduced():
    # §7.1, TEST 2.
    seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    assert public(key) == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72").hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8f")


def test_what_a_person_signed_is_accepted_and_verifies_with_the_plain_primitive(
    folder, people, tmp_path
):
    made = sign_bundle(folder, "ada", key_file(tmp_path / "ada.pem", ADA))
    assert made == public(ADA)
    assert fault(folder, people) is None
    assert signer(folder) == "ada"
    signature = json.loads((folder / "manifest.sig").read_text())["signature"]
    manifest = (folder / "manifest.json").read_bytes()
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(made)).verify(
        bytes.fromhex(signature), manifest
    )


def test_an_absent_signature_is_a_fault_only_where_one_is_required(folder, people):
    assert fault(folder, people, is_required=False) is None
    assert "missing" in fault(folder, people)


def test_a_changed_manifest_is_not_what_was_signed(folder, people, tmp_path):
    sign_bundle(folder, "ada", key_file(tmp_path / "ada.pem", ADA))
    path = folder / "manifest.json"
    raw = bytearray(path.read_bytes())
    for position in range(0, len(raw), 97):
        raw[position] ^= 1
        path.write_bytes(raw)
        assert "not the signature of ada" in fault(folder, people)
        raw[position] ^= 1


def test_every_flipped_bit_of_a_signature_is_refused(folder, people, tmp_path):
    sign_bundle(folder, "ada", key_file(tmp_path / "ada.pem", ADA))
    path = folder / "manifest.sig"
    found = json.loads(path.read_text())
    signature = int(found["signature"], 16)
    for bit in range(512):
        changed = found | {"signature": f"{signature ^ (1 << bit):0128x}"}
        path.write_text(json.dumps(changed))
        assert "not the signature of ada" in fault(folder, people, is_required=False), bit


@pytest.mark.parametrize(
    ("person", "key", "says"),
    [
        ("ada", EVE, "not the signature of ada"),
        ("eve", EVE, "eve is not in people.yaml: ada, tom"),
        ("tom", EVE, "tom is a trader"),
    ],
)
def test_the_wrong_person_is_refused(folder, people, tmp_path, person, key, says):
    sign_bundle(folder, person, key_file(tmp_path / "key.pem", key))
    assert says in fault(folder, people)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"format":2}',
        b"x" * 5000,
        b'{"format":1,"person":"ada","signature":""}',
    ],
)
def test_a_signature_that_is_no_signature_is_refused(folder, people, raw):
    (folder / "manifest.sig").write_bytes(raw)
    assert "manifest.sig" in fault(folder, people, is_required=False)
    assert signer(folder) is None


def test_a_key_that_others_can_read_does_not_sign(folder, tmp_path):
    path = key_file(tmp_path / "ada.pem", ADA)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="mode 0640"):
        sign_bundle(folder, "ada", path)
    assert not (folder / "manifest.sig").exists()


@pytest.mark.parametrize(
    ("key", "encryption", "says"),
    [
        (ADA, BestAvailableEncryption(b"secret"), "unencrypted"),
        (generate_private_key(SECP256R1()), None, "not an Ed25519 key"),
    ],
)
def test_another_kind_of_key_is_refused(folder, tmp_path, key, encryption, says):
    path = key_file(tmp_path / "key.pem", key, encryption)
    with pytest.raises(ConfigError, match=says):
        sign_bundle(folder, "ada", path)


def test_a_name_that_nobody_can_have_does_not_sign(folder, tmp_path):
    with pytest.raises(ConfigError, match="--person"):
        sign_bundle(folder, "Ada L", key_file(tmp_path / "ada.pem", ADA))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("people: {ada: {role: boss, public_key: '" + "a" * 64 + "'}}", r"people\.ada\.role"),
        ("people: {ada: {role: operator, public_key: abc}}", r"people\.ada\.public_key"),
        ("people: {ada: {role: operator}}", "public_key"),
        ("folk: {}", "folk"),
        (
            "people: {ada: {role: operator, public_key: '" + "a" * 64 + "'}, "
            "eve: {role: operator, public_key: '" + "a" * 64 + "'}}",
            r"people\.eve\.public_key is that of ada",
        ),
    ],
)
def test_a_list_of_people_is_checked_key_by_key(tmp_path, text, says):
    path = tmp_path / "people.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_people(path)
