export default {
  input: "../../docs/reference/openapi.json",
  output: { path: "generated/hey_api", importFileExtension: ".js" },
  plugins: ["@hey-api/client-fetch", "@hey-api/typescript", "@hey-api/sdk"],
};
