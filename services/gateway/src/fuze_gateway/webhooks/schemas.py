"""The events in the carrier's webhooks. Only ids are read; the state is then read from it."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

EventId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]


class CarrierEvent(BaseModel):
    """An event of the carrier."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "evt_1", "shipment_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}]
        }
    )

    id: EventId
    shipment_id: UUID
