"""Encryption of payloads: keys, their rotation, and what is refused."""

import base64
from collections.abc import Callable

import pytest
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure

from fuze_runtime import cli
from fuze_runtime.payload_encryption import (
    DEVELOPMENT_KEY,
    EncryptionCodec,
    UndecryptablePayloadError,
)
from fuze_runtime.settings import ProcessSettings
from fuze_runtime.temporal import build_data_converter

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'"1 Canary Street"')


def _key(letter: str) -> str:
    return base64.b64encode(letter.encode() * 32).decode()


def _codec(keys: str) -> EncryptionCodec:
    return EncryptionCodec(SecretStr(keys))


async def test_a_payload_is_stored_as_ciphertext_with_the_id_of_its_key() -> None:
    [stored] = await _codec(f"2026:{_key('a')}").encode([PLAIN])

    assert b"Canary" not in stored.SerializeToString()
    assert stored.metadata["encryption-key-id"] == b"2026"
    assert await _codec(f"2026:{_key('a')}").decode([stored]) == [PLAIN]


async def test_the_first_key_encrypts_and_a_rotated_one_still_decrypts() -> None:
    old = await _codec(f"2026:{_key('a')}").encode([PLAIN])
    rotated = _codec(f"2027:{_key('b')},2026:{_key('a')}")

    [new] = await rotated.encode([PLAIN])

    assert new.metadata["encryption-key-id"] == b"2027"
    assert await rotated.decode([*old, new]) == [PLAIN, PLAIN]


async def test_a_process_can_decrypt_before_any_encrypts() -> None:
    encrypted = await _codec(f"2026:{_key('a')}").encode([PLAIN])
    decrypting = _codec(f"off,2026:{_key('a')}")

    assert await decrypting.encode([PLAIN]) == [PLAIN]
    assert await decrypting.decode(encrypted) == [PLAIN]


async def test_a_payload_from_before_the_encryption_is_read() -> None:
    assert await _codec(f"2026:{_key('a')}").decode([PLAIN]) == [PLAIN]


@pytest.mark.parametrize("change", [lambda data: data[:-1] + b"?", lambda data: data[:5]])
async def test_a_payload_that_was_changed_is_refused(change: Callable[[bytes], bytes]) -> None:
    codec = _codec(f"2026:{_key('a')}")
    [stored] = await codec.encode([PLAIN])
    changed = Payload(metadata=stored.metadata, data=change(stored.data))

    with pytest.raises(UndecryptablePayloadError, match="was changed"):
        await codec.decode([changed])


async def test_a_missing_key_is_named() -> None:
    [stored] = await _codec(f"2026:{_key('a')}").encode([PLAIN])

    with pytest.raises(UndecryptablePayloadError, match="no key '2026'"):
        await _codec(f"2027:{_key('b')}").decode([stored])


async def test_a_process_without_keys_refuses_what_is_encrypted() -> None:
    [stored] = await _codec(f"2026:{_key('a')}").encode([PLAIN])

    with pytest.raises(UndecryptablePayloadError, match="no key '2026'"):
        await build_data_converter(None).decode([stored])


async def test_the_message_of_a_failure_is_encrypted() -> None:
    converter = build_data_converter(SecretStr(f"2026:{_key('a')}"))
    failure = Failure()

    await converter.encode_failure(ValueError("1 Canary Street"), failure)

    assert b"Canary" not in failure.SerializeToString()
    assert "1 Canary Street" in str(await converter.decode_failure(failure))


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("", "must be id:base64"),
        ("2026:c2hvcnQ=", "keys of 32 bytes"),
        (f"a key:{_key('a')}", "must be id:base64"),
        (f"2026:{_key('a')},2026:{_key('b')}", "has the key id 2026 twice"),
        ("off", "must have a key after `off`"),
    ],
)
def test_unusable_keys_are_one_clear_line_without_the_keys(
    monkeypatch: pytest.MonkeyPatch, keys: str, problem: str
) -> None:
    monkeypatch.setenv("FUZE_PAYLOAD_KEYS", keys)

    with pytest.raises(SystemExit) as stopped:
        cli.load_settings(ProcessSettings)

    assert str(stopped.value).startswith("FUZE_PAYLOAD_KEYS: ")
    assert problem in str(stopped.value)
    assert _key("a") not in str(stopped.value)


@pytest.mark.parametrize("key_id", ["development", "production"])
def test_the_published_key_is_for_the_local_environment_only(
    monkeypatch: pytest.MonkeyPatch, key_id: str
) -> None:
    published = DEVELOPMENT_KEY.partition(":")[2]
    monkeypatch.setenv("FUZE_PAYLOAD_KEYS", f"2026:{_key('a')},{key_id}:{published}")
    assert cli.load_settings(ProcessSettings).payload_keys

    monkeypatch.setenv("FUZE_ENVIRONMENT", "staging")
    with pytest.raises(SystemExit, match="published development key"):
        cli.load_settings(ProcessSettings)
