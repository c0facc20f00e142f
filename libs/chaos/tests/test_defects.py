"""Injected defects: each patches the functions that it names, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fuze_chaos.defects.defect import VARIABLE, Defect, selected_defect
from fuze_chaos.defects.patching import Patches, PatchTargetError
from fuze_chaos.report import formatting
from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.topology import StackDefinition, StackOptions

# Applies each defect in a process of its own, forked from one that has imported all services.
_APPLY_EACH = """
import hashlib, importlib, json, os, sys
from fuze_chaos.defects.defect import Defect
from fuze_chaos.defects.patches import apply_defect

for service in ("order", "payment", "shipping", "webhooks", "gateway"):
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
        named = apply_defect(defect)
        changed = [name for name, now in functions() if before.get(name) is not now]
        os.write(writer, json.dumps({"named": named, "changed": changed}).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as output:
        print(json.dumps({"defect": defect, **json.loads(output.read() or "{}")}))
    os.wait()
"""


@pytest.fixture(scope="module")
def applied() -> dict[str, dict[str, Any]]:
    """The functions that each defect names, and those that it has replaced."""
    done = subprocess.run(
        [sys.executable, "-c", _APPLY_EACH], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {one["defect"]: one for one in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("defect", Defect)
def test_a_defect_patches_only_the_functions_that_it_names(
    applied: dict[str, dict[str, Any]], defect: Defect
) -> None:
    result = applied[defect]

    assert result["named"]
    assert sorted(result["changed"]) == sorted(result["named"])
    own_packages = (f"fuze_{defect.service}.", "fuze_psp.")
    assert all(name.startswith(own_packages) for name in result["named"])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("no_such_function", ("number",)),
        ("NoSuchClass.method", ("self",)),
        ("FaultStatistics", ("self",)),
        ("format_count", ("number", "renamed")),
    ],
)
def test_a_patch_target_that_has_changed_is_an_error_that_names_it(
    name: str, parameters: tuple[str, ...]
) -> None:
    before = formatting.format_count

    with pytest.raises(PatchTargetError, match=f"fuze_chaos.report.formatting:{name}"):
        Patches().replace(
            formatting.__name__, name, lambda original: original, parameters=parameters
        )

    assert formatting.format_count is before


def test_a_missing_module_is_an_error_that_names_it() -> None:
    with pytest.raises(PatchTargetError, match=r"fuze_chaos\.no_such_module"):
        Patches().replace(
            "fuze_chaos.no_such_module", "anything", lambda original: original, parameters=()
        )


def test_only_the_defective_service_is_started_through_the_runner(
    tmp_path: Path,
) -> None:
    ports = Ports()
    unpatched = {one.name: one for one in StackDefinition(tmp_path, ports).services()}
    options = StackOptions(overrides={"payment": Defect.SKIP_REFUND.override})
    patched = {one.name: one for one in StackDefinition(tmp_path, ports, options).services()}

    assert {name for name in patched if patched[name].command != unpatched[name].command} == {
        "payment"
    }
    assert patched["payment"].command[1:] == ["-m", "fuze_chaos.defects.runner", "payment"]
    added = dict(patched["payment"].environment.items() - unpatched["payment"].environment.items())
    assert added == {VARIABLE: "skip-refund"}
    assert all(
        patched[name].environment == unpatched[name].environment
        for name in patched.keys() - {"payment"}
    )


def test_the_variable_alone_changes_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "skip-refund")

    commands = [list(one.command) for one in StackDefinition(tmp_path, Ports()).services()]

    assert [command[1:] for command in commands] == [
        ["-m", f"fuze_{name}"]
        for name in ("order", "payment", "shipping", "webhooks", "gateway", "console")
    ]


@pytest.mark.parametrize("selected", ["", "lose-order", "no-such-defect"])
def test_the_runner_starts_no_service_without_a_defect_of_it(selected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fuze_chaos.defects.runner", "payment"],
        env=os.environ | {VARIABLE: selected},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert VARIABLE in done.stderr


def test_the_runner_runs_the_service_as_main_with_its_arguments() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fuze_chaos.defects.runner", "payment", "--help"],
        env=os.environ | {VARIABLE: "skip-refund"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "usage: python -m fuze_payment" in done.stdout
    assert "skip-refund: patched fuze_payment.refund_service:RefundService.refund" in done.stderr


def test_an_unknown_defect_is_an_error_that_lists_all_of_them() -> None:
    assert selected_defect({}) is None
    assert selected_defect({VARIABLE: "skip-event"}) is Defect.SKIP_EVENT
    with pytest.raises(StackError, match="skip-refund, drop-provider-key"):
        selected_defect({VARIABLE: "skip-everything"})
