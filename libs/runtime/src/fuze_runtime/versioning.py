"""Worker Deployment Versioning: which version of the code runs a workflow.

It is off unless both variables of Temporal's Worker Controller are set. A workflow is pinned to the
version that it starts on, unless its `@workflow.defn` says `AUTO_UPGRADE`: see
docs/explanation/adr/0022.
"""

import os
from collections.abc import Mapping

from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import WorkerDeploymentConfig

_DEPLOYMENT_NAME = "TEMPORAL_DEPLOYMENT_NAME"
_BUILD_ID = "TEMPORAL_WORKER_BUILD_ID"
_EXAMPLES = {_DEPLOYMENT_NAME: "order", _BUILD_ID: "0.1.0-3f2a91c"}


def read_auto_upgrade(environment: Mapping[str, str]) -> VersioningBehavior:
    """Return the behavior of a workflow that moves to the newest version.

    Temporal refuses each workflow task that has a behavior while its worker has no version.
    """
    is_versioned = any(environment.get(name) for name in _EXAMPLES)
    return VersioningBehavior.AUTO_UPGRADE if is_versioned else VersioningBehavior.UNSPECIFIED


AUTO_UPGRADE = read_auto_upgrade(os.environ)
"""For `@workflow.defn(versioning_behavior=…)`."""


def read_deployment(environment: Mapping[str, str]) -> WorkerDeploymentConfig | None:
    """Return the version that this worker is, or None where no version is set.

    A worker with a version gets no tasks until that version is current or ramping.

    Raises:
        SystemExit: one of the two variables is missing, or the name contains a dot, which Temporal
            puts between the name and the build id.

    """
    values = {name: environment.get(name, "") for name in _EXAMPLES}
    if not any(values.values()):
        return None
    for name, value in values.items():
        if not value:
            [other] = values.keys() - {name}
            raise SystemExit(
                f"{name}: missing, and {other} is set; example: {name}={_EXAMPLES[name]}"
            )
    if "." in values[_DEPLOYMENT_NAME]:
        raise SystemExit(
            f"{_DEPLOYMENT_NAME}: must not contain a dot;"
            f" example: {_DEPLOYMENT_NAME}={_EXAMPLES[_DEPLOYMENT_NAME]}"
        )
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(values[_DEPLOYMENT_NAME], values[_BUILD_ID]),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )
