import { test } from "tap";
import type { Features } from "../features.ts";
import { refusalOf, service, type Fields } from "./samples.ts";

const volumeAt = "spec.template.spec.volumes[0]";
const mountAt = "spec.template.spec.containers[0].volumeMounts[0]";

interface Row {
  name: string;
  volumes?: Fields[];
  /** Of the one container; by default every volume is mounted. */
  mounts?: Fields[];
  refused: string;
  features?: Partial<Features>;
}

const secret = { name: "v", secret: { secretName: "s" } };
const mountOf = (name: unknown, index = 0) => ({ name, mountPath: `/m${index}` });
const one = (source: Fields): Fields[] => [{ name: "v", ...source }];
const at = (mountPath: string) => ({ name: "v", mountPath });
const neither = (...sources: string[]) =>
  `expected exactly one, got neither: ${sources.map((source) => `${volumeAt}.${source}`).join(", ")}`;
const both = (...sources: string[]) =>
  `expected exactly one, got both: ${sources.map((source) => `${volumeAt}.${source}`).join(", ")}`;
const off = (field: string, label: string) =>
  `${label} volume support is disabled, but found ${label} volume v: \nmust not set the field(s): ${volumeAt}.${field}`;
const projected = (source: Fields) => one({ projected: { sources: [source] } });
const source0 = `${volumeAt}.projected[0]`;

const rows: Row[] = [
  { name: "a Secret", volumes: [secret], refused: "" },
  {
    name: "a ConfigMap with items",
    volumes: one({ configMap: { name: "c", items: [{ key: "k", path: "p" }] } }),
    refused: "",
  },
  {
    name: "an empty directory in memory",
    volumes: one({ emptyDir: { medium: "Memory", sizeLimit: "1Gi" } }),
    refused: "",
  },
  {
    name: "every projection",
    volumes: one({
      projected: {
        sources: [
          { secret: { name: "s" } },
          { configMap: { name: "c" } },
          { serviceAccountToken: { path: "t" } },
          { downwardAPI: { items: [{ path: "p", fieldRef: { fieldPath: "metadata.name" } }] } },
        ],
      },
    }),
    refused: "",
  },
  {
    name: "nobody mounts it",
    volumes: [secret],
    mounts: [],
    refused: `volume with name "v" not mounted: ${volumeAt}.name`,
  },
  {
    name: "two of one name",
    volumes: [secret, secret],
    refused: 'duplicate volume name "v": spec.template.spec.volumes[1].name',
    mounts: [at("/m")],
  },
  { name: "no name", volumes: [{ name: "", secret: {} }], refused: `missing field(s): ${volumeAt}.name` },
  {
    name: "a name that is no label",
    volumes: [{ name: "V", secret: {} }],
    refused: `invalid value: V: ${volumeAt}.name`,
  },
  { name: "no source", volumes: one({}), refused: neither("configMap", "emptyDir", "projected", "secret") },
  {
    name: "no source where more are enabled",
    volumes: one({}),
    refused: neither(
      "configMap",
      "csi",
      "emptyDir",
      "ephemeral",
      "hostPath",
      "image",
      "persistentVolumeClaim",
      "projected",
      "secret",
    ),
    features: {
      volumesCSI: "Enabled",
      volumesEphemeral: "Enabled",
      volumesHostPath: "Enabled",
      volumesImage: "Enabled",
      persistentVolumeClaim: "Enabled",
    },
  },
  {
    name: "no source where fewer are",
    volumes: one({}),
    refused: neither("configMap", "projected", "secret"),
    features: { volumesEmptyDir: "Disabled" },
  },
  { name: "two sources", volumes: one({ secret: {}, configMap: {} }), refused: both("configMap", "secret") },
  {
    name: "a source nobody knows",
    volumes: one({ nfs: {}, secret: {} }),
    refused: `must not set the field(s): ${volumeAt}.nfs`,
  },
  {
    name: "a host path without its flag",
    volumes: one({ hostPath: { path: "/x" } }),
    refused: off("hostPath", "HostPath"),
  },
  { name: "CSI without its flag", volumes: one({ csi: { driver: "x" } }), refused: off("csi", "CSI") },
  {
    name: "an ephemeral volume without its flag",
    volumes: one({ ephemeral: {} }),
    refused: off("ephemeral", "Ephemeral"),
  },
  { name: "an image without its flag", volumes: one({ image: { reference: "r" } }), refused: off("image", "Image") },
  {
    name: "an empty directory where that is off",
    volumes: one({ emptyDir: {} }),
    refused: off("emptyDir", "EmptyDir"),
    features: { volumesEmptyDir: "Disabled" },
  },
  {
    name: "a host path that is only allowed",
    volumes: one({ hostPath: { path: "/x" } }),
    refused: "HostPath volume support is disabled, but found HostPath volume v: ",
    features: { volumesHostPath: "Allowed" },
  },
  {
    name: "a host path",
    volumes: one({ hostPath: { path: "/x" } }),
    refused: "",
    features: { volumesHostPath: "Enabled" },
  },
  {
    name: "an image that may be pulled",
    volumes: one({ image: { reference: "r", pullPolicy: "Never" } }),
    refused: "",
    features: { volumesImage: "Enabled" },
  },
  {
    name: "an image without a reference",
    volumes: one({ image: { pullPolicy: "Sometimes" } }),
    refused: `invalid value: Sometimes: ${volumeAt}.image.pullPolicy\nmissing field(s): ${volumeAt}.image.reference`,
    features: { volumesImage: "Enabled" },
  },
  {
    name: "a medium of one's own",
    volumes: one({ emptyDir: { medium: "Tape" } }),
    refused: `invalid value: Tape: ${volumeAt}.emptyDir.medium`,
  },
  {
    name: "a negative size",
    volumes: one({ emptyDir: { sizeLimit: "-1Gi" } }),
    refused: `invalid value: -1Gi: ${volumeAt}.emptyDir.sizeLimit`,
  },
  {
    name: "a claim without its flags",
    volumes: one({ persistentVolumeClaim: { claimName: "c" } }),
    refused: `Persistent volume claim support is disabled, but found persistent volume claim c: \nPersistent volume write support is disabled, but found persistent volume claim c that is not read-only: \nmust not set the field(s): ${volumeAt}.persistentVolumeClaim`,
  },
  {
    name: "a claim that is written to without that flag",
    volumes: one({ persistentVolumeClaim: { claimName: "c" } }),
    refused: "Persistent volume write support is disabled, but found persistent volume claim c that is not read-only: ",
    features: { persistentVolumeClaim: "Enabled" },
  },
  {
    name: "a claim that is written to",
    volumes: one({ persistentVolumeClaim: { claimName: "c" } }),
    refused: "",
    features: { persistentVolumeClaim: "Enabled", persistentVolumeWrite: "Enabled" },
  },
  {
    name: "a claim that is only read, mounted so",
    volumes: one({ persistentVolumeClaim: { claimName: "c", readOnly: true } }),
    mounts: [{ ...at("/m"), readOnly: true }],
    refused: "",
    features: { persistentVolumeClaim: "Enabled" },
  },
  {
    name: "a claim that is only read, mounted to write",
    volumes: one({ persistentVolumeClaim: { claimName: "c", readOnly: true } }),
    refused: `volume is readOnly but volume mount is not: ${mountAt}.readOnly`,
    features: { persistentVolumeClaim: "Enabled" },
  },
  {
    name: "an item without its parts",
    volumes: one({ secret: { items: [{ key: "", path: "" }] } }),
    refused: `missing field(s): ${volumeAt}.items[0].key, ${volumeAt}.items[0].path`,
  },
  {
    name: "an empty projection",
    volumes: projected({}),
    refused: `expected exactly one, got neither: ${source0}.configMap, ${source0}.downwardAPI, ${source0}.secret, ${source0}.serviceAccountToken`,
  },
  {
    name: "a projection of two things",
    volumes: projected({ secret: { name: "s" }, configMap: { name: "c" } }),
    refused: `expected exactly one, got both: ${source0}.configMap, ${source0}.secret`,
  },
  {
    name: "a projection of something else",
    volumes: projected({ secret: { name: "s" }, clusterTrustBundle: {} }),
    refused: `must not set the field(s): ${source0}.clusterTrustBundle`,
  },
  {
    name: "a projected Secret without a name",
    volumes: projected({ secret: { items: [{ key: "k", path: "" }] } }),
    refused: `missing field(s): ${source0}.secret.items[0].path, ${source0}.secret.name`,
  },
  {
    name: "a token without a path",
    volumes: projected({ serviceAccountToken: {} }),
    refused: `missing field(s): ${source0}.serviceAccountToken.path`,
  },
  {
    name: "a downward file of nothing",
    volumes: projected({ downwardAPI: { items: [{ path: "" }] } }),
    refused: `expected exactly one, got neither: ${source0}.downwardAPI.items[0].fieldRef, ${source0}.downwardAPI.items[0].resourceFieldRef\nmissing field(s): ${source0}.downwardAPI.items[0].path`,
  },
  {
    name: "a downward file of two things",
    volumes: projected({ downwardAPI: { items: [{ path: "p", fieldRef: {}, resourceFieldRef: {} }] } }),
    refused: `Within a single item, cannot set both: ${source0}.downwardAPI.items[0].fieldRef, ${source0}.downwardAPI.items[0].resourceFieldRef`,
  },

  { name: "a mount of nothing", mounts: [at("/m")], refused: `volumeMount has no matching volume: ${mountAt}.name` },
  {
    name: "a mount on /dev",
    volumes: [secret],
    mounts: [at("/dev/")],
    refused: `mountPath "/dev" is a reserved path: ${mountAt}.mountPath`,
  },
  {
    name: "a mount on /dev/log by a detour",
    volumes: [secret],
    mounts: [at("/dev/x/../log")],
    refused: `mountPath "/dev/log" is a reserved path: ${mountAt}.mountPath`,
  },
  {
    name: "a mount on the root",
    volumes: [secret],
    mounts: [at("/")],
    refused: `mountPath "/" is a reserved path: ${mountAt}.mountPath`,
  },
  { name: "a mount under /dev", volumes: [secret], mounts: [at("/dev/shm")], refused: "" },
  { name: "a relative mount", volumes: [secret], mounts: [at("m")], refused: `invalid value: m: ${mountAt}.mountPath` },
  { name: "a mount nowhere", volumes: [secret], mounts: [at("")], refused: `missing field(s): ${mountAt}.mountPath` },
  {
    name: "two mounts on one path",
    volumes: [secret],
    mounts: [at("/a"), at("/a/")],
    refused: `invalid value: "/a/" must be unique: ${mountAt.replace("Mounts[0]", "Mounts[1]")}.mountPath`,
  },
  {
    name: "a sub-path of an expression",
    volumes: [secret],
    mounts: [{ ...at("/a"), subPathExpr: "$(A)", recursiveReadOnly: "Enabled" }],
    refused: `must not set the field(s): ${mountAt}.recursiveReadOnly, ${mountAt}.subPathExpr`,
  },
  {
    name: "propagation without its flag",
    volumes: [secret],
    mounts: [{ ...at("/a"), mountPropagation: "None" }],
    refused: `Volume Mount Propagation support is disabled, but found volume mount v with mount propagation: \nmust not set the field(s): ${mountAt}.mountPropagation`,
  },
  {
    name: "propagation from the host",
    volumes: [secret],
    mounts: [{ ...at("/a"), mountPropagation: "HostToContainer" }],
    refused: "",
    features: { volumesMountPropagation: "Enabled" },
  },
  {
    name: "propagation both ways",
    volumes: [secret],
    mounts: [{ ...at("/a"), mountPropagation: "Bidirectional" }],
    refused: `mount propagation should be set to None or HostToContainer: ${mountAt}.mountPropagation`,
    features: { volumesMountPropagation: "Enabled" },
  },
];

test("volumes and their mounts", (t) => {
  for (const { name, volumes = [], mounts, refused, features = {} } of rows) {
    const volumeMounts = mounts ?? volumes.map((volume, index) => mountOf(volume["name"], index));
    const given = service({ spec: { volumes }, container: { volumeMounts } });
    t.equal(refusalOf(given, { platform: { features } }), refused, name);
  }
  t.end();
});

test("a mount that may be written to, of a volume that may not", (t) => {
  // Defaults make it read-only, except in init containers.
  const initContainers = [{ image: "dev.local/i:1", volumeMounts: [at("/m")] }];
  const given = service({ spec: { volumes: [secret], initContainers } });
  t.equal(
    refusalOf(given, { platform: { features: { initContainers: "Enabled" } } }),
    `volume mount should be readOnly for this type of volume: ${mountAt}.readOnly`,
  );
  t.end();
});
