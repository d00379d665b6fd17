/**
 * The hash by which a gateway proves that it serves the present version of a KIngress (data-plane 3.3). Other
 * implementations and the conformance tests compute it too, so its input is written byte for byte as Go's
 * encoding/json writes the defaulted spec.
 */
import { createHash } from "node:crypto";
import type { IngressPath, IngressRule, IngressSplit, KIngress } from "./networking.ts";

/** Lower-case hexadecimal SHA-256. */
export function ingressHash(ingress: Pick<KIngress, "metadata" | "spec">): string {
  const { namespace = "", name = "" } = ingress.metadata;
  return createHash("sha256")
    .update(`${ingressSpecJson(ingress.spec)}${namespace}${name}`)
    .digest("hex");
}

/** Exported for the test of its bytes. */
export function ingressSpecJson({ tls, rules, httpOption }: KIngress["spec"]): string {
  return object([
    [
      "tls",
      list(tls, (entry) =>
        object([
          ["hosts", strings(entry.hosts)],
          ["secretName", text(entry.secretName)],
          ["secretNamespace", text(entry.secretNamespace)],
        ]),
      ),
    ],
    ["rules", list(rules, ruleJson)],
    ["httpOption", text(httpOption)],
  ]);
}

const ruleJson = ({ hosts, visibility, http }: IngressRule): string =>
  object([
    ["hosts", strings(hosts)],
    ["visibility", text(visibility ?? "ExternalIP")],
    ["http", object([["paths", `[${http.paths.map(pathJson).join(",")}]`]])],
  ]);

const pathJson = ({ path, rewriteHost, headers, splits, appendHeaders }: IngressPath): string =>
  object([
    ["path", text(path)],
    ["rewriteHost", text(rewriteHost)],
    ["headers", map(headers, ({ exact }) => object([["exact", string(exact)]]))],
    ["splits", `[${splits.map((split) => splitJson(split, splits.length === 1)).join(",")}]`],
    ["appendHeaders", map(appendHeaders, string)],
  ]);

function splitJson(split: IngressSplit, isOnly: boolean): string {
  const percent = split.percent ?? 0;
  const { servicePort } = split;
  return object([
    ["serviceNamespace", string(split.serviceNamespace)],
    ["serviceName", string(split.serviceName)],
    ["servicePort", typeof servicePort === "number" ? String(servicePort) : string(servicePort)],
    // The default: a lone split gets everything.
    ["percent", percent === 0 ? (isOnly ? "100" : undefined) : String(percent)],
    ["appendHeaders", map(split.appendHeaders, string)],
  ]);
}

/** Members in this order; undefined ones are left out. */
function object(members: readonly (readonly [string, string | undefined])[]): string {
  const written = members.filter(([, value]) => value !== undefined).map(([key, value]) => `${string(key)}:${value}`);
  return `{${written.join(",")}}`;
}

const list = <T>(items: readonly T[] | undefined, write: (item: T) => string): string | undefined =>
  items === undefined || items.length === 0 ? undefined : `[${items.map(write).join(",")}]`;

const strings = (items: readonly string[] | undefined): string | undefined => list(items, string);

const text = (value: string | undefined): string | undefined =>
  value === undefined || value === "" ? undefined : string(value);

/** Go sorts keys by their bytes. */
function map<T>(entries: Readonly<Record<string, T>> | undefined, write: (value: T) => string): string | undefined {
  const keys = Object.keys(entries ?? {}).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return keys.length === 0 ? undefined : object(keys.map((key) => [key, write(entries![key]!)]));
}

/** Go escapes what HTML or JavaScript might misread. */
const string = (value: string): string =>
  JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
