"""Verification of the carriers' webhook signatures.

One of the sandbox is `t=<unix seconds>,v1=<hex>`, where the hex is the HMAC-SHA256 of
`<t>.<raw body>` with the shared secret. While a secret is rotated, a signature has a `v1` for each
secret. One of EasyPost is `hmac-sha256-hex=<hex>`, of the raw body alone. Those of payment
providers are verified in `fuze_psp`.
"""

import hmac
import re
import time
import unicodedata

from pydantic import SecretStr

_TIMESTAMP = re.compile(r"t=([0-9]{1,12})")
_DIGEST = re.compile(r"v1=([0-9a-f]{64})")
_TOLERANCE_SECONDS = 300


def is_carrier_webhook(signature: str, body: bytes, secret: SecretStr) -> bool:
    """Return whether the carrier sent the body within the last five minutes."""
    return verify_signature(signature, body, secret.get_secret_value(), time.time())


def is_easypost_webhook(signature: str, body: bytes, secret: SecretStr) -> bool:
    """Return whether EasyPost sent the body, at whatever time."""
    key = unicodedata.normalize("NFKD", secret.get_secret_value())
    expected = f"hmac-sha256-hex={hmac.new(key.encode(), body, 'sha256').hexdigest()}"
    return hmac.compare_digest(expected.encode(), signature.encode())


def verify_signature(signature: str, body: bytes, secret: str, now: float) -> bool:
    """Return whether a digest matches and the timestamp is within five minutes of `now`."""
    parts = signature.split(",")
    timestamps = [match[1] for part in parts if (match := _TIMESTAMP.fullmatch(part))]
    if len(timestamps) != 1 or abs(now - int(timestamps[0])) > _TOLERANCE_SECONDS:
        return False
    signed = timestamps[0].encode() + b"." + body
    expected = hmac.new(secret.encode(), signed, "sha256").hexdigest()
    digests = [match[1] for part in parts if (match := _DIGEST.fullmatch(part))]
    return any(hmac.compare_digest(expected, digest) for digest in digests)
