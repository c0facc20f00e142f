"""Encryption of what Temporal stores: a payload codec with AES-256-GCM and several keys."""

import base64
import binascii
import os
import re
from collections.abc import Sequence
from typing import Annotated

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import AfterValidator, SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

DEVELOPMENT_KEY = "development:Zm9yLWRldmVsb3BtZW50LW9ubHktbm8tc2VjcmV0ISE="
"""A key that everybody knows; it is refused outside the environment `local`."""

_ENCODING = b"binary/encrypted"
_KEY_ID = "encryption-key-id"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_DECRYPT_ONLY = "off"
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class UndecryptablePayloadError(Exception):
    """A payload was encrypted with a key that this process does not have, or was changed."""


def _validate_keys(keys: SecretStr | None) -> SecretStr | None:
    """Reject unusable keys at startup.

    Raises:
        ValueError: not of the form `id:base64,id:base64` with keys of 32 bytes.

    """
    if keys is not None:
        _parse_keys(keys)
    return keys


PayloadKeys = Annotated[SecretStr | None, AfterValidator(_validate_keys)]
"""Keys as `id:base64,id:base64`. The first one encrypts; with `off` before them, none does.

Without keys nothing is encrypted.
"""


def is_development_key(keys: SecretStr) -> bool:
    """Return whether one of the keys is the published one, whatever its id is."""
    _, published = _parse_keys(SecretStr(DEVELOPMENT_KEY))
    _, parsed = _parse_keys(keys)
    return not set(parsed.values()).isdisjoint(published.values())


def _parse_keys(keys: SecretStr) -> tuple[str | None, dict[str, bytes]]:
    """Return the id of the key that encrypts, or None, and all keys by their ids."""
    entries = [entry.strip() for entry in keys.get_secret_value().split(",")]
    encrypts = entries[0] != _DECRYPT_ONLY
    if not encrypts:
        del entries[0]
    parsed: dict[str, bytes] = {}
    for entry in entries:
        key_id, _, text = entry.partition(":")
        try:
            key = base64.b64decode(text, validate=True)
        except binascii.Error:
            key = b""
        if not _ID.fullmatch(key_id) or len(key) != _KEY_BYTES:
            raise ValueError(
                "must be id:base64 entries with keys of 32 bytes, separated by commas;"
                " `openssl rand -base64 32` prints a key"
            )
        if key_id in parsed:
            raise ValueError(f"has the key id {key_id} twice")
        parsed[key_id] = key
    if not parsed:
        raise ValueError("must have a key after `off`; without encryption, leave it unset")
    return next(iter(parsed)) if encrypts else None, parsed


class EncryptionCodec(PayloadCodec):
    """Encrypts payloads with the first key, and decrypts with the one that a payload names.

    A payload that is not encrypted is read as it is: encryption can be switched on while orders
    are open. The key's id is authenticated with the ciphertext, the nonce is before it.

    Without keys it refuses what is encrypted. The SDK would drop a signal that no converter reads;
    when a codec fails, it repeats the workflow task.
    """

    def __init__(self, keys: SecretStr | None) -> None:
        self._encrypting_id, parsed = _parse_keys(keys) if keys else (None, {})
        self._ciphers = {key_id: AESGCM(key) for key_id, key in parsed.items()}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads encrypted, with their metadata; unchanged while only decrypting."""
        if self._encrypting_id is None:
            return list(payloads)
        return [self._encrypt(payload, self._encrypting_id) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return the payloads decrypted.

        Raises:
            UndecryptablePayloadError: the key is missing, or the payload was changed.

        """
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload, key_id: str) -> Payload:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[key_id].encrypt(nonce, payload.SerializeToString(), key_id.encode())
        metadata = {"encoding": _ENCODING, _KEY_ID: key_id.encode()}
        return Payload(metadata=metadata, data=nonce + sealed)

    def _decrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != _ENCODING:
            return payload
        key_id = payload.metadata.get(_KEY_ID, b"").decode(errors="replace")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise UndecryptablePayloadError(f"FUZE_PAYLOAD_KEYS has no key {key_id!r}")
        nonce, sealed = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(cipher.decrypt(nonce, sealed, key_id.encode()))
        except (InvalidTag, ValueError):  # too short for its nonce
            raise UndecryptablePayloadError(
                f"the payload was changed, or another key has the id {key_id!r}"
            ) from None
