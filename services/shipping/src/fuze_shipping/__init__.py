"""The shipping service: a parcel prepared and handed to the carrier."""
