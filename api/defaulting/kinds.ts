/** What the webhook fills into each kind (spec: serving-api 3.2, 3.4, 1.6 to 1.8). */
import { autoscalingAnnotation } from "../autoscaling-annotations.ts";
import { hpaClass, kpaClass } from "../autoscaling-config.ts";
import { sameValue } from "../equality.ts";
import { annotation } from "../keys.ts";
import type { KubeObject } from "../meta.ts";
import type { KIngress } from "../networking.ts";
import type {
  Configuration,
  DomainMapping,
  KService,
  Revision,
  RevisionSpec,
  Route,
  TrafficTarget,
} from "../serving.ts";
import { storedList, storedSpec, storedTemplate } from "../stored-form.ts";
import { defaultRevisionSpec, type DefaultingConfig, type Verb } from "./revision-spec.ts";

export interface DefaultingRequest {
  object: KubeObject;
  /** On updates. */
  old?: KubeObject;
  /** "" or `status`. */
  subresource: string;
  username: string;
}

export interface KindDefaultingConfig extends DefaultingConfig {
  /** config-autoscaler `pod-autoscaler-class`. */
  podAutoscalerClass: string;
}

/** What a kind's defaults depend on. */
interface Situation {
  verb: Verb;
  /** As stored, on updates. */
  old: KubeObject | undefined;
  config: KindDefaultingConfig;
}

/** Fills in the object it is given. */
type Default = (object: KubeObject, situation: Situation) => void;

const service: Default = (object, situation) => {
  configuration(object, situation);
  const { spec } = object as KService;
  if (spec === undefined) return;
  spec.traffic = (spec.traffic ?? []).length === 0 ? [{ latestRevision: true, percent: 100 }] : spec.traffic!;
  route(object, situation);
};

const configuration: Default = (object, { verb, old, config }) => {
  const { spec } = object as Partial<Configuration>;
  const template = spec?.template;
  if (spec === undefined || template === undefined || template === null) return;
  spec.template = storedTemplate(template);
  const revisionSpec = spec.template.spec as RevisionSpec | undefined;
  const name = template.metadata?.name ?? "";
  // A template that names its Revision and was accepted already is that Revision's: it stays as it is.
  const isKept = name !== "" && (old as Configuration | undefined)?.spec?.template?.metadata?.name === name;
  if (revisionSpec !== undefined && !isKept) defaultRevisionSpec(revisionSpec, config, object.metadata, verb);
};

const route: Default = (object) => {
  const { spec } = object as Partial<Route>;
  if (spec?.traffic === undefined || spec.traffic === null) return;
  spec.traffic = storedList(spec.traffic);
  for (const target of spec.traffic) defaultTarget(target);
};

function defaultTarget(target: TrafficTarget): void {
  target.latestRevision ??= target.revisionName === undefined;
  target.percent ??= 0;
}

const revision: Default = (object, { verb, config }) => {
  const own = object as Revision;
  // The spec never changes: new defaults of the cluster must not change it either.
  if (verb === "update" || (own.spec as RevisionSpec | undefined) === undefined) return;
  own.spec = storedSpec(own.spec);
  // Knative renders the names of its containers for no parent.
  defaultRevisionSpec(own.spec, config, {}, verb);
};

const domainMapping: Default = (object) => {
  const { spec, metadata } = object as Partial<DomainMapping> & KubeObject;
  if (spec?.ref !== undefined && metadata.namespace !== undefined) spec.ref.namespace ||= metadata.namespace;
};

const podAutoscaler: Default = (object, { config }) => {
  const annotations = (object.metadata.annotations ??= {});
  const className = (annotations[autoscalingAnnotation.class[0]] ??= config.podAutoscalerClass);
  const metric = className === kpaClass ? "concurrency" : className === hpaClass ? "cpu" : "";
  annotations[autoscalingAnnotation.metric[0]] ??= metric;
};

const ingress: Default = (object) => {
  for (const rule of (object as Partial<KIngress>).spec?.rules ?? []) {
    rule.visibility ||= "ExternalIP";
    for (const { splits } of rule.http?.paths ?? []) {
      const [first] = splits ?? [];
      if (first !== undefined && splits.length === 1) first.percent ||= 100;
    }
  }
};

/** `group/Kind` → its defaults. */
const defaulters: Readonly<Record<string, Default>> = {
  "serving.knative.dev/Service": service,
  "serving.knative.dev/Configuration": configuration,
  "serving.knative.dev/Route": route,
  "serving.knative.dev/Revision": revision,
  "serving.knative.dev/DomainMapping": domainMapping,
  "autoscaling.internal.knative.dev/PodAutoscaler": podAutoscaler,
  "networking.internal.knative.dev/Ingress": ingress,
};

/** Kinds that say who made them; those below a Service inherit it from there instead. */
const stamped: Readonly<Record<string, "always" | "unless owned">> = {
  "serving.knative.dev/Service": "always",
  "serving.knative.dev/DomainMapping": "always",
  "serving.knative.dev/Configuration": "unless owned",
  "serving.knative.dev/Route": "unless owned",
};

/** The object with everything filled in; the one given is not changed. */
export function withDefaults(request: DefaultingRequest, config: KindDefaultingConfig): KubeObject {
  const { old, subresource, username } = request;
  const kind = kindOf(request.object);
  const object = structuredClone(request.object);
  // What belongs to the status is not ours, and a write of it changes nothing else.
  if (subresource === "status") return object;
  const verb = old === undefined ? "create" : "update";
  defaulters[kind]?.(object, { verb, old, config });

  const isOwned = (object.metadata.ownerReferences ?? []).length > 0;
  if (stamped[kind] === "always" || (stamped[kind] === "unless owned" && !isOwned)) {
    const { creator, lastModifier } = annotation;
    const stamp = (annotations: Record<string, string>): void => {
      object.metadata.annotations = { ...object.metadata.annotations, ...annotations };
    };
    if (old === undefined) stamp({ [creator]: username, [lastModifier]: username });
    // Against today's defaults: that those have changed is not the user's doing.
    else if (!sameValue(specOf(object), specOf(baseline(old, config)))) stamp({ [lastModifier]: username });
  }
  return object;
}

function baseline(old: KubeObject, config: KindDefaultingConfig): KubeObject {
  const object = structuredClone(old);
  defaulters[kindOf(old)]?.(object, { verb: "baseline", old: undefined, config });
  return object;
}

const kindOf = ({ apiVersion, kind }: KubeObject): string => `${apiVersion.slice(0, apiVersion.indexOf("/"))}/${kind}`;
const specOf = (object: KubeObject): unknown => (object as KubeObject & { spec?: unknown }).spec;
