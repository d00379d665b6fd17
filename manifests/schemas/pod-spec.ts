/** The part of a PodSpec that a Revision may set (serving-api 2.1), and the Revision's own fields. */
import {
  anything,
  boolean,
  described,
  int32,
  int64,
  intOrString,
  list,
  listMap,
  object,
  quantity,
  string,
  stringMap,
  strings,
  type Schema,
} from "./schema.ts";

const behindFlag = (schema: Schema): Schema => described(schema, "Behind a flag of config-features.");

const keyReference = object({ "key!": string, name: string, optional: boolean }, { "x-kubernetes-map-type": "atomic" });
const nameReference = object({ name: string, optional: boolean }, { "x-kubernetes-map-type": "atomic" });

const env = listMap(
  "name",
  object({
    "name!": string,
    value: string,
    valueFrom: object({
      configMapKeyRef: keyReference,
      secretKeyRef: keyReference,
      fieldRef: behindFlag({ ...anything, "x-kubernetes-map-type": "atomic" }),
      resourceFieldRef: behindFlag({ ...anything, "x-kubernetes-map-type": "atomic" }),
    }),
  }),
);

const envFrom = list(object({ configMapRef: nameReference, prefix: string, secretRef: nameReference }));

const probe = object({
  exec: object({ command: strings }),
  failureThreshold: int32,
  grpc: object({ port: int32, service: string }),
  httpGet: object({
    host: string,
    httpHeaders: list(object({ "name!": string, "value!": string })),
    path: string,
    port: intOrString,
    scheme: string,
  }),
  initialDelaySeconds: int32,
  periodSeconds: int32,
  successThreshold: int32,
  tcpSocket: object({ host: string, port: intOrString }),
  timeoutSeconds: int32,
});

const seccompProfile = object({ localhostProfile: string, "type!": string });

const container = object({
  args: strings,
  command: strings,
  env,
  envFrom,
  image: string,
  imagePullPolicy: string,
  livenessProbe: probe,
  name: string,
  // No map: two of the same port are for the webhook to refuse, in Knative's words.
  ports: list(object({ containerPort: int32, name: string, protocol: { type: "string", default: "TCP" } })),
  readinessProbe: probe,
  resources: object({
    claims: listMap("name", object({ "name!": string, request: string })),
    limits: { type: "object", additionalProperties: quantity },
    requests: { type: "object", additionalProperties: quantity },
  }),
  securityContext: object({
    allowPrivilegeEscalation: boolean,
    capabilities: object({ add: behindFlag(strings), drop: strings }),
    privileged: boolean,
    readOnlyRootFilesystem: boolean,
    runAsGroup: int64,
    runAsNonRoot: boolean,
    runAsUser: int64,
    seccompProfile,
  }),
  startupProbe: probe,
  terminationMessagePath: string,
  terminationMessagePolicy: string,
  volumeMounts: listMap(
    "mountPath",
    object({
      "mountPath!": string,
      mountPropagation: behindFlag(string),
      "name!": string,
      readOnly: boolean,
      subPath: string,
    }),
  ),
  workingDir: string,
});

const keyToPath = list(object({ "key!": string, mode: int32, "path!": string }));

const volumes = listMap(
  "name",
  object({
    configMap: object({ defaultMode: int32, items: keyToPath, name: string, optional: boolean }),
    csi: behindFlag(anything),
    emptyDir: behindFlag(anything),
    ephemeral: behindFlag(anything),
    hostPath: behindFlag(anything),
    image: behindFlag(anything),
    "name!": string,
    persistentVolumeClaim: behindFlag(anything),
    projected: object({
      defaultMode: int32,
      sources: list(
        object({
          configMap: object({ items: keyToPath, name: string, optional: boolean }),
          downwardAPI: object({
            items: list(
              object({
                fieldRef: object({ apiVersion: string, "fieldPath!": string }),
                mode: int32,
                "path!": string,
                resourceFieldRef: object({ containerName: string, divisor: quantity, "resource!": string }),
              }),
            ),
          }),
          secret: object({ items: keyToPath, name: string, optional: boolean }),
          serviceAccountToken: object({ audience: string, expirationSeconds: int64, "path!": string }),
        }),
      ),
    }),
    secret: object({ defaultMode: int32, items: keyToPath, optional: boolean, secretName: string }),
  }),
);

/** spec of a Revision, and spec.template.spec of a Service or Configuration. */
export const revisionSpec: Schema = object({
  affinity: behindFlag(anything),
  automountServiceAccountToken: described(boolean, "Only false is allowed."),
  containerConcurrency: described(int64, "Requests that one instance serves at a time; 0 is no limit."),
  "containers!": list(container),
  dnsConfig: behindFlag(anything),
  dnsPolicy: behindFlag(string),
  enableServiceLinks: described(boolean, "Whether the environment names every Service of the namespace."),
  hostAliases: behindFlag(list(anything)),
  hostIPC: behindFlag(boolean),
  hostNetwork: behindFlag(boolean),
  hostPID: behindFlag(boolean),
  idleTimeoutSeconds: described(int64, "Seconds without a byte of the response after which a request is ended."),
  imagePullSecrets: listMap("name", object({ name: { type: "string", default: "" } })),
  initContainers: behindFlag(list(anything)),
  nodeSelector: behindFlag({ ...stringMap, "x-kubernetes-map-type": "atomic" }),
  priorityClassName: behindFlag(string),
  responseStartTimeoutSeconds: described(int64, "Seconds within which a response has to begin."),
  runtimeClassName: behindFlag(string),
  schedulerName: behindFlag(string),
  securityContext: behindFlag(anything),
  serviceAccountName: string,
  shareProcessNamespace: behindFlag(boolean),
  timeoutSeconds: described(int64, "Seconds that a request may take in all."),
  tolerations: behindFlag(list(anything)),
  topologySpreadConstraints: behindFlag(list(anything)),
  volumes,
});

export const revisionTemplate: Schema = object({
  metadata: object(
    { annotations: stringMap, finalizers: strings, labels: stringMap, name: string, namespace: string },
    { "x-kubernetes-preserve-unknown-fields": true },
  ),
  spec: revisionSpec,
});
