/** The values that a cluster fills into a pod, or into a pod template, where the author left them out. */
import { isObject } from "../json-value.ts";
import { objects, type Json } from "./json-object.ts";

const object = (value: unknown): Json | undefined => (isObject(value) ? value : undefined);
interface Template {
  spec?: Json;
}

/** Fills in place what every pod spec gets, in a pod as in a template. */
export function templateDefaults(template: Template | undefined): void {
  const spec = template?.spec;
  if (spec === undefined) return;
  spec["restartPolicy"] ??= "Always";
  spec["dnsPolicy"] ??= "ClusterFirst";
  spec["terminationGracePeriodSeconds"] ??= 30;
  spec["securityContext"] ??= {};
  spec["schedulerName"] ??= "default-scheduler";
  // The old name of the field is kept in step, as the API promises.
  const account = spec["serviceAccountName"] ?? spec["serviceAccount"];
  if (account !== undefined && account !== "") spec["serviceAccount"] = spec["serviceAccountName"] = account;
  for (const list of [spec["initContainers"], spec["containers"], spec["ephemeralContainers"]])
    for (const container of objects(list)) containerDefaults(container, spec["hostNetwork"] === true);
  for (const volume of objects(spec["volumes"])) volumeDefaults(volume);
}

/** What a pod gets beyond its template's defaults: admission's values and the first status. */
export function podDefaults(pod: Template & { status?: Json }): void {
  templateDefaults(pod);
  const spec = pod.spec;
  if (spec === undefined) return;
  spec["enableServiceLinks"] ??= true;
  spec["serviceAccountName"] ??= "default";
  spec["serviceAccount"] = spec["serviceAccountName"];
  for (const container of [...objects(spec["initContainers"]), ...objects(spec["containers"])]) {
    const resources = object(container["resources"]);
    const limits = object(resources?.["limits"]);
    if (resources !== undefined && limits !== undefined && Object.keys(limits).length > 0)
      resources["requests"] = { ...limits, ...object(resources["requests"]) };
  }
  const status = (pod.status ??= {});
  status["phase"] ??= "Pending";
  status["qosClass"] ??= qosClass(spec);
}

function containerDefaults(container: Json, hostNetwork: boolean): void {
  const image = container["image"];
  if (typeof image === "string" && image !== "") container["imagePullPolicy"] ??= pullPolicy(image);
  container["terminationMessagePath"] ??= "/dev/termination-log";
  container["terminationMessagePolicy"] ??= "File";
  container["resources"] ??= {};
  for (const port of objects(container["ports"])) {
    port["protocol"] ??= "TCP";
    if (hostNetwork) port["hostPort"] ??= port["containerPort"];
  }
  for (const variable of objects(container["env"])) sourceDefaults(object(variable["valueFrom"]));
  for (const name of ["livenessProbe", "readinessProbe", "startupProbe"]) probeDefaults(object(container[name]));
  const lifecycle = object(container["lifecycle"]);
  for (const hook of ["postStart", "preStop"]) httpGetDefaults(object(lifecycle?.[hook]));
}

/** A moving tag is pulled each time; a digest does not move. */
function pullPolicy(image: string): string {
  const tag = /:([^/:]+)$/.exec(image)?.[1] ?? "latest";
  return tag === "latest" ? "Always" : "IfNotPresent";
}

function probeDefaults(probe: Json | undefined): void {
  if (probe === undefined) return;
  // Zero counts as absent in these fields.
  probe["timeoutSeconds"] ||= 1;
  probe["periodSeconds"] ||= 10;
  probe["successThreshold"] ||= 1;
  probe["failureThreshold"] ||= 3;
  httpGetDefaults(probe);
  const grpc = object(probe["grpc"]);
  if (grpc !== undefined) grpc["service"] ??= "";
}

function httpGetDefaults(handler: Json | undefined): void {
  const httpGet = object(handler?.["httpGet"]);
  if (httpGet === undefined) return;
  httpGet["path"] ||= "/";
  httpGet["scheme"] ||= "HTTP";
}

function sourceDefaults(source: Json | undefined): void {
  const fieldRef = object(source?.["fieldRef"]);
  if (fieldRef !== undefined) fieldRef["apiVersion"] ??= "v1";
  const resourceFieldRef = object(source?.["resourceFieldRef"]);
  if (resourceFieldRef !== undefined) resourceFieldRef["divisor"] ??= "0";
}

const fileMode = 0o644;

function volumeDefaults(volume: Json): void {
  if (Object.keys(volume).every((key) => key === "name")) volume["emptyDir"] = {};
  for (const name of ["secret", "configMap", "downwardAPI", "projected"]) {
    const source = object(volume[name]);
    if (source === undefined) continue;
    source["defaultMode"] ??= fileMode;
    for (const item of objects(source["items"])) sourceDefaults(item);
    for (const projection of objects(source["sources"])) {
      for (const item of objects(object(projection["downwardAPI"])?.["items"])) sourceDefaults(item);
      const token = object(projection["serviceAccountToken"]);
      if (token !== undefined) token["expirationSeconds"] ??= 3600;
    }
  }
  const hostPath = object(volume["hostPath"]);
  if (hostPath !== undefined) hostPath["type"] ??= "";
}

/** Guaranteed: every container has limits on both, equal to its requests. BestEffort: none asks for anything. */
export function qosClass(spec: Json): "Guaranteed" | "Burstable" | "BestEffort" {
  let isGuaranteed = true;
  let asks = false;
  for (const container of [...objects(spec["initContainers"]), ...objects(spec["containers"])]) {
    const limits = object(object(container["resources"])?.["limits"]) ?? {};
    const requests = object(object(container["resources"])?.["requests"]) ?? {};
    for (const name of ["cpu", "memory"]) {
      if (limits[name] !== undefined || requests[name] !== undefined) asks = true;
      if (limits[name] === undefined || (requests[name] ?? limits[name]) !== limits[name]) isGuaranteed = false;
    }
  }
  return !asks ? "BestEffort" : isGuaranteed ? "Guaranteed" : "Burstable";
}
