/** Where decision records come from: the autoscaler's pods, asked through the API server's pod proxy. */
import { pods, type Pod } from "../../api/core.ts";
import { label } from "../../api/keys.ts";
import type { KubeObject } from "../../api/meta.ts";
import { kServices, revisions, type KService, type Revision } from "../../api/serving.ts";
import { isNotFound, type KubeClient } from "../../kube/client.ts";
import type { Explained } from "./explained.ts";

const debugPort = 8080;

/** Somebody asked for what is not there; the message says it all. */
export class NothingToExplain extends Error {
  override readonly name = "NothingToExplain";
}

/**
 * The revisions that a name stands for: those of a Service that get traffic or are its newest, or the one of that
 * name. Newest first. Throws {@link NothingToExplain} where there is neither.
 */
export async function revisionsOf(client: KubeClient, namespace: string, name: string): Promise<string[]> {
  const service = await found(client.get<KService>(kServices, name, namespace));
  if (service === undefined) {
    const revision = await found(client.get<Revision>(revisions, name, namespace));
    if (revision === undefined) throw new NothingToExplain(`there is no Service and no Revision ${namespace}/${name}`);
    return [name];
  }
  const { traffic = [], latestCreatedRevisionName, latestReadyRevisionName } = service.status ?? {};
  const used = new Set([
    ...traffic.map(({ revisionName }) => revisionName),
    latestCreatedRevisionName,
    latestReadyRevisionName,
  ]);
  const { items } = await client.list<Revision>(revisions, { namespace, labelSelector: `${label.service}=${name}` });
  const newestFirst = items
    .filter(({ metadata }) => used.has(metadata.name))
    .toSorted((a, b) => generationOf(b) - generationOf(a));
  if (newestFirst.length === 0) throw new NothingToExplain(`the Service ${namespace}/${name} has no revision yet`);
  return newestFirst.map(({ metadata }) => metadata.name!);
}

/**
 * Oldest first; undefined where no autoscaler decides for the revision. Throws {@link NothingToExplain} when none runs.
 */
export async function decisionsOf(
  client: KubeClient,
  where: { namespace: string; revision: string; systemNamespace: string },
): Promise<Explained[] | undefined> {
  const { namespace, revision, systemNamespace } = where;
  const { items } = await client.list<Pod>(pods, { namespace: systemNamespace, labelSelector: "app=autoscaler" });
  const running = items.filter(
    ({ metadata, status }) => status?.phase === "Running" && metadata.deletionTimestamp === undefined,
  );
  if (running.length === 0) throw new NothingToExplain(`no autoscaler runs in the namespace ${systemNamespace}`);
  // Only the one that leads knows; the others say 404.
  for (const { metadata } of running) {
    const path = `proxy/debug/decisions/${encodeURIComponent(namespace)}/${encodeURIComponent(revision)}`;
    // The client's type names the subresources of objects; a pod's proxy is one more, with an answer of any form.
    const answer = client.get(pods, `${metadata.name}:${debugPort}`, systemNamespace, path as "status");
    const records = await found<unknown>(answer);
    if (records !== undefined) return records as Explained[];
  }
  return undefined;
}

const generationOf = ({ metadata }: KubeObject): number =>
  Number(metadata.labels?.[label.configurationGeneration] ?? 0);

async function found<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
