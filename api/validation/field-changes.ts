/** What differs between two specs, in the form that Knative's immutability errors have (spec: serving-api 2.6). */
import { sameValue } from "../equality.ts";

/** Go's names that are not the JSON name with a capital. */
const goNames: Readonly<Record<string, string>> = {
  httpGet: "HTTPGet",
  tcpSocket: "TCPSocket",
  grpc: "GRPC",
  httpHeaders: "HTTPHeaders",
  tty: "TTY",
  dnsPolicy: "DNSPolicy",
  dnsConfig: "DNSConfig",
  csi: "CSI",
  fsGroup: "FSGroup",
};
/** Fields of the Revision itself, pointers to numbers in Go. */
const ownFields = new Set([
  "containerConcurrency",
  "timeoutSeconds",
  "responseStartTimeoutSeconds",
  "idleTimeoutSeconds",
]);
const handlers = new Set(["exec", "httpGet", "tcpSocket", "grpc"]);
const maps = new Set(["labels", "annotations", "nodeSelector", "requests", "limits"]);

type Fields = Record<string, unknown>;
const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Text that is absent is empty text in Go; other things are nil. */
function print(value: unknown, other: unknown): string {
  if (value === undefined || value === null) return typeof other === "string" ? '""' : '"<nil>"';
  return typeof value === "string" ? JSON.stringify(value) : `"${JSON.stringify(value).replaceAll('"', "")}"`;
}

/** One entry per leaf that changed, "" when there is none; `root` is Go's type of both. */
export function fieldChanges(before: unknown, after: unknown, root: string): string {
  let text = "";
  const walk = (a: unknown, b: unknown, path: string, key: string): void => {
    if (sameValue(a, b)) return;
    if (Array.isArray(a) && Array.isArray(b) && a.length === b.length) {
      for (const [index, item] of a.entries()) walk(item, b[index], `${path}[${index}]`, key);
    } else if (isFields(a) && isFields(b)) {
      for (const name of new Set([...Object.keys(a), ...Object.keys(b)].toSorted()))
        walk(a[name], b[name], path + step(name, key, path === root), name);
    } else {
      const isPointer = ownFields.has(key) && !/Probe\./u.test(path);
      text += `${isPointer ? "*" : ""}${path}:\n\t-: ${print(a, b)}\n\t+: ${print(b, a)}\n`;
    }
  };
  walk(before, after, root, "");
  return text;

  /** From a field `parent` to `name` in it, through the structs that Go embeds. */
  function step(name: string, parent: string, isTop: boolean): string {
    if (maps.has(parent)) return `[${JSON.stringify(name)}]`;
    const field = `.${goNames[name] ?? name.slice(0, 1).toUpperCase() + name.slice(1)}`;
    const isTemplate = root.includes("Template");
    if (isTop && isTemplate) return name === "metadata" ? ".ObjectMeta" : field;
    if (parent === (isTemplate ? "spec" : "") && !ownFields.has(name)) return `.PodSpec${field}`;
    if (handlers.has(name)) return `.ProbeHandler${field}`;
    return parent === "volumes" && name !== "name" ? `.VolumeSource${field}` : field;
  }
}
