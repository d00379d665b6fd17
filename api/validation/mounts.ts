/** Volume mounts of a container (spec: serving-api 2.3, 2.6). */
import { posix } from "node:path";
import type { Volume, VolumeMount } from "../core.ts";
import type { Features } from "../features.ts";
import { mask } from "./field-mask.ts";
import { at, type Problems } from "./problems.ts";
import { isWritable } from "./volumes.ts";

const reservedPaths = ["/", "/dev", "/dev/log"];

const clean = (path: string): string => {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
};

export function validateMounts(
  problems: Problems,
  mounts: readonly VolumeMount[],
  volumes: readonly Volume[],
  features: Features,
  path: string,
): void {
  const seen = new Set<string>();
  const allowed = ["name", "readOnly", "mountPath", "subPath"];
  if (features.volumesMountPropagation !== "Disabled") allowed.push("mountPropagation");
  for (const [index, mount] of mounts.entries()) {
    const here = at(path, index);
    mask(problems, mount, allowed, here);
    const volume = volumes.findLast(({ name }) => name === mount.name);
    if (volume === undefined) problems.add("volumeMount has no matching volume", at(here, "name"));

    const { mountPath = "" } = mount as Partial<VolumeMount>;
    const cleaned = clean(mountPath);
    if (mountPath === "") problems.missing(at(here, "mountPath"));
    else if (reservedPaths.includes(cleaned))
      problems.add(`mountPath ${JSON.stringify(cleaned)} is a reserved path`, at(here, "mountPath"));
    else if (!mountPath.startsWith("/")) problems.invalid(mountPath, at(here, "mountPath"));
    else if (seen.has(cleaned)) problems.invalid(`${JSON.stringify(mountPath)} must be unique`, at(here, "mountPath"));
    seen.add(cleaned);

    if ((volume === undefined || !isWritable(volume)) && mount.readOnly !== true)
      problems.add("volume mount should be readOnly for this type of volume", at(here, "readOnly"));
    const claim = volume?.["persistentVolumeClaim"] as { readOnly?: boolean } | undefined;
    if (claim?.readOnly === true && mount.readOnly !== true)
      problems.add("volume is readOnly but volume mount is not", at(here, "readOnly"));
    validatePropagation(problems, mount, features, here);
  }
}

function validatePropagation(problems: Problems, mount: VolumeMount, features: Features, path: string): void {
  const { mountPropagation, name } = mount;
  if (mountPropagation === undefined) return;
  if (features.volumesMountPropagation !== "Enabled")
    problems.add(`Volume Mount Propagation support is disabled, but found volume mount ${name} with mount propagation`);
  if (mountPropagation !== "None" && mountPropagation !== "HostToContainer")
    problems.add("mount propagation should be set to None or HostToContainer", at(path, "mountPropagation"));
}
