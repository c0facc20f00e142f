// Verifies a webhook with the npm package standardwebhooks: JSON on stdin, exit code 1 if invalid.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
try {
  console.log(JSON.stringify(new Webhook(secret).verify(body, headers)));
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
