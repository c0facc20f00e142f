// Places the order of the README with @hey-api/openapi-ts, and reads it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { createClient } from "./generated/hey_api/client/index.js";
import {
  approveOrderAsync,
  getOrder,
  listEvents,
  listOrders,
  startOrder,
} from "./generated/hey_api/sdk.gen.js";
import type { StartOrderRequest } from "./generated/hey_api/types.gen.js";

const client = createClient({ baseUrl: process.argv[2] ?? "" });
const orderId = randomUUID();
const path = { order_id: orderId };
const order: StartOrderRequest = { order_id: orderId, address: { zip_code: "10001" } };

const placed = await startOrder({ client, path, body: order });
assert.equal(placed.data?.status, "received");

const read = await getOrder({ client, path });
assert.equal(read.data?.order_id, orderId);

const list = await listOrders({ client, query: { sort: "-updated_at", limit: 1 } });
assert.equal(list.data?.orders[0]?.currency, "USD");

const feed = await listEvents({ client, query: { limit: 500, wait: 5 } });
assert.ok(feed.data?.events.some((event) => event.order_id === orderId));

const approved = await approveOrderAsync({ client, path });
assert.equal(approved.data?.accepted, true);

const unknown = await getOrder({ client, path: { order_id: randomUUID() } });
assert.equal(unknown.error?.type, "/problems/order-not-found");

console.log("@hey-api/openapi-ts: ok");
