"""API keys: expiry, rotation, revocation, caching."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import httpx
from gateway_harness import MakeKey, Serve, bearer

from fuze_gateway.database import Database


async def test_a_wrong_secret_of_a_known_key_is_rejected(
    secured: httpx.AsyncClient, make_key: MakeKey
) -> None:
    key = await make_key()

    response = await secured.get("/orders", headers=bearer(key[:-64] + "0" * 64))

    assert response.status_code == 401


async def test_an_expired_key_is_rejected(secured: httpx.AsyncClient, make_key: MakeKey) -> None:
    key = await make_key(lifetime=timedelta(seconds=-1))

    assert (await secured.get("/orders", headers=bearer(key))).status_code == 401


async def test_a_development_key_is_rejected_in_production(serve: Serve, make_key: MakeKey) -> None:
    key = await make_key(is_development=True)
    async with (
        serve(authentication="required") as local,
        serve(authentication="required", environment="production") as production,
    ):
        responses = [await http.get("/orders", headers=bearer(key)) for http in (local, production)]

    assert [response.status_code for response in responses] == [200, 401]


async def test_a_key_is_rotated_while_the_old_one_is_still_valid(
    secured: httpx.AsyncClient, make_key: MakeKey
) -> None:
    admin = bearer(await make_key())
    request = {"client": f"rotating-{uuid4().hex[:8]}", "role": "viewer"}
    first = (await secured.post("/api-keys", json=request, headers=admin)).json()
    second = (await secured.post("/api-keys", json=request, headers=admin)).json()
    third = await secured.post("/api-keys", json=request, headers=admin)
    both = [await secured.get("/orders", headers=bearer(one["key"])) for one in (first, second)]

    revoked = await secured.delete(f"/api-keys/{first['id']}", headers=admin)
    again = await secured.delete(f"/api-keys/{first['id']}", headers=admin)
    await asyncio.sleep(0.005)  # longer than the cache TTL
    after = [await secured.get("/orders", headers=bearer(one["key"])) for one in (first, second)]

    assert (third.status_code, third.json()["type"]) == (409, "/problems/too-many-api-keys")
    assert [response.status_code for response in both] == [200, 200]
    assert [revoked.status_code, again.status_code] == [204, 404]
    assert [response.status_code for response in after] == [401, 200]


async def test_a_secret_is_returned_once_and_never_listed(
    secured: httpx.AsyncClient, make_key: MakeKey
) -> None:
    admin = bearer(await make_key())
    request = {"client": f"secret-{uuid4().hex[:8]}", "role": "viewer"}
    created = (await secured.post("/api-keys", json=request, headers=admin)).json()

    listed = await secured.get("/api-keys", headers=admin)

    assert created["id"] in listed.text
    assert created["key"].rpartition("_")[2] not in listed.text


async def test_a_client_cannot_have_the_name_of_a_service(
    secured: httpx.AsyncClient, make_key: MakeKey
) -> None:
    request = {"client": "order-service", "role": "viewer"}

    created = await secured.post("/api-keys", json=request, headers=bearer(await make_key()))

    assert created.status_code == 422


async def test_a_cached_key_stays_valid_while_the_database_is_unavailable(
    serve: Serve, make_key: MakeKey, no_database: Database
) -> None:
    key = await make_key()
    cache = timedelta(milliseconds=1)
    async with serve(authentication="required", api_key_cache_ttl=cache) as http:
        app = http._transport.app  # type: ignore[attr-defined] # the application itself
        await http.get("/livez")
        await http.get("/orders", headers=bearer(key))
        app.state.services.api_keys._database = no_database
        await asyncio.sleep(0.005)  # longer than the cache TTL
        cached = await http.get("/orders", headers=bearer(key))
        uncached = await http.get("/orders", headers=bearer(f"fz_{'0' * 12}_{'0' * 64}"))

    assert (cached.status_code, uncached.status_code) == (200, 503)
    assert uncached.headers["retry-after"]
