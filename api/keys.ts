/** Label and annotation keys, well-known names and ports of Knative Serving (spec: serving-api 1.10, data-plane 1.1). */

export const label = {
  configuration: "serving.knative.dev/configuration",
  configurationGeneration: "serving.knative.dev/configurationGeneration",
  configurationUID: "serving.knative.dev/configurationUID",
  service: "serving.knative.dev/service",
  serviceUID: "serving.knative.dev/serviceUID",
  revision: "serving.knative.dev/revision",
  revisionUID: "serving.knative.dev/revisionUID",
  route: "serving.knative.dev/route",
  routeNamespace: "serving.knative.dev/routeNamespace",
  routingState: "serving.knative.dev/routingState",
  deploymentHash: "serving.knative.dev/deployment-hash",
  visibility: "networking.knative.dev/visibility",
  serverlessService: "networking.internal.knative.dev/serverlessservice",
  serviceType: "networking.internal.knative.dev/serviceType",
  certificateType: "networking.knative.dev/certificate-type",
  wildcardDomain: "networking.knative.dev/wildcardDomain",
  trustBundle: "networking.knative.dev/trust-bundle",
  certificateUID: "networking.internal.knative.dev/certificate-uid",
  domainMappingUID: "serving.knative.dev/domainMappingUID",
  domainMappingNamespace: "serving.knative.dev/domainMappingNamespace",
} as const;

export const annotation = {
  routingStateModified: "serving.knative.dev/routingStateModified",
  routes: "serving.knative.dev/routes",
  creator: "serving.knative.dev/creator",
  lastModifier: "serving.knative.dev/lastModifier",
  rolloutDuration: "serving.knative.dev/rollout-duration",
  progressDeadline: "serving.knative.dev/progress-deadline",
  ingressClass: "networking.knative.dev/ingress.class",
  certificateClass: "networking.knative.dev/certificate.class",
  rollout: "networking.internal.knative.dev/rollout",
  tagToHost: "networking.internal.knative.dev/tag-to-host",
  lastApplied: "kubectl.kubernetes.io/last-applied-configuration",
} as const;

/** Has a Route stay until its Revisions no longer name it. */
export const routeFinalizer = "routes.serving.knative.dev";

export const autoscalingPrefix = "autoscaling.knative.dev/";

/** Where the platform itself runs, unless SYSTEM_NAMESPACE says otherwise. */
export const defaultSystemNamespace = "knative-serving";

/** Secret in the system namespace; its key `key` (32 random bytes) signs the tokens of the stats stream. */
export const statsTokenSecret = "swell-stats-token-key";

/** Certificates between gateway, activator and sidecars (spec: data-plane 2.10). */
export const internalTls = {
  /** Certificate and Secret of the sidecars, in each namespace. */
  sidecarSecret: "serving-certs",
  /** Those of gateway and activator, in the system namespace. */
  routingSecret: "routing-serving-certs",
  /** The name that is asked for, whoever answers. */
  serverName: "data-plane.knative.dev",
  routingName: "kn-routing",
  /** By which a sidecar proves whose it is. */
  sidecarName: (namespace: string): string => `kn-user-${namespace}`,
} as const;

export const port = {
  queueHttp1: 8012,
  queueHttp2: 8013,
  queueHttps: 8112,
  queueAdmin: 8022,
  autoMetric: 9090,
  userMetric: 9091,
  profiling: 8008,
  gatewayHttp: 8080,
  gatewayHttps: 8443,
  gatewayInternalHttp: 8081,
  gatewayInternalHttps: 8444,
  autoscalerStats: 8082,
} as const;
