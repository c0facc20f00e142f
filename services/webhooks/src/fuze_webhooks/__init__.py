"""The webhooks service: sends the events of orders to the endpoints of others."""
