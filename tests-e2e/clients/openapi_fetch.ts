// Places the order of the README with openapi-typescript and openapi-fetch, and reads it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import createClient from "openapi-fetch";

import type { components, paths } from "./generated/openapi_typescript.js";

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "" });
const orderId = randomUUID();
const order: components["schemas"]["StartOrderRequest"] = {
  order_id: orderId,
  address: { zip_code: "10001" },
};

const placed = await client.POST("/orders/{order_id}/start", {
  params: { path: { order_id: orderId } },
  body: order,
});
assert.equal(placed.data?.status, "received");

const read = await client.GET("/orders/{order_id}", { params: { path: { order_id: orderId } } });
assert.equal(read.data?.order_id, orderId);

const list = await client.GET("/orders", { params: { query: { sort: "-updated_at", limit: 1 } } });
assert.equal(list.data?.orders[0]?.currency, "USD");

const feed = await client.GET("/events", { params: { query: { limit: 500, wait: 5 } } });
assert.ok(feed.data?.events.some((event) => event.order_id === orderId));

const approved = await client.POST("/orders/{order_id}/signals/approve", {
  params: { path: { order_id: orderId } },
});
assert.equal(approved.data?.accepted, true);

const unknown = await client.GET("/orders/{order_id}", {
  params: { path: { order_id: randomUUID() } },
});
assert.equal(unknown.error?.type, "/problems/order-not-found");

console.log("openapi-fetch: ok");
