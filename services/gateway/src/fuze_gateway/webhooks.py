"""Whether a webhook is the provider's, and new. Pure.

The signature is over the raw body, as the provider sent it: `t=<unix seconds>,v1=<hex>`, where the
hex is HMAC-SHA256 of `<t>.<body>` under the shared secret. Stripe's and the sandbox's are the same;
while Stripe's secret is being changed there is a `v1` for each of the two.
"""

import hmac
import re

_TIME = re.compile(r"t=([0-9]{1,12})")
_DIGEST = re.compile(r"v1=([0-9a-f]{64})")
_TOLERANCE_SECONDS = 300


def is_genuine(signature: str, body: bytes, secret: str, now: float) -> bool:
    """Whether one signature is right, and within five minutes of `now` (Unix seconds)."""
    parts = signature.split(",")
    times = [found[1] for part in parts if (found := _TIME.fullmatch(part))]
    if len(times) != 1 or abs(now - int(times[0])) > _TOLERANCE_SECONDS:
        return False
    signed = times[0].encode() + b"." + body
    expected = hmac.new(secret.encode(), signed, "sha256").hexdigest()
    digests = [found[1] for part in parts if (found := _DIGEST.fullmatch(part))]
    return any(hmac.compare_digest(expected, digest) for digest in digests)
