/** Validation of the built-in kinds, in Kubernetes' words, for what users of the platform run into. */
import { isDeepStrictEqual } from "node:util";
import type { KubeObject, LabelSelector, Resource } from "../../../api/meta.ts";
import type { FieldCause, Kind } from "../kind.ts";
import { crdProblems, type Crd } from "./crd-validation.ts";
import { duplicate, forbidden, invalid, notSupported, required } from "./field-cause.ts";
import { child, objects, type Json } from "./json-object.ts";
import {
  labelName,
  labelProblems,
  metadataProblems,
  pathSegmentName,
  serviceLabelName,
  type NameRule,
} from "./metadata-validation.ts";
import {
  checkProtocol,
  isPort,
  notNegative,
  oneOf,
  podSpecProblems,
  podUpdateProblems,
  portNameProblem,
  portRange,
} from "./pod-validation.ts";
type Check = (object: Json, old: Json | undefined, causes: FieldCause[]) => void;

const nameRules: Readonly<Record<string, NameRule>> = {
  "core.v1.Namespace": labelName,
  "core.v1.Service": serviceLabelName,
  "rbac.v1.Role": pathSegmentName,
  "rbac.v1.RoleBinding": pathSegmentName,
  "rbac.v1.ClusterRole": pathSegmentName,
  "rbac.v1.ClusterRoleBinding": pathSegmentName,
};

export function validationOf(message: string, resource: Resource): Kind["validate"] {
  const check = checks[message];
  return (object, old) => {
    const causes = metadataProblems(object, old, resource.namespaced, nameRules[message]);
    check?.(object as unknown as Json, old as unknown as Json | undefined, causes);
    return causes;
  };
}

const pod: Check = (object, old, causes) => {
  podSpecProblems(child(object, "spec"), "spec", causes);
  if (old !== undefined) podUpdateProblems(object as unknown as KubeObject, old as unknown as KubeObject, causes);
};

/** Deployments, replica sets and their like: a selector that fits the template and never changes. */
const workload =
  (kind: string): Check =>
  (object, old, causes) => {
    const spec = child(object, "spec");
    const template = child(spec, "template");
    const selector = child(spec, "selector") as LabelSelector | undefined;
    notNegative(spec?.["replicas"], "spec.replicas", causes);
    notNegative(spec?.["minReadySeconds"], "spec.minReadySeconds", causes);
    if (selector === undefined) causes.push(required("spec.selector"));
    else if (Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length === 0)
      causes.push(invalid("spec.selector", selector, `empty selector is invalid for ${kind}`));
    else {
      labelProblems(selector.matchLabels, "spec.selector.matchLabels", causes);
      const labels = (child(child(template, "metadata"), "labels") ?? {}) as Record<string, string>;
      if (template !== undefined && !selects(selector, labels))
        causes.push(invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"));
    }
    labelProblems(child(child(template, "metadata"), "labels"), "spec.template.metadata.labels", causes);
    podSpecProblems(child(template, "spec"), "spec.template.spec", causes);
    oneOf(child(template, "spec")?.["restartPolicy"], ["Always"], "spec.template.spec.restartPolicy", causes);
    if (old !== undefined && !isDeepStrictEqual(selector, child(child(old, "spec"), "selector")))
      causes.push(invalid("spec.selector", selector ?? null, "field is immutable"));
  };

function selects({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Record<string, string>): boolean {
  if (!Object.entries(matchLabels).every(([key, value]) => labels[key] === value)) return false;
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labels[key];
    switch (operator) {
      case "In":
        return value !== undefined && values.includes(value);
      case "NotIn":
        return value === undefined || !values.includes(value);
      case "Exists":
        return value !== undefined;
      case "DoesNotExist":
        break;
    }
    return value === undefined;
  });
}

const deployment: Check = (object, old, causes) => {
  workload("deployment")(object, old, causes);
  const spec = child(object, "spec");
  const strategy = child(spec, "strategy");
  oneOf(strategy?.["type"], ["Recreate", "RollingUpdate"], "spec.strategy.type", causes);
  const rolling = child(strategy, "rollingUpdate");
  if (strategy?.["type"] === "Recreate" && rolling !== undefined)
    causes.push(forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"));
  const isNone = (value: unknown) => value === 0 || value === "0%" || value === "0";
  if (rolling !== undefined && isNone(rolling["maxUnavailable"]) && isNone(rolling["maxSurge"]))
    causes.push(
      invalid(
        "spec.strategy.rollingUpdate.maxUnavailable",
        rolling["maxUnavailable"],
        "may not be 0 when `maxSurge` is 0",
      ),
    );
  notNegative(spec?.["revisionHistoryLimit"], "spec.revisionHistoryLimit", causes);
  const deadline = spec?.["progressDeadlineSeconds"];
  if (typeof deadline === "number" && deadline <= Number(spec?.["minReadySeconds"] ?? 0))
    causes.push(invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"));
};

const service: Check = (object, old, causes) => {
  const spec = child(object, "spec") ?? {};
  const ports = objects(spec["ports"]);
  const isExternal = spec["type"] === "ExternalName";
  oneOf(spec["type"], ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], "spec.type", causes);
  oneOf(spec["sessionAffinity"], ["ClientIP", "None"], "spec.sessionAffinity", causes);
  if (ports.length === 0 && spec["clusterIP"] !== "None" && !isExternal) causes.push(required("spec.ports"));
  if (isExternal && !spec["externalName"]) causes.push(required("spec.externalName"));
  labelProblems(spec["selector"], "spec.selector", causes);
  servicePortProblems(ports, causes);
  const before = child(old, "spec");
  const address = before?.["clusterIP"];
  if (address && !isExternal && before?.["type"] !== "ExternalName" && spec["clusterIP"] !== address)
    causes.push(invalid("spec.clusterIPs[0]", spec["clusterIPs"] ?? spec["clusterIP"], "may not change once set"));
};

function servicePortProblems(ports: Json[], causes: FieldCause[]): void {
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const path = `spec.ports[${index}]`;
    const { name, port: number, targetPort, protocol } = port;
    if (typeof name === "string" && name !== "") {
      const problem = labelName(name);
      if (problem !== undefined) causes.push(invalid(`${path}.name`, name, problem));
      else if (names.has(name)) causes.push(duplicate(`${path}.name`, name));
      names.add(name);
    } else if (ports.length > 1) causes.push(required(`${path}.name`));
    if (!isPort(number)) causes.push(invalid(`${path}.port`, number ?? 0, portRange));
    checkProtocol(protocol, `${path}.protocol`, causes);
    if (typeof targetPort === "string") {
      const problem = portNameProblem(targetPort);
      if (problem !== undefined) causes.push(invalid(`${path}.targetPort`, targetPort, problem));
    } else if (targetPort !== undefined && !isPort(targetPort))
      causes.push(invalid(`${path}.targetPort`, targetPort, portRange));
    const key = `${String(protocol)}/${String(number)}`;
    if (numbers.has(key)) causes.push({ ...duplicate(path, { port: number, protocol }) });
    numbers.add(key);
  }
}

const keyRule =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const mostDataBytes = 1024 * 1024;

const keyed =
  (...maps: string[]): Check =>
  (object, old, causes) => {
    let bytes = 0;
    const seen = new Set<string>();
    for (const map of maps)
      for (const [key, value] of Object.entries(child(object, map) ?? {})) {
        if (key.length > 253) causes.push(invalid(`${map}[${key}]`, key, "must be no more than 253 bytes"));
        else if (!/^[-._a-zA-Z0-9]+$/.test(key) || key === "." || key === "..")
          causes.push(invalid(`${map}[${key}]`, key, keyRule));
        if (seen.has(key)) causes.push(invalid(`${map}[${key}]`, key, "duplicate of key present in data"));
        seen.add(key);
        bytes += Buffer.byteLength(String(value));
      }
    if (bytes > mostDataBytes * 1.4)
      causes.push({
        reason: "FieldValueTooLong",
        field: "",
        message: `Too long: may not be more than ${mostDataBytes} bytes`,
      });
    if (old?.["immutable"] !== true) return;
    if (object["immutable"] !== true) causes.push(forbidden("immutable", "field is immutable when `immutable` is set"));
    for (const map of maps)
      if (!isDeepStrictEqual(child(object, map) ?? {}, child(old, map) ?? {}))
        causes.push(forbidden(map, "field is immutable when `immutable` is set"));
  };

const secretKeys: Readonly<Record<string, readonly string[]>> = {
  "kubernetes.io/tls": ["tls.crt", "tls.key"],
  "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
  "kubernetes.io/dockercfg": [".dockercfg"],
  "kubernetes.io/ssh-auth": ["ssh-privatekey"],
};

const secret: Check = (object, old, causes) => {
  keyed("data")(object, old, causes);
  const type = object["type"];
  for (const key of secretKeys[String(type)] ?? [])
    if (child(object, "data")?.[key] === undefined) causes.push(required(`data[${key}]`));
  if (old !== undefined && old["type"] !== type) causes.push(invalid("type", type, "field is immutable"));
};

const autoscaler: Check = (object, _, causes) => {
  const spec = child(object, "spec") ?? {};
  const target = child(spec, "scaleTargetRef");
  for (const name of ["kind", "name"]) if (!target?.[name]) causes.push(required(`spec.scaleTargetRef.${name}`));
  const { minReplicas, maxReplicas } = spec;
  if (typeof maxReplicas !== "number" || maxReplicas < 1)
    causes.push(invalid("spec.maxReplicas", maxReplicas ?? 0, "must be greater than 0"));
  else if (typeof minReplicas === "number" && minReplicas > maxReplicas)
    causes.push(invalid("spec.maxReplicas", maxReplicas, "must be greater than or equal to `minReplicas`"));
  if (typeof minReplicas === "number" && minReplicas < 1)
    causes.push(invalid("spec.minReplicas", minReplicas, "must be greater than or equal to 1"));
};

const disruptionBudget: Check = (object, _, causes) => {
  const spec = child(object, "spec");
  if (spec?.["minAvailable"] !== undefined && spec["maxUnavailable"] !== undefined)
    causes.push(invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"));
};

const lease: Check = (object, _, causes) => {
  const spec = child(object, "spec");
  const seconds = spec?.["leaseDurationSeconds"];
  if (typeof seconds === "number" && seconds <= 0)
    causes.push(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
  notNegative(spec?.["leaseTransitions"], "spec.leaseTransitions", causes);
};

const binding: Check = (object, old, causes) => {
  const roleRef = child(object, "roleRef");
  if (!roleRef?.["name"]) causes.push(required("roleRef.name"));
  oneOf(roleRef?.["kind"], ["ClusterRole", "Role"], "roleRef.kind", causes);
  if (old !== undefined && !isDeepStrictEqual(roleRef, child(old, "roleRef")))
    causes.push(invalid("roleRef", roleRef, "cannot change roleRef"));
  for (const [index, subject] of objects(object["subjects"]).entries()) {
    const path = `subjects[${index}]`;
    if (!subject["name"]) causes.push(required(`${path}.name`));
    oneOf(subject["kind"], ["Group", "ServiceAccount", "User"], `${path}.kind`, causes);
    if (subject["kind"] === "ServiceAccount" && !subject["namespace"]) causes.push(required(`${path}.namespace`));
  }
};

const rules: Check = (object, _, causes) => {
  for (const [index, rule] of objects(object["rules"]).entries())
    if (!Array.isArray(rule["verbs"]) || rule["verbs"].length === 0)
      causes.push(required(`rules[${index}].verbs`, "verbs must contain at least one value"));
};

const webhooks: Check = (object, _, causes) => {
  for (const [index, webhook] of objects(object["webhooks"]).entries()) {
    const path = `webhooks[${index}]`;
    const name = webhook["name"];
    if (typeof name !== "string" || name === "") causes.push(required(`${path}.name`));
    else if (name.split(".").length < 3)
      causes.push(invalid(`${path}.name`, name, "should be a domain with at least three segments separated by dots"));
    const client = child(webhook, "clientConfig");
    if ((client?.["url"] === undefined) === (client?.["service"] === undefined))
      causes.push(required(`${path}.clientConfig`, "exactly one of url or service is required"));
    const sideEffects = webhook["sideEffects"];
    if (sideEffects === undefined)
      causes.push(required(`${path}.sideEffects`, "must specify one of None, NoneOnDryRun"));
    else if (sideEffects !== "None" && sideEffects !== "NoneOnDryRun")
      causes.push(notSupported(`${path}.sideEffects`, sideEffects, ["None", "NoneOnDryRun"]));
    if (!Array.isArray(webhook["admissionReviewVersions"]) || webhook["admissionReviewVersions"].length === 0)
      causes.push(required(`${path}.admissionReviewVersions`, "must specify one of v1, v1beta1"));
  }
};

const endpointSlice: Check = (object, old, causes) => {
  const type = object["addressType"];
  if (!type) causes.push(required("addressType"));
  else oneOf(type, ["FQDN", "IPv4", "IPv6"], "addressType", causes);
  if (old !== undefined && old["addressType"] !== type) causes.push(invalid("addressType", type, "field is immutable"));
  for (const [index, endpoint] of objects(object["endpoints"]).entries())
    if (!Array.isArray(endpoint["addresses"]) || endpoint["addresses"].length === 0)
      causes.push(required(`endpoints[${index}].addresses`, "must contain at least 1 address"));
};

const job: Check = (object, _, causes) => {
  const template = child(child(object, "spec"), "template");
  podSpecProblems(child(template, "spec"), "spec.template.spec", causes);
  oneOf(child(template, "spec")?.["restartPolicy"], ["OnFailure", "Never"], "spec.template.spec.restartPolicy", causes);
};

const checks: Readonly<Record<string, Check>> = {
  "core.v1.Pod": pod,
  "core.v1.Service": service,
  "core.v1.ConfigMap": keyed("data", "binaryData"),
  "core.v1.Secret": secret,
  "apps.v1.Deployment": deployment,
  "apps.v1.ReplicaSet": workload("replica set"),
  "apps.v1.StatefulSet": workload("statefulset"),
  "apps.v1.DaemonSet": workload("daemonset"),
  "batch.v1.Job": job,
  "autoscaling.v1.HorizontalPodAutoscaler": autoscaler,
  "autoscaling.v2.HorizontalPodAutoscaler": autoscaler,
  "policy.v1.PodDisruptionBudget": disruptionBudget,
  "coordination.v1.Lease": lease,
  "rbac.v1.Role": rules,
  "rbac.v1.ClusterRole": rules,
  "rbac.v1.RoleBinding": binding,
  "rbac.v1.ClusterRoleBinding": binding,
  "admissionregistration.v1.MutatingWebhookConfiguration": webhooks,
  "admissionregistration.v1.ValidatingWebhookConfiguration": webhooks,
  "apiextensions.v1.CustomResourceDefinition": (object, _, causes) => {
    causes.push(...crdProblems(object as unknown as Crd));
  },
  "discovery.v1.EndpointSlice": endpointSlice,
};
