/** What the tests of this folder and of `defaulting/` start from: a platform as installed, objects that are valid. */
import { parseAutoscalerConfig, type AutoscalerConfig } from "../autoscaling-config.ts";
import { withDefaults, type KindDefaultingConfig } from "../defaulting/kinds.ts";
import { featureKeys, type Features } from "../features.ts";
import type { KubeObject, ObjectMeta } from "../meta.ts";
import type { RevisionDefaults } from "../revision-defaults.ts";
import { validate } from "./kinds.ts";

export interface PlatformEdit {
  features?: Partial<Features>;
  defaults?: Partial<RevisionDefaults>;
  autoscaler?: Record<string, string>;
}

export type Platform = KindDefaultingConfig & { autoscaler: AutoscalerConfig };

const stockFeatures = {
  ...(Object.fromEntries(Object.entries(featureKeys).map(([name, [, stock]]) => [name, stock])) as Features),
  securePodDefaults: "Disabled",
} satisfies Features;

const stockDefaults: RevisionDefaults = {
  timeoutSeconds: 300,
  maxTimeoutSeconds: 600,
  responseStartTimeoutSeconds: 300,
  idleTimeoutSeconds: 0,
  requests: {},
  limits: {},
  containerName: () => "user-container",
  initContainerName: () => "init-container",
  containerConcurrency: 0,
  containerConcurrencyMaxLimit: 1000,
  allowContainerConcurrencyZero: true,
  enableServiceLinks: false,
};

export function platform({ features, defaults, autoscaler }: PlatformEdit = {}): Platform {
  const scaling = parseAutoscalerConfig(autoscaler);
  return {
    features: { ...stockFeatures, ...features },
    defaults: { ...stockDefaults, ...defaults },
    autoscaler: scaling,
    podAutoscalerClass: scaling.podAutoscalerClass,
  };
}

export type Fields = Record<string, unknown>;
const serving = "serving.knative.dev/v1";
const image = "dev.local/hello:1";

export interface Template {
  metadata?: Fields;
  /** Beside the containers. */
  spec?: Fields;
  container?: Fields;
  /** Instead of the one container. */
  containers?: Fields[];
}

export function templateOf({ metadata, spec, container, containers }: Template = {}): Fields {
  return {
    ...(metadata === undefined ? {} : { metadata }),
    spec: { containers: containers ?? [{ image, ...container }], ...spec },
  };
}

const object = (
  apiVersion: string,
  kind: string,
  spec: Fields,
  metadata: ObjectMeta,
): KubeObject & { spec: Fields } => ({
  apiVersion,
  kind,
  metadata: { name: "hello", namespace: "default", ...metadata },
  spec,
});

export const service = (template: Template = {}, metadata: ObjectMeta = {}, spec: Fields = {}) =>
  object(serving, "Service", { template: templateOf(template), ...spec }, metadata);
export const configuration = (template: Template = {}, metadata: ObjectMeta = {}) =>
  object(serving, "Configuration", { template: templateOf(template) }, metadata);
export const revision = (template: Template = {}, metadata: ObjectMeta = {}) =>
  object(serving, "Revision", templateOf(template)["spec"] as Fields, { ...metadata });
export const route = (traffic: Fields[], metadata: ObjectMeta = {}) => object(serving, "Route", { traffic }, metadata);
export const domainMapping = (ref: Fields = {}, metadata: ObjectMeta = {}) =>
  object(
    "serving.knative.dev/v1beta1",
    "DomainMapping",
    { ref: { apiVersion: serving, kind: "Service", name: "hello", ...ref } },
    { name: "hello.example.com", ...metadata },
  );
export const internal = (kind: string, spec: Fields, metadata: ObjectMeta = {}) =>
  object(
    `${kind === "PodAutoscaler" || kind === "Metric" ? "autoscaling" : "networking"}.internal.knative.dev/v1alpha1`,
    kind,
    spec,
    metadata,
  );

export interface Written {
  old?: KubeObject;
  subresource?: string;
  username?: string;
  platform?: PlatformEdit;
}

export function defaulted(
  given: KubeObject,
  { old, subresource = "", username = "ada", ...rest }: Written = {},
): KubeObject {
  const request = { object: given, ...(old === undefined ? {} : { old }), subresource, username };
  return withDefaults(request, platform(rest.platform));
}

/** What both webhooks make of a write, one after the other. */
export function verdict(given: KubeObject, written: Written = {}): { refusal: string; warnings: string[] } {
  const { old, subresource = "" } = written;
  const { refusal, warnings } = validate(
    {
      object: defaulted(given, written),
      ...(old === undefined ? {} : { old }),
      subresource,
      clusterDomain: "cluster.local",
    },
    platform(written.platform),
  );
  return { refusal, warnings };
}

export const refusalOf = (given: KubeObject, written: Written = {}): string => verdict(given, written).refusal;
