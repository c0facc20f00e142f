"""The payment service: money in, once."""
