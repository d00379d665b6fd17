/** What the client wants to read (Accept) and what it sent (Content-Type). */
import { parse as parseYaml } from "yaml";
import { DecodeError } from "./kind.ts";
import { decodeProtobuf, protobufContentType } from "./kinds/protobuf.ts";
import { badRequest, notAcceptable, unsupportedMediaType } from "./status-error.ts";

export type Shape = "object" | "table" | "partial" | "partial-list";
/** `APIGroupDiscoveryList` of this version. */
export type DiscoveryVersion = "v2" | "v2beta1";

interface MediaType {
  type: string;
  parameters: Readonly<Record<string, string>>;
}

function mediaTypes(header: string): MediaType[] {
  return header.split(",").map((entry) => {
    const [type = "", ...rest] = entry.split(";").map((part) => part.trim());
    return {
      type: type.toLowerCase(),
      parameters: Object.fromEntries(rest.map((part) => part.split("=", 2) as [string, string])),
    };
  });
}

const isJson = ({ type }: MediaType): boolean =>
  type === "application/json" ||
  type === "application/*" ||
  type === "*/*" ||
  type === "" ||
  type === "application/yaml";

/** The first form in the client's order that the server has. Throws ApiError 406 when there is none. */
export function acceptedShape(accept: string | undefined): Shape {
  if (accept === undefined) return "object";
  for (const media of mediaTypes(accept)) {
    if (!isJson(media)) continue;
    const { as, v, g } = media.parameters;
    if (as === undefined) return "object";
    if (g !== "meta.k8s.io" || v !== "v1") continue;
    if (as === "Table") return "table";
    if (as === "PartialObjectMetadata") return "partial";
    if (as === "PartialObjectMetadataList") return "partial-list";
  }
  throw notAcceptable(["application/json", "application/yaml"]);
}

export function acceptedDiscovery(accept: string | undefined): DiscoveryVersion | undefined {
  for (const { parameters } of mediaTypes(accept ?? "")) {
    const { as, g, v } = parameters;
    if (as === "APIGroupDiscoveryList" && g === "apidiscovery.k8s.io" && (v === "v2" || v === "v2beta1")) return v;
  }
  return undefined;
}

export const mediaTypeOf = (contentType: string | undefined): string =>
  (contentType ?? "").split(";", 1)[0]!.trim().toLowerCase();

/** The body as a JSON value. Throws ApiError 400 and 415. */
export function decodeBody(bytes: Buffer, contentType: string | undefined): unknown {
  const type = mediaTypeOf(contentType);
  try {
    if (type === protobufContentType) return decodeProtobuf(bytes);
    if (type === "application/yaml" || type === "text/yaml")
      return parseYaml(bytes.toString("utf8"), { merge: true, maxAliasCount: 100 });
    if (type === "" || type === "application/json" || type.endsWith("+json")) return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    const why = (error as Error).message;
    throw badRequest(
      error instanceof DecodeError ? why : `couldn't get version/kind; the body cannot be parsed: ${why}`,
    );
  }
  throw unsupportedMediaType(["application/json", "application/yaml", protobufContentType]);
}

/** The body of a server-side apply: YAML, and nearly always JSON, which is read faster as such. */
export function decodeApply(bytes: Buffer): unknown {
  const text = bytes.toString("utf8");
  try {
    if (text.trimStart().startsWith("{")) return JSON.parse(text);
    return parseYaml(text, { merge: true, maxAliasCount: 100 });
  } catch (error) {
    throw badRequest(`error decoding YAML: ${(error as Error).message}`);
  }
}
