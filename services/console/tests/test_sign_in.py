"""Signing in with an API key, and what a session has."""

import time
from datetime import timedelta

import asyncpg
import httpx
import pytest
from console_harness import PUBLIC_URL, MakeKey, ServeConsole, submit

from fuze_console.sessions import Session, SessionCookies
from fuze_console.settings import ConsoleSettings
from fuze_gateway.auth.principals import Role


async def test_a_person_who_is_not_signed_in_is_led_to_the_page_and_back(
    browser: httpx.AsyncClient, make_key: MakeKey
) -> None:
    page = await browser.get("/orders?status=open")
    assert page.url.path == "/sign-in"

    form = {"api_key": await make_key(Role.VIEWER), "next": "/orders?status=open"}
    signed_in = await submit(browser, "/sign-in", form)

    assert (signed_in.status_code, signed_in.url.path) == (200, "/orders")
    assert "<h1>Orders</h1>" in signed_in.text


async def test_a_wrong_key_shows_what_the_gateway_answered(browser: httpx.AsyncClient) -> None:
    refused = await submit(browser, "/sign-in", {"api_key": "fz_wrong"})

    assert refused.status_code == 401
    assert "unauthenticated" in refused.text
    assert (await browser.get("/orders")).url.path == "/sign-in"


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example"])
async def test_signing_in_leads_to_no_other_site(
    browser: httpx.AsyncClient, make_key: MakeKey, target: str
) -> None:
    form = {"api_key": await make_key(Role.VIEWER), "next": target}

    assert (await submit(browser, "/sign-in", form)).url == f"{PUBLIC_URL}/"


async def test_the_key_is_in_the_cookie_in_encrypted_form_only(
    browser: httpx.AsyncClient, make_key: MakeKey
) -> None:
    key = await make_key(Role.VIEWER)

    page = await submit(browser, "/sign-in", {"api_key": key})

    [header] = [one.headers["set-cookie"] for one in page.history if "set-cookie" in one.headers]
    assert key not in header
    assert "HttpOnly" in header
    assert "SameSite=lax" in header
    assert key not in page.text


async def test_over_tls_the_cookie_is_bound_to_the_host(serve: ServeConsole) -> None:
    async with serve(public_url="https://console.test") as http:
        page = await http.get("/sign-in")

    assert page.headers["set-cookie"].startswith("__Host-fuze_session=")
    assert "Secure" in page.headers["set-cookie"]
    assert "max-age" in page.headers["strict-transport-security"]


async def test_a_caller_sees_only_what_its_scopes_permit(
    browser: httpx.AsyncClient, make_key: MakeKey
) -> None:
    await submit(browser, "/sign-in", {"api_key": await make_key(Role.VIEWER)})
    viewer = await browser.get("/orders")
    refused = await browser.get("/work/discrepancies")
    await submit(browser, "/sign-in", {"api_key": await make_key(Role.OPERATOR)})
    operator = await browser.get("/orders")

    assert "/work/discrepancies" not in viewer.text
    assert "/work/discrepancies" in operator.text
    assert refused.status_code == 403
    assert "insufficient-scope" in refused.text


async def test_signing_out_forgets_the_key(browser: httpx.AsyncClient, make_key: MakeKey) -> None:
    await submit(browser, "/sign-in", {"api_key": await make_key(Role.VIEWER)})

    await submit(browser, "/sign-out", {}, at="/orders")

    assert (await browser.get("/orders")).url.path == "/sign-in"


async def test_a_gateway_without_authentication_needs_a_name_only(serve: ServeConsole) -> None:
    async with serve(gateway={"authentication": "none"}) as http:
        page = await http.get("/sign-in")
        signed_in = await submit(http, "/sign-in", {"actor": "grace"})

    assert "api_key" not in page.text
    assert "grace" in signed_in.text


async def test_an_unreachable_gateway_is_said_and_the_overview_is_still_a_page(
    serve: ServeConsole, make_key: MakeKey, closed_port: int
) -> None:
    async with serve() as http:
        await submit(http, "/sign-in", {"api_key": await make_key(Role.VIEWER)})
        cookies = http.cookies
    async with serve(gateway_url=f"http://127.0.0.1:{closed_port}") as http:
        http.cookies = cookies
        orders, overview = await http.get("/orders"), await http.get("/")

    assert (orders.status_code, overview.status_code) == (502, 200)
    assert "The gateway does not respond" in orders.text
    assert "The gateway does not respond" in overview.text


async def test_a_form_of_a_person_who_is_not_signed_in_is_not_returned_to(
    browser: httpx.AsyncClient,
) -> None:
    path = "/orders/123e4567-e89b-12d3-a456-426614174000/actions/cancel"

    assert (await submit(browser, path, {})).url == f"{PUBLIC_URL}/sign-in"


async def test_a_part_of_a_page_redirects_the_whole_page_to_the_sign_in(
    browser: httpx.AsyncClient,
) -> None:
    part = await browser.get("/orders", headers={"HX-Request": "true"})

    assert part.headers["hx-redirect"] == "/sign-in?next=%2Forders"


async def test_a_revoked_key_ends_the_session(
    browser: httpx.AsyncClient, make_key: MakeKey, owner: asyncpg.Connection
) -> None:
    key = await make_key(Role.VIEWER)
    await submit(browser, "/sign-in", {"api_key": key})
    signed_in = browser.cookies["fuze_session"]
    await owner.execute("UPDATE gateway.api_keys SET revoked_at = now()")

    page = await browser.get("/orders")

    assert page.url.path == "/sign-in"
    assert "set-cookie" in page.history[0].headers
    assert browser.cookies["fuze_session"] != signed_in


def test_a_session_ends_after_its_lifetime() -> None:
    cookies = SessionCookies(ConsoleSettings(session_lifetime=timedelta(hours=1)))
    session = Session(is_signed_in=True).model_dump_json().encode()
    now = int(time.time())

    def read(age: int) -> bool:
        value = cookies._fernet.encrypt_at_time(session, now - age)
        return cookies.read({cookies.name: value.decode()}).is_signed_in

    assert (read(3500), read(3700)) == (True, False)
