/** Admission webhooks: which of the configured ones a write concerns, and what they make of it. */
import { randomUUID } from "node:crypto";
import type { KubeObject, LabelSelector, Resource } from "../../api/meta.ts";
import { apiVersionOf } from "../../api/meta.ts";
import { mutatingWebhookConfigurations, validatingWebhookConfigurations } from "../../api/core.ts";
import type { Patch } from "../../kube/client.ts";
import type { Call, Subresource } from "./call.ts";
import { copyOf, isEqual } from "./json-value.ts";
import { applyJsonPatch } from "./patch.ts";
import { matchesSelector } from "./selectors.ts";
import { badRequest, denied, internal, resourceName } from "./status-error.ts";
import type { Store } from "./store.ts";
import {
  WebhookError,
  type AdmissionReview,
  type AdmissionAnswer,
  type CallWebhook,
  type ClientConfig,
} from "./webhook-call.ts";

export type Operation = "CREATE" | "UPDATE" | "DELETE";

/** A write before it happens. */
export interface Attempt {
  call: Call;
  operation: Operation;
  /** The object to be; undefined for DELETE. */
  object: KubeObject | undefined;
  /** The object that is; undefined for CREATE. */
  old: KubeObject | undefined;
  /** The request's options, as webhooks see them. */
  options: Record<string, unknown>;
}

interface Rule {
  apiGroups?: string[];
  apiVersions?: string[];
  resources?: string[];
  operations?: string[];
  scope?: string;
}

export interface Webhook {
  name: string;
  clientConfig: ClientConfig;
  rules?: Rule[];
  failurePolicy?: "Fail" | "Ignore";
  sideEffects?: string;
  timeoutSeconds?: number;
  namespaceSelector?: LabelSelector;
  objectSelector?: LabelSelector;
  reinvocationPolicy?: "Never" | "IfNeeded";
}

interface WebhookConfiguration extends KubeObject {
  webhooks?: Webhook[];
}

export interface Admission {
  /** The webhooks that are to be asked, in order. Empty for nearly every write, which then stays synchronous. */
  mutating(attempt: Attempt): readonly Webhook[];
  validating(attempt: Attempt): readonly Webhook[];
  /** The object as the webhooks leave it, a new one where they changed it. Throws ApiError for a refusal. */
  mutate(webhooks: readonly Webhook[], attempt: Attempt): Promise<KubeObject>;
  validate(webhooks: readonly Webhook[], attempt: Attempt): Promise<void>;
}

export function createAdmission(store: Store, callWebhook: CallWebhook): Admission {
  const configured = {
    mutating: cached(store, mutatingWebhookConfigurations),
    validating: cached(store, validatingWebhookConfigurations),
  };
  const concerned = (webhooks: readonly Webhook[], attempt: Attempt): readonly Webhook[] => {
    // The configurations themselves are never put before a webhook: a broken one could not be repaired.
    if (webhooks.length === 0 || attempt.call.kind.resource.group === "admissionregistration.k8s.io") return [];
    return webhooks.filter((webhook) => concerns(webhook, attempt, store));
  };

  /** Undefined where the webhook could not be asked and its policy is to do without. */
  async function ask(webhook: Webhook, attempt: Attempt): Promise<AdmissionAnswer | undefined> {
    const { call } = attempt;
    if (call.dryRun && webhook.sideEffects !== "None" && webhook.sideEffects !== "NoneOnDryRun")
      throw badRequest(`admission webhook ${JSON.stringify(webhook.name)} does not support dry run`);
    try {
      const answer = await callWebhook(webhook.clientConfig, (webhook.timeoutSeconds ?? 10) * 1000, reviewOf(attempt));
      for (const warning of answer.warnings ?? []) call.warn(warning);
      return answer;
    } catch (error) {
      if (!(error instanceof WebhookError)) throw error;
      if (webhook.failurePolicy === "Ignore") return undefined;
      throw internal(`failed calling webhook ${JSON.stringify(webhook.name)}: ${error.message}`);
    }
  }

  async function mutateOnce(webhook: Webhook, attempt: Attempt, object: KubeObject): Promise<KubeObject> {
    const answer = await ask(webhook, { ...attempt, object });
    if (answer === undefined) return object;
    if (!answer.allowed) throw denied(webhook.name, answer.status);
    if (answer.patch === undefined || answer.patch === "") return object;
    const operations = JSON.parse(Buffer.from(answer.patch, "base64").toString("utf8")) as Extract<
      Patch,
      { is: "json" }
    >["operations"];
    return applyJsonPatch(copyOf(object), operations) as KubeObject;
  }

  return {
    mutating: (attempt) => concerned(configured.mutating(), attempt),
    validating: (attempt) => concerned(configured.validating(), attempt),
    async mutate(webhooks, attempt) {
      let { object } = attempt;
      if (object === undefined) {
        // Nothing to change, but each of them may still refuse.
        for (const webhook of webhooks) {
          const answer = await ask(webhook, attempt);
          if (answer?.allowed === false) throw denied(webhook.name, answer.status);
        }
        return attempt.old!;
      }
      const left = new Map<Webhook, KubeObject>();
      for (const webhook of webhooks) {
        object = await mutateOnce(webhook, attempt, object);
        left.set(webhook, object);
      }
      for (const webhook of webhooks)
        if (webhook.reinvocationPolicy === "IfNeeded" && !isEqual(left.get(webhook), object))
          object = await mutateOnce(webhook, attempt, object);
      return object;
    },
    async validate(webhooks, attempt) {
      await Promise.all(
        webhooks.map(async (webhook) => {
          const answer = await ask(webhook, attempt);
          if (answer?.allowed === false) throw denied(webhook.name, answer.status);
        }),
      );
    },
  };
}

/** The webhooks of all configurations by name, re-read when one of them was written. */
function cached(store: Store, resource: Resource): () => readonly Webhook[] {
  const name = resourceName(resource);
  let webhooks: readonly Webhook[] | undefined;
  store.onChange((change) => {
    if (change.resource === name) webhooks = undefined;
  });
  return () => (webhooks ??= store.list(name).flatMap(({ object }) => (object as WebhookConfiguration).webhooks ?? []));
}

function concerns(webhook: Webhook, attempt: Attempt, store: Store): boolean {
  const { kind, subresource } = attempt.call;
  if (!(webhook.rules ?? []).some((rule) => matchesRule(rule, kind.resource, subresource, attempt.operation)))
    return false;
  const { object, old } = attempt;
  // Either state of the object counts.
  const states = [object, old].filter((state) => state !== undefined);
  if (!states.some(({ metadata }) => matchesSelector(webhook.objectSelector, metadata.labels))) return false;
  return matchesSelector(webhook.namespaceSelector, namespaceLabels(attempt, store));
}

/** A namespace counts as being in itself; cluster-scoped objects are in none, which every selector lets pass. */
function namespaceLabels({ call, object, old }: Attempt, store: Store): Record<string, string> | undefined {
  const { group, kind } = call.kind.resource;
  if (group === "" && kind === "Namespace") return (object ?? old)?.metadata.labels;
  return store.get("namespaces", "", call.namespace)?.metadata.labels;
}

const matchesAny = (values: readonly string[] | undefined, value: string): boolean =>
  values?.some((one) => one === "*" || one === value) ?? false;

function matchesRule(rule: Rule, resource: Resource, subresource: Subresource, operation: Operation): boolean {
  if (!matchesAny(rule.operations, operation)) return false;
  if (!matchesAny(rule.apiGroups, resource.group) || !matchesAny(rule.apiVersions, resource.version)) return false;
  if (rule.scope === "Namespaced" && !resource.namespaced) return false;
  if (rule.scope === "Cluster" && resource.namespaced) return false;
  // `pods` is the resource alone, `pods/status` one subresource, `pods/*` both, `*/*` everything.
  return (rule.resources ?? []).some((pattern) => {
    const [plural = "", sub] = pattern.split("/");
    if (plural !== "*" && plural !== resource.plural) return false;
    return sub === undefined ? subresource === "" : sub === "*" || sub === subresource;
  });
}

function reviewOf({ call, operation, object, old, options }: Attempt): AdmissionReview {
  const { group, version, plural, kind } = call.kind.resource;
  const sub = call.subresource === "" ? {} : { subResource: call.subresource, requestSubResource: call.subresource };
  const named = { group, version, kind };
  const resource = { group, version, resource: plural };
  const name = call.name !== "" ? call.name : (object?.metadata.name ?? "");
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: randomUUID(),
      kind: named,
      resource,
      requestKind: named,
      requestResource: resource,
      ...sub,
      ...(name === "" ? {} : { name }),
      ...(call.namespace === "" ? {} : { namespace: call.namespace }),
      operation,
      userInfo: {
        username: call.user.username,
        groups: call.user.groups,
        ...(call.user.uid && { uid: call.user.uid }),
      },
      object: object === undefined ? null : asked(object, apiVersionOf(call.kind.resource)),
      oldObject: old === undefined ? null : asked(old, apiVersionOf(call.kind.resource)),
      dryRun: call.dryRun,
      options,
    },
  };
}

/** The record of managers can be as large as the rest, and no webhook judges by it. */
function asked(object: KubeObject, apiVersion: string): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, apiVersion, metadata };
}
