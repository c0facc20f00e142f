"""The base class of every message that crosses a process boundary."""

from pydantic import BaseModel, ConfigDict

WORKFLOW_BUSY = "WorkflowBusy"
"""An update is rejected: its workflow runs a short step. Send it again after a moment."""


class Message(BaseModel):
    """An immutable message, serialised as JSON.

    Several versions of a service run during a deployment: unknown fields are ignored, and a field
    may only be added, with a default. `tests/golden` holds what released versions wrote.
    """

    # An error of validation reaches logs and histories; the value may be personal.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
