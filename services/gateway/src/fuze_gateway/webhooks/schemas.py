"""The events in the carriers' webhooks. Only ids are read; the state is then read from them."""

import re
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

EventId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]


class CarrierEvent(BaseModel):
    """An event of the sandbox carrier."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "evt_1", "shipment_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}]
        }
    )

    id: EventId
    shipment_id: UUID


_SHIPMENT_ID = re.compile(r"shp_[A-Za-z0-9]{1,64}")


class EasyPostEvent(BaseModel):
    """An event of EasyPost. Other fields are ignored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "evt_1",
                    "description": "tracker.updated",
                    "result": {
                        "object": "Tracker",
                        "shipment_id": "shp_0123456789abcdef0123456789abcdef",
                    },
                }
            ]
        }
    )

    id: EventId
    description: str
    result: Any = None

    @property
    def shipment_id(self) -> str | None:
        """EasyPost's id of the shipment whose delivery status changed; None for other events."""
        if self.description != "tracker.updated" or not isinstance(self.result, dict):
            return None
        found = self.result.get("shipment_id")
        return found if isinstance(found, str) and _SHIPMENT_ID.fullmatch(found) else None
