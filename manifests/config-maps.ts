/**
 * What may be set in each of the platform's ConfigMaps: key, default, and in one line what it does. The `_example`
 * blocks are written from this; a test holds every default against the parser that reads it.
 */
import { autoscalerConfigKey as autoscaler } from "../api/autoscaling-config.ts";
import { featureKeys } from "../api/features.ts";

export type Setting = readonly [key: string, value: string, does: string];

export interface ConfigMapSource {
  name: string;
  /** Label app.kubernetes.io/component. */
  component: "autoscaler" | "controller" | "logging" | "networking" | "observability" | "tracing";
  /** More labels. */
  labels?: Readonly<Record<string, string>>;
  /** What is set from the start, because Knative's default would not do here. */
  data?: Readonly<Record<string, string>>;
  settings: readonly Setting[];
}

const featureTexts: Readonly<Record<keyof typeof featureKeys, string>> = {
  multiContainer: "More than one container in a Revision. Enabled or Disabled.",
  multiContainerProbing: "Probes on all containers of a Revision, not only on the serving one. Enabled or Disabled.",
  affinity: "spec.affinity. Enabled, Allowed or Disabled, as for all fields of the pod below.",
  topologySpreadConstraints: "spec.topologySpreadConstraints.",
  hostAliases: "spec.hostAliases.",
  nodeSelector: "spec.nodeSelector.",
  tolerations: "spec.tolerations.",
  fieldRef: "fieldRef and resourceFieldRef in environment variables.",
  runtimeClassName: "spec.runtimeClassName.",
  dnsPolicy: "spec.dnsPolicy.",
  dnsConfig: "spec.dnsConfig.",
  securityContext: "The pod's securityContext: users, groups and the seccomp profile.",
  shareProcessNamespace: "spec.shareProcessNamespace.",
  hostIPC: "spec.hostIPC.",
  hostPID: "spec.hostPID.",
  hostNetwork: "spec.hostNetwork.",
  priorityClassName: "spec.priorityClassName.",
  schedulerName: "spec.schedulerName.",
  addCapabilities: "capabilities.add of containers. Enabled or Disabled, as for all volumes below.",
  volumesEmptyDir: "Volumes of type emptyDir.",
  volumesImage: "Volumes of type image.",
  volumesHostPath: "Volumes of type hostPath.",
  volumesEphemeral: "Volumes of type ephemeral.",
  volumesCSI: "Volumes of type csi.",
  volumesMountPropagation: "mountPropagation None and HostToContainer of mounts.",
  persistentVolumeClaim: "Volumes of type persistentVolumeClaim, mounted read-only.",
  persistentVolumeWrite: "Persistent volumes that may be written.",
  initContainers: "Init containers.",
  tagHeaderBasedRouting: "Requests with the header Knative-Serving-Tag go to the tag it names.",
  autodetectHttp2: "The sidecar finds out whether the app speaks HTTP/2 without TLS.",
  queueProxyMountPodInfo: "The sidecar may read the pod's annotations: always, where a template asks (Allowed), never.",
  queueProxyResourceDefaults: "The sidecar has stock limits: 1 CPU and 800Mi.",
};

const stockIssuer = "{ kind: ClusterIssuer, name: knative-selfsigned-issuer }";

const components = ["activator", "autoscaler", "controller", "queueproxy", "webhook", "hpaautoscaler"];

export const configMapSources: readonly ConfigMapSource[] = [
  {
    name: "config-autoscaler",
    component: "autoscaler",
    settings: [
      [
        autoscaler.containerConcurrencyTargetPercentage,
        "70",
        "Share of the target, in percent, that pods are filled to.",
      ],
      [
        autoscaler.containerConcurrencyTargetDefault,
        "100",
        "Requests at once per pod that are aimed for without a limit.",
      ],
      [autoscaler.requestsPerSecondTargetDefault, "200", "Requests per second and pod that are aimed for, metric rps."],
      [
        autoscaler.targetBurstCapacity,
        "211",
        "Requests of a burst that are held; 0 only from zero, -1 always in the path.",
      ],
      [autoscaler.stableWindow, "60s", "Time over which load is averaged; 6s to 1h, whole seconds."],
      [autoscaler.panicWindowPercentage, "10", "The panic window in percent of the stable window; 1 to 100."],
      [
        autoscaler.panicThresholdPercentage,
        "200",
        "Load in percent of what the pods are meant for that starts panic mode.",
      ],
      [autoscaler.maxScaleUpRate, "1000", "By how much the pods may multiply in one step; above 1."],
      [autoscaler.maxScaleDownRate, "2", "By how much the pods may be divided in one step; above 1."],
      [autoscaler.enableScaleToZero, "true", "Whether the last pod may go."],
      [autoscaler.scaleToZeroGracePeriod, "30s", "Time that traffic has at most to move to the activator before that."],
      [autoscaler.scaleToZeroPodRetentionPeriod, "0s", "Time for which the last pod stays at least once it is idle."],
      [autoscaler.podAutoscalerClass, "kpa.autoscaling.knative.dev", "Who scales a Revision that does not say."],
      [autoscaler.activatorCapacity, "100", "Requests that one activator is reckoned to hold; at least 1."],
      [autoscaler.initialScale, "1", "Pods of a new Revision."],
      [autoscaler.allowZeroInitialScale, "false", "Whether that may be 0."],
      [autoscaler.minScale, "0", "Pods that a Revision always has."],
      [autoscaler.maxScale, "0", "Pods that a Revision has at most; 0 is no limit."],
      [autoscaler.maxScaleLimit, "0", "The most that a Revision may ask for; 0 is no limit."],
      [autoscaler.scaleDownDelay, "0s", "Time for which load must stay low before pods go; whole seconds, at most 1h."],
      [
        autoscaler.eventEvaluations,
        "enabled",
        "Swell's own: decide as soon as something happens, not only on the tick.",
      ],
      [
        autoscaler.scalingMode,
        "exact",
        "Swell's own: exact is Knative's arithmetic, smooth avoids needless ups and downs.",
      ],
    ],
  },
  {
    name: "config-certmanager",
    component: "controller",
    labels: { "networking.knative.dev/certificate-provider": "cert-manager" },
    settings: [
      ["issuerRef", stockIssuer, "Who signs for hosts outside the cluster: a ClusterIssuer or an Issuer."],
      ["clusterLocalIssuerRef", stockIssuer, "The same for hosts inside the cluster."],
      ["systemInternalIssuerRef", stockIssuer, "The same for gateway, activator and sidecars."],
    ],
  },
  {
    name: "config-defaults",
    component: "controller",
    settings: [
      ["revision-timeout-seconds", "300", "timeoutSeconds of a Revision that has none."],
      ["max-revision-timeout-seconds", "600", "The most that timeoutSeconds may be."],
      [
        "revision-response-start-timeout-seconds",
        "300",
        "Time to the first byte; absent, it is revision-timeout-seconds.",
      ],
      ["revision-idle-timeout-seconds", "0", "Time without a byte before a request is given up; 0 is none."],
      ["revision-cpu-request", "", "CPU that each container without a request asks for."],
      ["revision-memory-request", "", "Memory that each container without a request asks for."],
      ["revision-ephemeral-storage-request", "", "Disk that each container without a request asks for."],
      ["revision-cpu-limit", "", "CPU limit of containers without one."],
      ["revision-memory-limit", "", "Memory limit of containers without one."],
      ["revision-ephemeral-storage-limit", "", "Disk limit of containers without one."],
      [
        "container-name-template",
        "user-container",
        "Name of containers without one; a template over the parent's metadata.",
      ],
      ["init-container-name-template", "init-container", "The same for init containers."],
      ["container-concurrency", "0", "Requests at once that a pod gets at most; 0 is no limit."],
      ["container-concurrency-max-limit", "1000", "The most that a Revision may ask for."],
      ["allow-container-concurrency-zero", "true", "Whether a Revision may do without a limit."],
      [
        "enable-service-links",
        "false",
        "Variables for every Service of the namespace; anything but true and false: unset.",
      ],
    ],
  },
  {
    name: "config-deployment",
    component: "controller",
    data: { "queue-sidecar-image": "dev.local/swell-queue-proxy:0.1.0" },
    settings: [
      ["queue-sidecar-image", "dev.local/swell-queue-proxy:0.1.0", "Image of the sidecar. It has to be set."],
      ["progress-deadline", "600s", "Time that a Revision has to come up; whole seconds."],
      ["digest-resolution-timeout", "10s", "Time that a registry has to say what an image tag stands for."],
      ["registries-skipping-tag-resolving", "kind.local,ko.local,dev.local", "Registries that are not asked."],
      ["queue-sidecar-cpu-request", "25m", "CPU that the sidecar asks for."],
      ["queue-sidecar-cpu-limit", "", "CPU limit of the sidecar."],
      ["queue-sidecar-memory-request", "", "Memory that the sidecar asks for."],
      ["queue-sidecar-memory-limit", "", "Memory limit of the sidecar."],
      ["queue-sidecar-ephemeral-storage-request", "", "Disk that the sidecar asks for."],
      ["queue-sidecar-ephemeral-storage-limit", "", "Disk limit of the sidecar."],
      ["queue-sidecar-token-audiences", "", "Audiences of tokens that the sidecar has, with commas between."],
      ["queue-sidecar-rootca", "", "PEM of an authority that the sidecar trusts besides."],
      ["queue-sidecar-tls-min-version", "", "Oldest TLS version of the sidecar."],
      ["queue-sidecar-tls-max-version", "", "Newest TLS version of the sidecar."],
      ["queue-sidecar-tls-cipher-suites", "", "Cipher suites of the sidecar, with commas between."],
      ["queue-sidecar-tls-curve-preferences", "", "Curves of the sidecar, with commas between."],
      ["default-affinity-type", "none", "prefer-spread-revision-over-nodes puts a Revision's pods on many nodes."],
      ["runtime-class-name", "", "YAML: runtime class, below it a selector of labels; the one of most labels counts."],
      ["pod-is-always-schedulable", "false", "Whether nodes come on demand, so that a pod that fits nowhere waits."],
    ],
  },
  {
    name: "config-domain",
    component: "controller",
    settings: [
      [
        "svc.cluster.local",
        "",
        "A domain; below it YAML {selector: {label: value}} for the Routes that get it, empty for all. This one is private.",
      ],
    ],
  },
  {
    name: "config-features",
    component: "controller",
    settings: [
      ...Object.entries(featureKeys).map(([name, [key, stock]]): Setting => [
        key,
        stock.toLowerCase(),
        featureTexts[name as keyof typeof featureKeys],
      ]),
      ["secure-pod-defaults", "disabled", "Secure contexts by default: Disabled, AllowRootBounded or Enabled."],
    ],
  },
  {
    name: "config-gc",
    component: "controller",
    settings: [
      ["retain-since-create-time", "48h", "Time since its creation for which a Revision is kept, or disabled."],
      [
        "retain-since-last-active-time",
        "15h",
        "Time since its last traffic for which a Revision is kept, or disabled.",
      ],
      ["min-non-active-revisions", "20", "Revisions without traffic that are kept in any case."],
      ["max-non-active-revisions", "1000", "Revisions without traffic beyond which the oldest go, or disabled."],
    ],
  },
  {
    name: "config-leader-election",
    component: "controller",
    settings: [
      ["lease-duration", "60s", "Time after which a lease that nobody renews may be taken."],
      ["renew-deadline", "40s", "Time after which a holder that cannot renew gives up."],
      ["retry-period", "10s", "Time between two tries to take or renew a lease."],
      [
        "buckets",
        "1",
        "Parts that keys are divided into, 1 to 10; controllers use 1. Set, these four win over the autoscaler's own.",
      ],
    ],
  },
  {
    name: "config-logging",
    component: "logging",
    settings: [
      ["zap-logger-config", "", "JSON of a zap logger, which sidecars are given; Knative's own read it."],
      ...components.map((name): Setting => [`loglevel.${name}`, "", `Level of ${name}: debug, info, warn or error.`]),
    ],
  },
  {
    name: "config-network",
    component: "networking",
    data: { "ingress-class": "swell.ingress.networking.knative.dev" },
    settings: [
      [
        "ingress-class",
        "istio.ingress.networking.knative.dev",
        "Who serves Ingresses that do not say; set above to Swell.",
      ],
      [
        "certificate-class",
        "cert-manager.certificate.networking.knative.dev",
        "Who provides Certificates that do not say.",
      ],
      [
        "domain-template",
        "{{.Name}}.{{.Namespace}}.{{.Domain}}",
        "Host of a Route; .Annotations and .Labels may be used.",
      ],
      ["tag-template", "{{.Tag}}-{{.Name}}", "First part of the host of a tag."],
      ["external-domain-tls", "disabled", "Certificates for hosts outside the cluster."],
      ["cluster-local-domain-tls", "disabled", "Certificates for hosts inside the cluster."],
      ["system-internal-tls", "disabled", "TLS between gateway, activator and sidecars."],
      [
        "namespace-wildcard-cert-selector",
        "",
        "Label selector of namespaces with one certificate for all hosts of a domain; {} is all of them.",
      ],
      ["http-protocol", "enabled", "Plain HTTP: enabled, or redirected to HTTPS."],
      ["rollout-duration", "0", "Seconds over which traffic moves to a new Revision; 0 is at once."],
      ["autocreate-cluster-domain-claims", "false", "Whether a DomainMapping may claim a domain that is free."],
      [
        "default-external-scheme",
        "http",
        "Scheme of URLs outside the cluster, https where something in front does TLS.",
      ],
      ["enable-mesh-pod-addressability", "false", "Whether pods of a mesh may be called by their own address."],
      ["mesh-compatibility-mode", "auto", "Whether pods may be called directly: enabled means not; or disabled, auto."],
    ],
  },
  {
    name: "config-observability",
    component: "observability",
    settings: [
      [
        "logging.enable-var-log-collection",
        "false",
        "A volume at /var/log of each container, for collectors on the node.",
      ],
      ["logging.revision-url-template", "", "URL of a Revision's logs; ${REVISION_UID} stands for its uid."],
      ["logging.enable-request-log", "false", "A line for each request in the sidecar's log."],
      ["logging.request-log-template", "", "The form of that line."],
      ["logging.enable-probe-request-log", "false", "The same for probes."],
      ["metrics-protocol", "none", "none, prometheus, http/protobuf or grpc."],
      ["metrics-endpoint", "", "Where metrics are sent, or what Prometheus may ask."],
      ["metrics-export-interval", "0s", "Time between two sends; 0s is the exporter's own."],
      ["request-metrics-protocol", "none", "The same three for the sidecars."],
      ["request-metrics-endpoint", "", "As metrics-endpoint."],
      ["request-metrics-export-interval", "0s", "As metrics-export-interval."],
      ["tracing-protocol", "none", "none, http/protobuf, grpc or stdout."],
      ["tracing-endpoint", "", "Where spans are sent."],
      ["tracing-sampling-rate", "0", "Share of requests that are traced, 0 to 1."],
      ["runtime-profiling", "disabled", "Profiles on port 8008."],
      ["runtime-export-interval", "15s", "Time between two looks at the process itself."],
    ],
  },
  { name: "config-tracing", component: "tracing", settings: [] },
];
