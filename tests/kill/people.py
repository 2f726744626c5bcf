"""People with keys, and the settings that know them."""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ..tapes import write_config

ROLES = {"ada": "operator", "grace": "risk_admin", "tom": "trader"}


def key_of(name: str) -> Ed25519PrivateKey:
    """The same key for a name every time."""
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))


def public_key_of(name: str) -> str:
    """As people.yaml has it."""
    return key_of(name).public_key().public_bytes_raw().hex()


def write_key(folder: Path, name: str) -> Path:
    """A person's private key, as openssl writes it."""
    path = folder / f"{name}.pem"
    path.write_bytes(key_of(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


def write_people(folder: Path) -> Path:
    """people.yaml of the three."""
    path = folder / "people.yaml"
    rows = [
        f"  {name}: {{role: {role}, public_key: '{public_key_of(name)}'}}"
        for name, role in ROLES.items()
    ]
    path.write_text("people:\n" + "\n".join(rows) + "\n")
    return path


def config_with_people(folder: Path, **sections: Any) -> Path:
    """The development settings, with the three."""
    write_people(folder)
    models = {"people_file": "people.yaml"}
    return write_config(folder / "people_config.yaml", models=models, **sections)
