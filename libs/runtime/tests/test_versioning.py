"""The version of a worker, as Temporal's Worker Controller sets it."""

import pytest
from temporalio.common import VersioningBehavior

from fuze_runtime.versioning import read_auto_upgrade, read_deployment


def test_a_worker_has_no_version_unless_one_is_set() -> None:
    assert read_deployment({}) is None
    assert read_deployment({"TEMPORAL_DEPLOYMENT_NAME": "", "TEMPORAL_WORKER_BUILD_ID": ""}) is None


def test_the_two_variables_are_the_version_and_workflows_are_pinned_to_it() -> None:
    deployment = read_deployment(
        {"TEMPORAL_DEPLOYMENT_NAME": "fuze/order", "TEMPORAL_WORKER_BUILD_ID": "0.1.0-3f2a91c"}
    )

    assert deployment is not None
    assert deployment.use_worker_versioning
    assert deployment.version.to_canonical_string() == "fuze/order.0.1.0-3f2a91c"
    assert deployment.default_versioning_behavior is VersioningBehavior.PINNED


def test_a_workflow_upgrades_by_itself_only_where_its_worker_has_a_version() -> None:
    assert read_auto_upgrade({}) is VersioningBehavior.UNSPECIFIED
    versioned = read_auto_upgrade({"TEMPORAL_WORKER_BUILD_ID": "1"})
    assert versioned is VersioningBehavior.AUTO_UPGRADE


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        (
            "DEPLOYMENT_NAME=order",
            "TEMPORAL_WORKER_BUILD_ID: missing, and TEMPORAL_DEPLOYMENT_NAME",
        ),
        ("WORKER_BUILD_ID=1", "TEMPORAL_DEPLOYMENT_NAME: missing, and TEMPORAL_WORKER_BUILD_ID"),
        (
            "DEPLOYMENT_NAME=a.b WORKER_BUILD_ID=1",
            "TEMPORAL_DEPLOYMENT_NAME: must not contain a dot",
        ),
    ],
)
def test_half_a_version_is_refused_with_one_line_and_an_example(variables: str, line: str) -> None:
    environment = dict(f"TEMPORAL_{one}".split("=") for one in variables.split())

    with pytest.raises(SystemExit, match=rf"^{line}[^\n]*; example: TEMPORAL_\w+=\S+$"):
        read_deployment(environment)
