/** Validation of pod specs, in pods and in templates. */
import { isDeepStrictEqual } from "node:util";
import type { KubeObject } from "../../../api/meta.ts";
import type { FieldCause } from "../kind.ts";
import { duplicate, forbidden, invalid, notFound, notSupported, required } from "./field-cause.ts";
import { child, objects, type Json } from "./json-object.ts";
import { labelName, subdomainName } from "./metadata-validation.ts";
import { parseQuantity } from "../../../api/quantity.ts";

export const portRange = "must be between 1 and 65535, inclusive";
export const isPort = (value: unknown): boolean => typeof value === "number" && value >= 1 && value <= 65_535;
const protocols = ["SCTP", "TCP", "UDP"];

export function checkProtocol(protocol: unknown, path: string, causes: FieldCause[]): void {
  if (protocol !== undefined && !protocols.includes(protocol as string))
    causes.push(notSupported(path, protocol, protocols));
}

export function oneOf(value: unknown, allowed: readonly string[], path: string, causes: FieldCause[]): void {
  if (value !== undefined && !allowed.includes(value as string)) causes.push(notSupported(path, value, allowed));
}

export function notNegative(value: unknown, path: string, causes: FieldCause[]): void {
  if (typeof value === "number" && value < 0) causes.push(invalid(path, value, "must be greater than or equal to 0"));
}

/** A port's name as IANA has them, or undefined where it is fine. */
export function portNameProblem(name: string): string | undefined {
  if (name.length > 15) return "must be no more than 15 characters";
  if (!/^[a-z0-9-]+$/.test(name)) return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
  if (!/[a-z]/.test(name)) return "must contain at least one letter (a-z)";
  if (name.includes("--")) return "must not contain consecutive hyphens";
  return name.startsWith("-") || name.endsWith("-") ? "must not begin or end with a hyphen" : undefined;
}

/** Appends the problems of a pod spec that stands at the path, `spec` or `spec.template.spec`. */
export function podSpecProblems(spec: Json | undefined, path: string, causes: FieldCause[]): void {
  const containers = objects(spec?.["containers"]);
  if (containers.length === 0) causes.push(required(`${path}.containers`));
  if (spec === undefined) return;
  const volumes = volumeProblems(objects(spec["volumes"]), `${path}.volumes`, causes);
  const names = new Set<string>();
  for (const list of ["initContainers", "containers"])
    for (const [index, container] of objects(spec[list]).entries())
      containerProblems(container, `${path}.${list}[${index}]`, volumes, names, causes);
  oneOf(spec["restartPolicy"], ["Always", "Never", "OnFailure"], `${path}.restartPolicy`, causes);
  oneOf(spec["dnsPolicy"], ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"], `${path}.dnsPolicy`, causes);
  notNegative(spec["terminationGracePeriodSeconds"], `${path}.terminationGracePeriodSeconds`, causes);
  const account = spec["serviceAccountName"];
  if (typeof account === "string" && account !== "") {
    const problem = subdomainName(account);
    if (problem !== undefined) causes.push(invalid(`${path}.serviceAccountName`, account, problem));
  }
}

function volumeProblems(volumes: Json[], path: string, causes: FieldCause[]): Set<string> {
  const names = new Set<string>();
  for (const [index, volume] of volumes.entries()) {
    const at = `${path}[${index}]`;
    checkName(volume["name"], `${at}.name`, names, causes);
    const sources = Object.keys(volume).filter((key) => key !== "name");
    for (const source of sources.slice(1))
      causes.push(forbidden(`${at}.${source}`, "may not specify more than 1 volume type"));
    if (volume["secret"] !== undefined && !child(volume, "secret")?.["secretName"])
      causes.push(required(`${at}.secret.secretName`));
    if (volume["configMap"] !== undefined && !child(volume, "configMap")?.["name"])
      causes.push(required(`${at}.configMap.name`));
  }
  return names;
}

function checkName(name: unknown, path: string, seen: Set<string>, causes: FieldCause[]): void {
  if (typeof name !== "string" || name === "") {
    causes.push(required(path));
    return;
  }
  const problem = labelName(name);
  if (problem !== undefined) causes.push(invalid(path, name, problem));
  else if (seen.has(name)) causes.push(duplicate(path, name));
  seen.add(name);
}

function containerProblems(
  container: Json,
  path: string,
  volumes: Set<string>,
  names: Set<string>,
  causes: FieldCause[],
): void {
  checkName(container["name"], `${path}.name`, names, causes);
  const image = container["image"];
  if (typeof image !== "string" || image === "") causes.push(required(`${path}.image`));
  else if (image.trim() !== image)
    causes.push(invalid(`${path}.image`, image, "must not have leading or trailing whitespace"));
  oneOf(container["imagePullPolicy"], ["Always", "IfNotPresent", "Never"], `${path}.imagePullPolicy`, causes);
  containerPortProblems(objects(container["ports"]), `${path}.ports`, causes);
  for (const [index, variable] of objects(container["env"]).entries())
    variableProblems(variable, `${path}.env[${index}]`, causes);
  mountProblems(objects(container["volumeMounts"]), `${path}.volumeMounts`, volumes, causes);
  resourceProblems(child(container, "resources"), `${path}.resources`, causes);
  for (const name of ["livenessProbe", "readinessProbe", "startupProbe"]) {
    const probe = child(container, name);
    if (probe !== undefined) probeProblems(probe, `${path}.${name}`, name !== "readinessProbe", causes);
  }
}

function containerPortProblems(ports: Json[], path: string, causes: FieldCause[]): void {
  const names = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const at = `${path}[${index}]`;
    const name = port["name"];
    if (typeof name === "string" && name !== "") {
      const problem = portNameProblem(name);
      if (problem !== undefined) causes.push(invalid(`${at}.name`, name, problem));
      else if (names.has(name)) causes.push(duplicate(`${at}.name`, name));
      names.add(name);
    }
    const number = port["containerPort"] ?? 0;
    if (number === 0) causes.push(required(`${at}.containerPort`));
    else if (!isPort(number)) causes.push(invalid(`${at}.containerPort`, number, portRange));
    checkProtocol(port["protocol"], `${at}.protocol`, causes);
  }
}

function variableProblems(variable: Json, path: string, causes: FieldCause[]): void {
  const name = variable["name"];
  if (typeof name !== "string" || name === "") causes.push(required(`${path}.name`));
  else if (!/^[\x20-\x3c\x3e-\x7e]+$/.test(name))
    causes.push(
      invalid(
        `${path}.name`,
        name,
        "a valid environment variable name must consist only of printable ASCII characters other than '='",
      ),
    );
  const source = child(variable, "valueFrom");
  if (source === undefined) return;
  if (typeof variable["value"] === "string" && variable["value"] !== "")
    causes.push(invalid(`${path}.valueFrom`, "", "may not be specified when `value` is not empty"));
  const given = Object.keys(source);
  if (given.length !== 1)
    causes.push(
      invalid(
        `${path}.valueFrom`,
        "",
        given.length === 0
          ? "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
          : "may not have more than one field specified at a time",
      ),
    );
  for (const ref of ["configMapKeyRef", "secretKeyRef"]) {
    const key = child(source, ref);
    if (key === undefined) continue;
    if (!key["name"]) causes.push(required(`${path}.valueFrom.${ref}.name`));
    if (!key["key"]) causes.push(required(`${path}.valueFrom.${ref}.key`));
  }
}

function mountProblems(mounts: Json[], path: string, volumes: Set<string>, causes: FieldCause[]): void {
  const paths = new Set<unknown>();
  for (const [index, mount] of mounts.entries()) {
    const { name, mountPath } = mount;
    const at = `${path}[${index}]`;
    if (typeof name !== "string" || name === "") causes.push(required(`${at}.name`));
    else if (!volumes.has(name)) causes.push(notFound(`${at}.name`, name));
    if (typeof mountPath !== "string" || mountPath === "") causes.push(required(`${at}.mountPath`));
    else if (paths.has(mountPath)) causes.push(invalid(`${at}.mountPath`, mountPath, "must be unique"));
    paths.add(mountPath);
  }
}

function resourceProblems(resources: Json | undefined, path: string, causes: FieldCause[]): void {
  const limits = child(resources, "limits") ?? {};
  for (const [is, values] of [
    ["limits", limits],
    ["requests", child(resources, "requests") ?? {}],
  ] as const)
    for (const [name, text] of Object.entries(values)) {
      const quantity = parseQuantity(String(text));
      if (quantity === undefined) continue;
      if (quantity.nano < 0n)
        causes.push(invalid(`${path}.${is}[${name}]`, text, "must be greater than or equal to 0"));
      const limit = is === "requests" ? parseQuantity(typeof limits[name] === "string" ? limits[name] : "") : undefined;
      if (limit !== undefined && quantity.nano > limit.nano)
        causes.push(
          invalid(`${path}.requests`, text, `must be less than or equal to ${name} limit of ${String(limits[name])}`),
        );
    }
}

function probeProblems(probe: Json, path: string, mustSucceedOnce: boolean, causes: FieldCause[]): void {
  const handlers = ["exec", "httpGet", "tcpSocket", "grpc"].filter((name) => probe[name] !== undefined);
  if (handlers.length === 0) causes.push(required(path, "must specify a handler type"));
  for (const extra of handlers.slice(1))
    causes.push(forbidden(`${path}.${extra}`, "may not specify more than 1 handler type"));
  for (const name of ["httpGet", "tcpSocket", "grpc"]) {
    const handler = child(probe, name);
    const port = handler?.["port"];
    if (handler === undefined) continue;
    if (typeof port === "string") {
      const problem = portNameProblem(port);
      if (problem !== undefined) causes.push(invalid(`${path}.${name}.port`, port, problem));
    } else if (!isPort(port)) causes.push(invalid(`${path}.${name}.port`, port ?? 0, portRange));
  }
  for (const name of ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"])
    notNegative(probe[name], `${path}.${name}`, causes);
  if (mustSucceedOnce && probe["successThreshold"] !== undefined && probe["successThreshold"] !== 1)
    causes.push(invalid(`${path}.successThreshold`, probe["successThreshold"], "must be 1"));
}

const changeable =
  "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/** A running pod keeps its spec, but for the few fields that may change. */
export function podUpdateProblems(pod: KubeObject, old: KubeObject, causes: FieldCause[]): void {
  if (!isDeepStrictEqual(fixedSpec(pod, old), fixedSpec(old, old))) causes.push(forbidden("spec", changeable));
}

function fixedSpec(pod: KubeObject, old: KubeObject): Json {
  const spec = { ...(pod as { spec?: Json }).spec };
  const isBound = Boolean((old as { spec?: Json }).spec?.["nodeName"]);
  for (const name of [
    "activeDeadlineSeconds",
    "tolerations",
    "ephemeralContainers",
    "schedulingGates",
    ...(isBound ? [] : ["nodeName"]),
  ])
    delete spec[name];
  for (const list of ["initContainers", "containers"])
    if (spec[list] !== undefined)
      spec[list] = objects(spec[list]).map((container) => ({ ...container, image: "", imagePullPolicy: "" }));
  return spec;
}
