/** The paths that are no resource: discovery, OpenAPI, version, health. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { aggregated, coreVersions, groupList } from "./discovery.ts";
import { openApiV2, openApiV2Protobuf, openApiV2ProtobufType, openApiV3, openApiV3Index } from "./kinds/openapi.ts";
import { acceptedDiscovery } from "./negotiation.ts";
import { sendBody } from "./response-body.ts";
import type { Rest } from "./rest.ts";
import { unknownPath } from "./status-error.ts";

/** The Kubernetes release whose API this is. */
const version = {
  major: "1",
  minor: "34",
  emulationMajor: "1",
  emulationMinor: "34",
  minCompatibilityMajor: "1",
  minCompatibilityMinor: "33",
  gitVersion: "v1.34.0+swell",
  gitCommit: "",
  gitTreeState: "clean",
  buildDate: "1970-01-01T00:00:00Z",
  goVersion: "go1.24",
  compiler: "gc",
  platform: "linux/amd64",
};

const health = /^\/(healthz|readyz|livez)(\/|$)/;

/** Whether the path is answered without a token. */
export const isPublic = (path: string): boolean => path === "/version" || health.test(path);

/** Throws ApiError 404 for a path that says nothing. */
export function answerDocument(
  { kinds }: Rest,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
): void {
  const { accept = "" } = request.headers;
  const send = (type: string, body: string | Uint8Array): void =>
    sendBody(
      request,
      response,
      200,
      { "content-type": type, "cache-control": "no-cache, private", vary: "Accept" },
      body,
    );
  const json = (body: object, type = "application/json"): void => send(type, JSON.stringify(body));

  if (health.test(path)) return send("text/plain; charset=utf-8", "ok");
  if (path === "/version") return json(version);
  if (path === "/api" || path === "/apis") {
    const form = acceptedDiscovery(accept);
    if (form !== undefined)
      return json(
        aggregated(kinds, path === "/api", form),
        `application/json;g=apidiscovery.k8s.io;v=${form};as=APIGroupDiscoveryList`,
      );
    return json(path === "/api" ? coreVersions(request.headers.host ?? "localhost") : groupList(kinds));
  }
  if (path === "/openapi/v2") {
    const asksProtobuf = accept.includes("com.github.proto-openapi.spec.v2") && accept.includes("+protobuf");
    return asksProtobuf ? send(openApiV2ProtobufType, openApiV2Protobuf(kinds)) : json(openApiV2(kinds));
  }
  if (path === "/openapi/v3") return json(openApiV3Index(kinds));
  if (path.startsWith("/openapi/v3/")) {
    try {
      return json(openApiV3(kinds, path.slice("/openapi/v3/".length)));
    } catch (error) {
      if (error instanceof RangeError) throw unknownPath();
      throw error;
    }
  }
  throw unknownPath();
}
