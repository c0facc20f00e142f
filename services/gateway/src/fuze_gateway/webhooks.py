"""Whether a webhook is the provider's, and new. Pure.

The signature is over the raw body, as the provider sent it: `t=<unix seconds>,v1=<hex>`, where the
hex is HMAC-SHA256 of `<t>.<body>` under the shared secret.
"""

import hmac
import re

_SIGNATURE = re.compile(r"t=(?P<at>[0-9]{1,12}),v1=(?P<digest>[0-9a-f]{64})")
_TOLERANCE_SECONDS = 300


def is_genuine(signature: str, body: bytes, secret: str, now: float) -> bool:
    """Whether the signature is right, and within five minutes of `now` (Unix seconds)."""
    found = _SIGNATURE.fullmatch(signature)
    if found is None or abs(now - int(found["at"])) > _TOLERANCE_SECONDS:
        return False
    signed = found["at"].encode() + b"." + body
    expected = hmac.new(secret.encode(), signed, "sha256").hexdigest()
    return hmac.compare_digest(expected, found["digest"])
