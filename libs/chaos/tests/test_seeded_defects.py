"""Defects that are planted on purpose: each changes what it names, and nothing else anywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuze_chaos.defects import VARIABLE, Defect, seeded_in
from fuze_chaos.patches import DisarmedError, Patches
from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.topology import StackDefinition, StackOptions

# Each defect in a process of its own, forked from one that has imported all there is to change.
_PLANT_EACH = """
import hashlib, importlib, json, os, sys
from fuze_chaos.defects import Defect
from fuze_chaos.seeds import arm

for service in ("order", "payment", "shipping", "gateway"):
    importlib.import_module(f"fuze_{service}.__main__")

def functions():
    for name, module in sorted(sys.modules.items()):
        if not name.startswith("fuze_") or name.startswith("fuze_devstack"):
            continue
        for key, value in vars(module).items():
            if callable(value) and not isinstance(value, type):
                yield f"{name}:{key}", value
            if isinstance(value, type) and value.__module__ == name:
                for method, function in vars(value).items():
                    yield f"{name}:{key}.{method}", function

for defect in Defect:
    reader, writer = os.pipe()
    if os.fork() == 0:
        before = dict(functions())
        named = arm(defect)
        changed = [name for name, now in functions() if before.get(name) is not now]
        os.write(writer, json.dumps({"named": named, "changed": changed}).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        print(json.dumps({"defect": defect, **json.loads(told.read() or "{}")}))
    os.wait()
"""


@pytest.fixture(scope="module")
def planted() -> dict[str, dict[str, Any]]:
    """What each defect says that it changes, and what it does change."""
    done = subprocess.run(
        [sys.executable, "-c", _PLANT_EACH], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {told["defect"]: told for told in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("defect", Defect)
def test_a_defect_changes_its_service_in_just_the_places_that_it_names(
    planted: dict[str, dict[str, Any]], defect: Defect
) -> None:
    told = planted[defect]

    assert told["named"]
    assert sorted(told["changed"]) == sorted(told["named"])
    assert all(name.startswith(f"fuze_{defect.service}.") for name in told["named"])


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("Ports.lost", ("self",)),
        ("Lost.taken", ("self",)),
        ("Ports.model_config", ("self",)),
        ("Ports.taken", ("self", "of_late")),
    ],
)
def test_a_defect_whose_place_is_no_longer_as_it_was_is_an_error_that_says_where(
    name: str, takes: tuple[str, ...]
) -> None:
    before = Ports.taken

    with pytest.raises(DisarmedError, match=f"fuze_devstack.ports:{name}"):
        Patches().replace("fuze_devstack.ports", name, lambda original: original, takes=takes)

    assert Ports.taken is before


def test_a_module_that_is_gone_is_an_error_that_says_which() -> None:
    with pytest.raises(DisarmedError, match=r"fuze_devstack\.lost"):
        Patches().replace("fuze_devstack.lost", "anything", lambda original: original, takes=())


def test_only_the_service_that_has_the_defect_is_started_through_the_wrapper(
    tmp_path: Path,
) -> None:
    ports = Ports()
    healthy = {one.name: one for one in StackDefinition(tmp_path, ports).services()}
    options = StackOptions(overrides=Defect.SKIP_REFUND.overrides)
    ill = {one.name: one for one in StackDefinition(tmp_path, ports, options).services()}

    assert {name for name in ill if ill[name].command != healthy[name].command} == {"payment"}
    assert ill["payment"].command[1:] == ["-m", "fuze_chaos.defective", "payment"]
    told = dict(ill["payment"].environment.items() - healthy["payment"].environment.items())
    assert told == {VARIABLE: "skip-refund"}
    assert all(
        ill[name].environment == healthy[name].environment for name in ill.keys() - {"payment"}
    )


def test_the_variable_alone_starts_every_service_as_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "skip-refund")

    commands = [list(one.command) for one in StackDefinition(tmp_path, Ports()).services()]

    assert [command[1:] for command in commands] == [
        ["-m", f"fuze_{name}"] for name in ("order", "payment", "shipping", "gateway")
    ]


@pytest.mark.parametrize("seeded", ["", "lose-order", "no-such-defect"])
def test_the_wrapper_runs_no_service_without_a_defect_of_it(seeded: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fuze_chaos.defective", "payment"],
        env=os.environ | {VARIABLE: seeded},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert VARIABLE in done.stderr


def test_the_wrapper_runs_the_service_as_its_own_main_with_its_arguments() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fuze_chaos.defective", "payment", "--help"],
        env=os.environ | {VARIABLE: "skip-refund"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "usage: python -m fuze_payment" in done.stdout
    assert "skip-refund: fuze_payment.refunding:Refunding.refund" in done.stderr


def test_an_environment_names_a_defect_or_none_and_a_wrong_name_lists_them() -> None:
    assert seeded_in({}) is None
    assert seeded_in({VARIABLE: "skip-event"}) is Defect.SKIP_EVENT
    with pytest.raises(StackError, match="skip-refund, drop-provider-key"):
        seeded_in({VARIABLE: "skip-everything"})
