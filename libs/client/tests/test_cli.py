"""The commands: what they print, send and store, and their exit codes."""

import json
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from api_examples import (
    ACCEPTED,
    COMMAND,
    ORDER_ID,
    RETURN_ID,
    SUMMARY,
    event,
    list_of_orders,
)
from click.testing import CliRunner, Result
from scripted_server import Response, ScriptedServer, problem

from fuze_client.cli.main import main
from fuze_client.cli.output import format_amount
from fuze_contracts.money import CURRENCY_EXPONENTS, Money

_AT_ONCE = {"Retry-After": "0"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the user's folder of configuration, which is empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("FUZE_URL", "FUZE_API_KEY", "FUZE_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _limited_for(seconds: int) -> Response:
    limited = problem("rate-limit-exceeded", 429)
    limited.headers |= {"Retry-After": str(seconds)}
    return limited


def _run(server: ScriptedServer | None, *arguments: str, stdin: str = "") -> Result:
    environment = {"FUZE_URL": server.url} if server else {}
    return CliRunner().invoke(main, list(arguments), env=environment, input=stdin)


def _login(server: ScriptedServer, *options: str, key: str = "fz_key") -> Result:
    return _run(None, "login", "--url", server.url, "--with-token", *options, stdin=f"{key}\n")


def test_a_login_is_stored_for_its_owner_alone_and_used(
    server: ScriptedServer, folder: Path
) -> None:
    server.respond(*[Response(200, list_of_orders("ada"))] * 2)

    done = _login(server)
    listed = _run(None, "orders", "list", "--json")

    assert (done.exit_code, listed.exit_code) == (0, 0)
    assert json.loads(listed.stdout)["customer"] == "ada"
    assert [one.headers["authorization"] for one in server.requests] == ["Bearer fz_key"] * 2
    assert (folder / "fuze/profiles.json").stat().st_mode & 0o777 == 0o600
    assert (folder / "fuze").stat().st_mode & 0o777 == 0o700
    assert "fz_key" not in done.output


def test_a_key_that_the_gateway_does_not_accept_is_not_stored(
    server: ScriptedServer, folder: Path
) -> None:
    server.respond(problem("unauthenticated", 401))

    done = _login(server)

    assert done.exit_code == 6
    assert not (folder / "fuze").exists()


@pytest.mark.parametrize("is_local", [True, False])
def test_a_key_that_leaves_this_machine_unencrypted_is_warned_of(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, *, is_local: bool
) -> None:
    if not is_local:
        monkeypatch.setattr("fuze_client.cli.account.LOOPBACK", frozenset())
    server.respond(Response(200, list_of_orders()))

    assert ("sent unencrypted" in _login(server).stderr) is not is_local


def test_profiles_are_chosen_by_name_until_they_are_deleted(server: ScriptedServer) -> None:
    server.respond(*[Response(200, list_of_orders())] * 3)

    _login(server, "--profile", "shop", key="fz_shop")
    _login(server, "--profile", "ops", key="fz_ops")
    _run(None, "orders", "list", "--profile", "shop")
    used = _run(None, "profiles", "--use", "shop")
    _run(None, "logout", "--profile", "ops")
    unknown = _run(None, "orders", "list", "--profile", "ops")

    assert server.requests[-1].headers["authorization"] == "Bearer fz_shop"
    assert "*  shop" in used.stdout
    assert unknown.exit_code == 1
    assert "fuze login --profile ops" in unknown.stderr


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (problem("order-not-found", 404), 3),
        (problem("already-approved", 409), 4),
        (problem("invalid-request", 422), 5),
        (problem("insufficient-scope", 403), 6),
        (problem("internal-error", 500), 7),
        (_limited_for(60), 7),
        (Response(200, {"hello": "world"}), 1),
    ],
)
def test_the_exit_code_says_what_happened(
    server: ScriptedServer, response: Response, code: int
) -> None:
    server.respond(response)

    assert _run(server, "orders", "show", ORDER_ID).exit_code == code


def test_one_order_that_rejects_a_command_does_not_stop_the_others(server: ScriptedServer) -> None:
    server.respond(problem("already-approved", 409), Response(200, COMMAND))

    done = _run(server, "orders", "approve", ORDER_ID, ORDER_ID, "--actor", "grace")

    assert done.exit_code == 4
    assert "It is already-approved." in done.stderr
    assert f"{ORDER_ID}  approved, payment: pending" in done.stdout


def test_an_order_is_cancelled_only_after_a_confirmation(server: ScriptedServer) -> None:
    refused = _run(server, "orders", "cancel", ORDER_ID, stdin="n\n")
    assert (refused.exit_code, server.requests) == (1, [])

    server.respond(Response(200, COMMAND | {"status": "cancelled"}))
    confirmed = _run(server, "orders", "cancel", ORDER_ID, "--reason", "by mistake", stdin="y\n")

    assert confirmed.exit_code == 0
    assert server.requests[0].body == {"reason": "by mistake"}


def test_an_order_is_placed_from_a_file_and_options(server: ScriptedServer) -> None:
    server.respond(Response(202, ACCEPTED))
    body = {"reference": "A", "customer": "ada", "address": {"country": "US"}}

    done = _run(
        server,
        *("orders", "place", "--file", "-", "--reference", "B", "--postal-code", "10001"),
        *("--line", "TEAPOT-1", "3", "1999", "--idempotency-key", "k1", "--json"),
        stdin=json.dumps(body),
    )

    assert json.loads(done.stdout)["order_id"] == ORDER_ID
    [sent] = server.requests
    assert sent.headers["idempotency-key"] == "k1"
    assert sent.body == {
        "reference": "B",
        "customer": "ada",
        "address": {"country": "US", "postal_code": "10001"},
        "lines": [{"sku": "TEAPOT-1", "quantity": 3, "unit_price_minor": 1999}],
    }


def test_a_file_with_an_unknown_field_is_refused_by_its_name(server: ScriptedServer) -> None:
    done = _run(server, "orders", "place", "--file", "-", stdin='{"coupon": "SPRING"}')

    assert done.exit_code == 2
    assert "coupon" in done.stderr


@pytest.mark.parametrize("options", [[], ["--all", "--amount-minor", "5"]])
def test_a_refund_says_exactly_one_way_what_to_refund(
    server: ScriptedServer, options: list[str]
) -> None:
    done = _run(server, "orders", "refund", ORDER_ID, "--yes", *options)

    assert done.exit_code == 2
    assert "--amount-minor, --line, or --all" in done.stderr


def test_a_refund_with_an_unknown_outcome_says_how_to_repeat_it(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuze_client.cli.connection._RETRY_SECONDS", 0)
    server.respond(Response(is_broken=True))

    done = _run(server, "orders", "refund", ORDER_ID, "--all", "--yes")

    assert done.exit_code == 7
    assert f"--idempotency-key {server.requests[0].headers['idempotency-key']}" in done.stderr


@pytest.mark.parametrize(
    ("last_status", "options", "code"),
    [
        ("shipped", [], 0),
        ("delivered", [], 0),
        ("completed", [], 0),
        ("cancelled", [], 8),
        ("cancelled", ["--until", "cancelled"], 0),
        ("shipped", ["--until", "delivered"], 8),
    ],
)
def test_watching_an_order_ends_with_how_it_ended(
    server: ScriptedServer, last_status: str, options: list[str], code: int
) -> None:
    messages = [f"data: {json.dumps(event(seq, last_status))}\n\n" for seq in (1,)]
    server.respond(Response(200, "".join(messages), {"Content-Type": "text/event-stream"}))
    if "cancelled" not in options:
        server.respond(Response(204))

    done = _run(server, "orders", "watch", ORDER_ID, *options)

    assert done.exit_code == code
    assert last_status in done.stdout


def test_the_ledger_has_a_line_for_each_side_of_an_entry(server: ScriptedServer) -> None:
    capture = {
        "journal_id": RETURN_ID,
        "payment_id": RETURN_ID,
        "account": "provider",
        "debit_minor": 5997,
        "credit_minor": 0,
        "currency": "USD",
        "recorded_at": "2026-01-05T10:00:00Z",
    }
    refund = capture | {"journal_id": ORDER_ID, "debit_minor": 0, "credit_minor": 1999}
    server.respond(Response(200, {"order_id": ORDER_ID, "entries": [capture, refund]}))

    lines = _run(server, "payments", "ledger", ORDER_ID).stdout.splitlines()

    assert [line.split()[2:] for line in lines[1:]] == [
        ["capture", "provider", "59.97", "USD"],
        ["refund", "provider", "19.99", "USD"],
    ]
    assert lines[2].index("19.99") == lines[0].index("credit")


def test_a_name_with_control_characters_does_not_control_the_terminal(
    server: ScriptedServer,
) -> None:
    server.respond(Response(200, list_of_orders("\x1b]0;owned\x07[bold]ada")))

    done = _run(server, "orders", "list")

    assert "\x1b" not in done.stdout
    assert "[bold]ada" in done.stdout


def test_a_retry_is_reported_while_it_waits(server: ScriptedServer) -> None:
    outage = problem("unavailable", 503)
    outage.headers |= _AT_ONCE
    server.respond(outage, Response(200, list_of_orders("ada")))

    done = _run(server, "orders", "list", "--json")

    assert done.exit_code == 0
    assert "It is unavailable.; trying again" in done.stderr


def test_a_time_is_of_the_time_zone_of_this_machine(server: ScriptedServer) -> None:
    server.respond(Response(200, list_of_orders()))

    _run(server, "orders", "list", "--created-from", "2026-01-05")

    [sent] = parse_qs(urlsplit(server.requests[0].path).query)["created_from"]
    local = datetime(2026, 1, 5).astimezone()
    assert datetime.fromisoformat(sent) == local


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_completion(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell], prog_name="fuze")

    assert done.exit_code == 0
    assert "_FUZE_COMPLETE" in done.stdout


def test_order_ids_are_completed_from_the_gateway(server: ScriptedServer) -> None:
    server.respond(Response(200, {"orders": [SUMMARY], "next": None}))
    environment = {
        "_FUZE_COMPLETE": "bash_complete",
        "COMP_WORDS": "fuze orders show 123",
        "COMP_CWORD": "3",
        "FUZE_URL": server.url,
    }

    done = CliRunner().invoke(main, [], prog_name="fuze", env=environment)

    assert ORDER_ID in done.stdout
    assert "q=123" in server.requests[0].path


@pytest.mark.parametrize("currency", sorted(CURRENCY_EXPONENTS))
def test_amounts_have_the_decimals_of_their_currency(currency: str) -> None:
    assert format_amount(1234567, currency) == str(Money(amount_minor=1234567, currency=currency))


@pytest.mark.parametrize("command", [["orders"], ["orders", "place"], ["payments"], ["webhooks"]])
def test_help_documents_the_exit_codes(command: list[str]) -> None:
    output = CliRunner().invoke(main, [*command, "--help"]).output

    assert "7  the gateway is unavailable" in output
