/**
 * A pod's volumes as folders below its own. Without a mount namespace they cannot appear at their mount paths; a
 * container finds them through SWELL_MOUNT_MAP (`/etc/podinfo=/real/path,…`).
 */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Container, Pod, Volume } from "../../api/core.ts";
import {
  ContainerConfigError,
  configMapValues,
  expand,
  fieldValue,
  resourceValue,
  type PodPlace,
  type Sources,
} from "./environment.ts";

interface KeyToPath {
  key: string;
  path: string;
  mode?: number;
}

interface DownwardItem {
  path: string;
  mode?: number;
  fieldRef?: { fieldPath: string };
  resourceFieldRef?: { containerName?: string; resource: string; divisor?: string };
}

interface ProjectedSource {
  configMap?: { name?: string; items?: KeyToPath[]; optional?: boolean };
  secret?: { name?: string; items?: KeyToPath[]; optional?: boolean };
  downwardAPI?: { items?: DownwardItem[] };
  serviceAccountToken?: { path: string; audience?: string };
}

export interface VolumeFile {
  path: string;
  content: string | Buffer;
  mode: number;
}

export interface VolumeInput {
  pod: Pod;
  place: PodPlace;
  sources: Sources;
  token: () => string;
}

/** Names of the ConfigMaps and Secrets that a pod's volumes are filled from. */
export function volumeSources(pod: Pod): { configMaps: string[]; secrets: string[] } {
  const configMaps = new Set<string>();
  const secrets = new Set<string>();
  for (const volume of pod.spec.volumes ?? []) {
    if (volume.configMap?.name !== undefined) configMaps.add(volume.configMap.name);
    if (volume.secret?.secretName !== undefined) secrets.add(volume.secret.secretName);
    for (const source of (volume.projected?.sources ?? []) as ProjectedSource[]) {
      if (source.configMap?.name !== undefined) configMaps.add(source.configMap.name);
      if (source.secret?.name !== undefined) secrets.add(source.secret.name);
    }
  }
  return { configMaps: [...configMaps], secrets: [...secrets] };
}

/** What a volume holds. Throws {@link ContainerConfigError} when a source is missing or its type is not known here. */
export function volumeFiles(volume: Volume, input: VolumeInput): VolumeFile[] {
  const { configMap, secret, projected } = volume;
  const downward = volume.downwardAPI as { items?: DownwardItem[]; defaultMode?: number } | undefined;
  if (volume.emptyDir !== undefined || volume.hostPath !== undefined) return [];
  if (configMap !== undefined) return configMapFiles(configMap, configMap.defaultMode ?? 0o644, input);
  if (secret !== undefined)
    return secretFiles({ ...secret, name: secret.secretName ?? "" }, secret.defaultMode ?? 0o644, input);
  if (downward !== undefined) return downwardFiles(downward.items ?? [], downward.defaultMode ?? 0o644, input);
  if (projected !== undefined) {
    const mode = projected.defaultMode ?? 0o644;
    return ((projected.sources ?? []) as ProjectedSource[]).flatMap((source) => [
      ...(source.configMap === undefined ? [] : configMapFiles(source.configMap, mode, input)),
      ...(source.secret === undefined ? [] : secretFiles(source.secret, mode, input)),
      ...(source.downwardAPI === undefined ? [] : downwardFiles(source.downwardAPI.items ?? [], mode, input)),
      ...(source.serviceAccountToken === undefined
        ? []
        : [{ path: source.serviceAccountToken.path, content: input.token(), mode }]),
    ]);
  }
  const type = Object.keys(volume).find((key) => key !== "name") ?? "none";
  throw new ContainerConfigError(`volume "${volume.name}": the local cluster has no volumes of type ${type}`);
}

/** Writes every volume below `folder`; resolves with volume name → its folder. */
export async function writeVolumes(folder: string, input: VolumeInput): Promise<Map<string, string>> {
  const folders = new Map<string, string>();
  for (const volume of input.pod.spec.volumes ?? []) {
    const files = volumeFiles(volume, input);
    const root = volume.hostPath?.path ?? path.join(folder, volume.name);
    folders.set(volume.name, root);
    if (volume.hostPath === undefined) await mkdir(root, { recursive: true });
    for (const file of files) {
      const full = path.join(root, file.path);
      if (!full.startsWith(`${root}${path.sep}`))
        throw new ContainerConfigError(`volume "${volume.name}": ${file.path} is outside of it`);
      await mkdir(path.dirname(full), { recursive: true });
      await writeFile(full, file.content, { mode: file.mode });
      await chmod(full, file.mode); // the mode above does not reach a file that exists
    }
  }
  return folders;
}

/** SWELL_MOUNT_MAP of one container; "" when it mounts nothing. */
export function mountMap(
  container: Container,
  folders: ReadonlyMap<string, string>,
  env: Readonly<Record<string, string>>,
): string {
  return (container.volumeMounts ?? [])
    .flatMap(({ name, mountPath, subPath, subPathExpr }) => {
      const folder = folders.get(name);
      const inside = subPath ?? (subPathExpr === undefined ? "" : expand(subPathExpr, env));
      return folder === undefined ? [] : [`${mountPath}=${path.join(folder, inside)}`];
    })
    .join(",");
}

function configMapFiles(
  { name = "", items, optional }: { name?: string; items?: KeyToPath[]; optional?: boolean },
  mode: number,
  { pod, sources }: VolumeInput,
): VolumeFile[] {
  const binary = sources.configMaps.get(name)?.binaryData ?? {};
  const values: Record<string, string | Buffer> = {
    ...configMapValues(sources, name, optional, pod),
    ...Object.fromEntries(Object.entries(binary).map(([key, value]) => [key, Buffer.from(value, "base64")])),
  };
  return pick(values, items, mode, `configmap "${name}"`, optional);
}

function secretFiles(
  { name = "", items, optional }: { name?: string; items?: KeyToPath[]; optional?: boolean },
  mode: number,
  { pod, sources }: VolumeInput,
): VolumeFile[] {
  const found = sources.secrets.get(name);
  if (found === undefined && optional !== true)
    throw new ContainerConfigError(`secret "${name}" not found in namespace ${pod.metadata.namespace}`);
  const values = Object.fromEntries(
    Object.entries(found?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64")]),
  );
  return pick(values, items, mode, `secret "${name}"`, optional);
}

function downwardFiles(items: readonly DownwardItem[], mode: number, { pod, place }: VolumeInput): VolumeFile[] {
  return items.map((item) => {
    const about = pod.spec.containers.find(({ name }) => name === item.resourceFieldRef?.containerName);
    const content =
      item.resourceFieldRef !== undefined && about !== undefined
        ? resourceValue(item.resourceFieldRef, about, place.allocatable)
        : fieldValue(item.fieldRef?.fieldPath ?? "", pod, place);
    return { path: item.path, content, mode: item.mode ?? mode };
  });
}

function pick(
  values: Readonly<Record<string, string | Buffer>>,
  items: readonly KeyToPath[] | undefined,
  mode: number,
  source: string,
  optional: boolean | undefined,
): VolumeFile[] {
  if (items === undefined || items.length === 0)
    return Object.entries(values).map(([key, content]) => ({ path: key, content, mode }));
  return items.flatMap((item) => {
    const content = values[item.key];
    if (content !== undefined) return [{ path: item.path, content, mode: item.mode ?? mode }];
    if (optional === true) return [];
    throw new ContainerConfigError(`${source} has no key ${item.key}`);
  });
}
