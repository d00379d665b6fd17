/** Volumes of a Revision (spec: serving-api 2.3, 2.6). */
import type { Container, Volume } from "../core.ts";
import type { Features } from "../features.ts";
import { formatQuantity, parseQuantity } from "../quantity.ts";
import { mask } from "./field-mask.ts";
import { dns1123LabelProblems } from "./names.ts";
import { at, type Problems } from "./problems.ts";

interface SourceRule {
  source: string;
  /** Undefined: always allowed. */
  flag?: keyof Features;
  label?: string;
}

const sources: readonly SourceRule[] = [
  { source: "configMap" },
  { source: "emptyDir", flag: "volumesEmptyDir", label: "EmptyDir" },
  { source: "projected" },
  { source: "secret" },
  { source: "hostPath", flag: "volumesHostPath", label: "HostPath" },
  { source: "csi", flag: "volumesCSI", label: "CSI" },
  { source: "ephemeral", flag: "volumesEphemeral", label: "Ephemeral" },
  { source: "image", flag: "volumesImage", label: "Image" },
  { source: "persistentVolumeClaim", flag: "persistentVolumeClaim" },
];

/** Volumes that may be written to. */
export const isWritable = (volume: Volume): boolean =>
  volume.emptyDir !== undefined || volume["persistentVolumeClaim"] !== undefined || volume["ephemeral"] !== undefined;

export function validateVolumes(
  problems: Problems,
  volumes: readonly Volume[],
  containers: readonly Container[],
  features: Features,
  path: string,
): void {
  const mounted = new Set(containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name)));
  const seen = new Set<string>();
  for (const [index, volume] of volumes.entries()) {
    const here = at(path, index);
    const { name = "" } = volume as Partial<Volume>;
    if (seen.has(name)) problems.add(`duplicate volume name ${JSON.stringify(name)}`, at(here, "name"));
    seen.add(name);
    if (!mounted.has(name)) problems.add(`volume with name ${JSON.stringify(name)} not mounted`, at(here, "name"));
    if (name === "") problems.missing(at(here, "name"));
    else if (dns1123LabelProblems(name).length > 0) problems.invalid(name, at(here, "name"));
    validateFlags(problems, volume, features);
    validateSource(problems, volume, features, here);
  }
}

function validateFlags(problems: Problems, volume: Volume, features: Features): void {
  const claim = volume["persistentVolumeClaim"] as { claimName?: string; readOnly?: boolean } | undefined;
  if (claim !== undefined) {
    const { claimName = "", readOnly } = claim;
    if (features.persistentVolumeClaim !== "Enabled")
      problems.add(`Persistent volume claim support is disabled, but found persistent volume claim ${claimName}`);
    if (readOnly !== true && features.persistentVolumeWrite !== "Enabled")
      problems.add(
        `Persistent volume write support is disabled, but found persistent volume claim ${claimName} that is not read-only`,
      );
  }
  for (const { source, flag, label } of sources)
    if (flag !== undefined && label !== undefined && volume[source] !== undefined && features[flag] !== "Enabled")
      problems.add(`${label} volume support is disabled, but found ${label} volume ${volume.name}`);
}

function validateSource(problems: Problems, volume: Volume, features: Features, path: string): void {
  const maskable = sources.filter(({ flag }) => flag === undefined || features[flag] !== "Disabled");
  mask(problems, volume, ["name", ...maskable.map(({ source }) => source)], path);

  const set = sources.filter(({ source }) => volume[source] !== undefined);
  const choices = sources.filter(({ flag }) => flag === undefined || features[flag] === "Enabled");
  if (set.length === 0) problems.noneOf(...choices.map(({ source }) => at(path, source)));
  else if (set.length > 1) problems.severalOf(...set.map(({ source }) => at(path, source)));

  // As in Knative: items go by the volume's path, and projected sources by `projected`.
  for (const items of [volume.secret?.items, volume.configMap?.items]) validateItems(problems, items, path);
  for (const [index, source] of (volume.projected?.sources ?? []).entries())
    validateProjection(problems, source, at(at(path, "projected"), index));

  const { medium = "", sizeLimit } = volume.emptyDir ?? {};
  const emptyDir = at(path, "emptyDir");
  if (medium !== "" && medium !== "Memory") problems.invalid(medium, at(emptyDir, "medium"));
  const size = sizeLimit === undefined ? undefined : parseQuantity(sizeLimit);
  if (size !== undefined && size.nano < 0n) problems.invalid(formatQuantity(size), at(emptyDir, "sizeLimit"));

  const image = volume["image"] as { reference?: string; pullPolicy?: string } | undefined;
  if (image === undefined) return;
  const { reference = "", pullPolicy = "" } = image;
  mask(problems, image, ["reference", "pullPolicy"], at(path, "image"));
  if (reference === "") problems.missing(at(at(path, "image"), "reference"));
  if (!["", "Always", "IfNotPresent", "Never"].includes(pullPolicy))
    problems.invalid(pullPolicy, at(at(path, "image"), "pullPolicy"));
}

interface Item {
  key?: string;
  path?: string;
  fieldRef?: object;
  resourceFieldRef?: object;
}

function validateItems(problems: Problems, items: readonly Item[] | undefined, path: string): void {
  for (const [index, item] of (items ?? []).entries()) {
    const here = at(at(path, "items"), index);
    mask(problems, item, ["key", "path", "mode"], here);
    for (const field of ["key", "path"] as const) if ((item[field] ?? "") === "") problems.missing(at(here, field));
  }
}

const projections = ["secret", "configMap", "serviceAccountToken", "downwardAPI"] as const;

function validateProjection(problems: Problems, source: Record<string, unknown>, path: string): void {
  mask(problems, source, projections, path);
  const set = projections.filter((kind) => source[kind] !== undefined);
  if (set.length === 0) problems.noneOf(...projections.map((kind) => at(path, kind)));
  else if (set.length > 1) problems.severalOf(...set.map((kind) => at(path, kind)));

  for (const kind of ["secret", "configMap"] as const) {
    const projection = source[kind] as { name?: string; items?: Item[] } | undefined;
    if (projection === undefined) continue;
    if ((projection.name ?? "") === "") problems.missing(at(at(path, kind), "name"));
    validateItems(problems, projection.items, at(path, kind));
  }
  const token = source["serviceAccountToken"] as { path?: string } | undefined;
  if (token !== undefined && (token.path ?? "") === "") problems.missing(at(at(path, "serviceAccountToken"), "path"));
  const files = (source["downwardAPI"] as { items?: Item[] } | undefined)?.items ?? [];
  for (const [index, file] of files.entries()) {
    const here = at(at(at(path, "downwardAPI"), "items"), index);
    const references = [at(here, "fieldRef"), at(here, "resourceFieldRef")];
    if (file.fieldRef === undefined && file.resourceFieldRef === undefined) problems.noneOf(...references);
    if (file.fieldRef !== undefined && file.resourceFieldRef !== undefined)
      problems.add("Within a single item, cannot set both", references);
    if ((file.path ?? "") === "") problems.missing(at(here, "path"));
  }
}
