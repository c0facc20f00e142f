"""The client and the commands of webhook endpoints."""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from api_examples import ENDPOINT_ID, TIME, delivery, endpoint
from click.testing import CliRunner, Result
from scripted_server import Response, ScriptedServer, problem

from fuze_client import FuzeClient, NoResponseError
from fuze_client.cli.main import main

_SECRET = "whsec_c2VjcmV0"
_PATH = f"/webhook-endpoints/{ENDPOINT_ID}"


@pytest.fixture(autouse=True)
def _no_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("FUZE_API_KEY", "FUZE_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def _run(server: ScriptedServer, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(
        main, ["webhooks", *arguments], env={"FUZE_URL": server.url}, input=stdin
    )


@pytest.mark.parametrize("method", ["create", "rotate_secret", "send_test"])
def test_what_a_repetition_would_do_again_is_sent_once(server: ScriptedServer, method: str) -> None:
    server.respond(Response(is_broken=True))

    with FuzeClient(server.url) as fuze, pytest.raises(NoResponseError):
        getattr(fuze.webhooks, method)(ENDPOINT_ID)

    assert len(server.requests) == 1


def test_a_change_is_repeated_and_leaves_out_what_stays(server: ScriptedServer) -> None:
    server.respond(Response(is_broken=True), Response(200, endpoint()))

    with FuzeClient(server.url, token="fz_key") as fuze:
        fuze.webhooks.change(ENDPOINT_ID, enabled=False, event_types=[])

    assert [(one.method, one.body) for one in server.requests] == [
        ("PATCH", {"enabled": False, "event_types": []})
    ] * 2
    assert server.requests[0].headers["authorization"] == "Bearer fz_key"


def test_deliveries_are_read_page_after_page_with_the_same_filters(server: ScriptedServer) -> None:
    server.respond(
        Response(200, {"deliveries": [delivery(seq=9), delivery(seq=8)], "next": "2"}),
        Response(200, {"deliveries": [delivery(seq=7)], "next": None}),
    )

    with FuzeClient(server.url) as fuze:
        found = fuze.webhooks.list_deliveries(
            ENDPOINT_ID, state="failed", created_from=datetime(2026, 1, 5, tzinfo=UTC)
        )
        assert [one.seq for one in found] == [9, 8, 7]

    query = f"{_PATH}/deliveries?state=failed&created_from=2026-01-05T00%3A00%3A00%2B00%3A00"
    assert [one.path for one in server.requests] == [
        f"{query}&limit=200",
        f"{query}&limit=200&cursor=2",
    ]


def test_an_endpoint_is_created_and_its_secret_is_printed(server: ScriptedServer) -> None:
    server.respond(Response(201, endpoint(secret=_SECRET)))

    done = _run(
        server,
        *("create", "https://shop.example/webhooks", "--event-type", "order_shipped"),
        "--disabled",
    )

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [f"created {ENDPOINT_ID}", f"secret  {_SECRET}"]
    assert server.requests[0].body == {
        "url": "https://shop.example/webhooks",
        "event_types": ["order_shipped"],
        "description": "",
        "enabled": False,
    }


def test_a_creation_with_an_unknown_outcome_is_not_repeated_blindly(server: ScriptedServer) -> None:
    server.respond(Response(is_broken=True))

    done = _run(server, "create", "https://shop.example/webhooks")

    assert done.exit_code == 7
    assert "fuze webhooks list" in done.stderr


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ({}, "enabled"),
        ({"failing_since": TIME}, "failing"),
        ({"needs_attention": True}, "enabled (!)"),
        ({"enabled": False}, "disabled"),
        (
            {"enabled": False, "disabled_reason": "gone", "needs_attention": True},
            "disabled: gone (!)",
        ),
    ],
)
def test_a_list_says_in_which_state_an_endpoint_is(
    server: ScriptedServer, state: dict[str, object], shown: str
) -> None:
    server.respond(Response(200, {"webhook_endpoints": [endpoint(**state)]}))

    [_, row] = _run(server, "list").stdout.splitlines()

    assert row.split("https://")[0].removeprefix(ENDPOINT_ID).strip() == shown


def test_an_endpoint_is_shown_without_empty_lines(server: ScriptedServer) -> None:
    server.respond(Response(200, endpoint(event_types=["order_shipped"], description="")))

    shown = _run(server, "show", ENDPOINT_ID).stdout

    assert "event types      order_shipped" in shown
    assert "description" not in shown


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (["--enable"], {"enabled": True}),
        (["--disable", "--description", ""], {"enabled": False, "description": ""}),
        (["--all-event-types"], {"event_types": []}),
        (["--event-type", "order_shipped"], {"event_types": ["order_shipped"]}),
    ],
)
def test_an_update_sends_what_was_given(
    server: ScriptedServer, options: list[str], body: dict[str, object]
) -> None:
    server.respond(Response(200, endpoint()))

    assert _run(server, "update", ENDPOINT_ID, *options).exit_code == 0
    assert server.requests[0].body == body


@pytest.mark.parametrize("options", [[], ["--event-type", "order_shipped", "--all-event-types"]])
def test_an_update_says_what_changes(server: ScriptedServer, options: list[str]) -> None:
    assert _run(server, "update", ENDPOINT_ID, *options).exit_code == 2


@pytest.mark.parametrize("command", ["delete", "rotate-secret"])
def test_what_receivers_notice_is_done_only_after_a_confirmation(
    server: ScriptedServer, command: str
) -> None:
    refused = _run(server, command, ENDPOINT_ID, stdin="n\n")
    assert (refused.exit_code, server.requests) == (1, [])

    rotated = {"secret": _SECRET, "previous_secret_expires_at": TIME}
    server.respond(Response(204) if command == "delete" else Response(200, rotated))
    done = _run(server, command, ENDPOINT_ID, "--yes")

    assert done.exit_code == 0
    assert (ENDPOINT_ID if command == "delete" else _SECRET) in done.stdout


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({}, "the endpoint responded 503"),
        ({"is_blocked": True, "error": None}, "waits for an earlier message of its order"),
        ({"state": "delivered", "delivered_at": TIME}, ""),
    ],
)
def test_deliveries_say_why_a_message_is_not_delivered(
    server: ScriptedServer, state: dict[str, object], why: str
) -> None:
    server.respond(Response(200, {"deliveries": [delivery(**state)], "next": None}))

    [_, row] = _run(server, "deliveries", ENDPOINT_ID).stdout.splitlines()

    assert row.startswith("evt_1_3")
    assert row.rstrip().endswith(why or ":00")


def test_deliveries_are_filtered_by_times_of_this_machine(server: ScriptedServer) -> None:
    server.respond(Response(200, {"deliveries": [], "next": None}))

    _run(server, "deliveries", ENDPOINT_ID, "--created-before", "2026-01-05")

    [sent] = parse_qs(urlsplit(server.requests[0].path).query)["created_before"]
    local = datetime(2026, 1, 5).astimezone()
    assert datetime.fromisoformat(sent) == local


def test_a_list_that_is_cut_off_says_so(server: ScriptedServer) -> None:
    server.respond(Response(200, {"deliveries": [delivery()] * 2, "next": "2"}))

    done = _run(server, "deliveries", ENDPOINT_ID, "--limit", "2", "--json")
    assert len(done.stdout.splitlines()) == 2
    server.respond(Response(200, {"deliveries": [delivery()] * 2, "next": "2"}))
    done = _run(server, "deliveries", ENDPOINT_ID, "--limit", "2")

    assert "The first 2 deliveries" in done.stderr


def test_one_message_or_all_that_failed_are_redelivered(server: ScriptedServer) -> None:
    server.respond(Response(202, {"deliveries": 1}), Response(202, {"deliveries": 4}))

    one = _run(server, "redeliver", ENDPOINT_ID, "evt_1_3")
    many = _run(server, "redeliver", ENDPOINT_ID, "--failed-since", "2026-01-05")
    neither = _run(server, "redeliver", ENDPOINT_ID)

    assert one.stdout == "1 message is delivered again\n"
    assert many.stdout == "4 messages are delivered again\n"
    assert neither.exit_code == 2
    assert server.requests[0].body == {"message_id": "evt_1_3"}
    since = datetime.fromisoformat(server.requests[1].body["failed_since"])
    assert since == datetime(2026, 1, 5).astimezone()


def test_a_test_message_of_a_disabled_endpoint_is_a_conflict(server: ScriptedServer) -> None:
    server.respond(problem("webhook-endpoint-disabled", 409))

    assert _run(server, "test", ENDPOINT_ID).exit_code == 4


def test_a_test_message_says_where_to_see_what_became_of_it(server: ScriptedServer) -> None:
    server.respond(Response(202, {"message_id": "test_1"}))

    done = _run(server, "test", ENDPOINT_ID)

    assert f"fuze webhooks deliveries {ENDPOINT_ID}" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["list"], ["show", ENDPOINT_ID], ["update", ENDPOINT_ID, "--enable"]]
)
def test_json_has_the_fields_of_the_api(server: ScriptedServer, arguments: list[str]) -> None:
    body = {"webhook_endpoints": [endpoint()]} if arguments == ["list"] else endpoint()
    server.respond(Response(200, body))

    assert json.loads(_run(server, *arguments, "--json").stdout) == endpoint()


def test_endpoint_ids_are_completed_from_the_gateway(server: ScriptedServer) -> None:
    server.respond(Response(200, {"webhook_endpoints": [endpoint()]}))
    environment = {
        "_FUZE_COMPLETE": "bash_complete",
        "COMP_WORDS": f"fuze webhooks show {ENDPOINT_ID[:3]}",
        "COMP_CWORD": "3",
        "FUZE_URL": server.url,
    }

    done = CliRunner().invoke(main, [], prog_name="fuze", env=environment)

    assert ENDPOINT_ID in done.stdout
