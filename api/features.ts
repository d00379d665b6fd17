/** The flags of ConfigMap `config-features` (spec: serving-api 2.2). */
export type Flag = "Enabled" | "Allowed" | "Disabled";

/** Key in the ConfigMap and stock value of every flag. */
export const featureKeys = {
  multiContainer: ["multi-container", "Enabled"],
  multiContainerProbing: ["multi-container-probing", "Disabled"],
  affinity: ["kubernetes.podspec-affinity", "Disabled"],
  topologySpreadConstraints: ["kubernetes.podspec-topologyspreadconstraints", "Disabled"],
  hostAliases: ["kubernetes.podspec-hostaliases", "Disabled"],
  nodeSelector: ["kubernetes.podspec-nodeselector", "Disabled"],
  tolerations: ["kubernetes.podspec-tolerations", "Disabled"],
  fieldRef: ["kubernetes.podspec-fieldref", "Disabled"],
  runtimeClassName: ["kubernetes.podspec-runtimeclassname", "Disabled"],
  dnsPolicy: ["kubernetes.podspec-dnspolicy", "Disabled"],
  dnsConfig: ["kubernetes.podspec-dnsconfig", "Disabled"],
  securityContext: ["kubernetes.podspec-securitycontext", "Disabled"],
  shareProcessNamespace: ["kubernetes.podspec-shareprocessnamespace", "Disabled"],
  hostIPC: ["kubernetes.podspec-hostipc", "Disabled"],
  hostPID: ["kubernetes.podspec-hostpid", "Disabled"],
  hostNetwork: ["kubernetes.podspec-hostnetwork", "Disabled"],
  priorityClassName: ["kubernetes.podspec-priorityclassname", "Disabled"],
  schedulerName: ["kubernetes.podspec-schedulername", "Disabled"],
  addCapabilities: ["kubernetes.containerspec-addcapabilities", "Disabled"],
  volumesEmptyDir: ["kubernetes.podspec-volumes-emptydir", "Enabled"],
  volumesImage: ["kubernetes.podspec-volumes-image", "Disabled"],
  volumesHostPath: ["kubernetes.podspec-volumes-hostpath", "Disabled"],
  volumesEphemeral: ["kubernetes.podspec-volumes-ephemeral", "Disabled"],
  volumesCSI: ["kubernetes.podspec-volumes-csi", "Disabled"],
  volumesMountPropagation: ["kubernetes.podspec-volumes-mount-propagation", "Disabled"],
  persistentVolumeClaim: ["kubernetes.podspec-persistent-volume-claim", "Disabled"],
  persistentVolumeWrite: ["kubernetes.podspec-persistent-volume-write", "Disabled"],
  initContainers: ["kubernetes.podspec-init-containers", "Disabled"],
  tagHeaderBasedRouting: ["tag-header-based-routing", "Disabled"],
  autodetectHttp2: ["autodetect-http2", "Disabled"],
  queueProxyMountPodInfo: ["queueproxy.mount-podinfo", "Disabled"],
  queueProxyResourceDefaults: ["queueproxy.resource-defaults", "Disabled"],
} as const satisfies Record<string, readonly [key: string, stock: Flag]>;

export type Features = Readonly<Record<keyof typeof featureKeys, Flag>> & {
  readonly securePodDefaults: "Disabled" | "AllowRootBounded" | "Enabled";
};
