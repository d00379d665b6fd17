/** Which Revision is a Configuration's current one, and which is its latest ready one (spec: serving-api 4.4). */
import { isReady } from "../../api/conditions.ts";
import { sameValue } from "../../api/equality.ts";
import { label } from "../../api/keys.ts";
import type { Configuration, Revision } from "../../api/serving.ts";
import type { Lister } from "../../kube/informer.ts";
import { isControlledBy } from "../../kube/write.ts";
import { index } from "../caches.ts";

export type Choice = { is: "missing" } | { is: "found"; revision: Revision } | { is: "taken" };

/** The Revision that the template names, if it names one. */
export function namedRevision(configuration: Configuration, revisions: Lister<Revision>): Choice {
  const { name } = configuration.spec.template.metadata ?? {};
  if (name === undefined || name === "") return { is: "missing" };
  const revision = revisions.get(`${configuration.metadata.namespace}/${name}`);
  return revision === undefined ? { is: "missing" } : checkNamed(configuration, revision);
}

/** Whether a Revision of the wanted name is this Configuration's for its current template. */
export function checkNamed(configuration: Configuration, revision: Revision): Choice {
  if (!isControlledBy(revision, configuration)) return { is: "taken" };
  const ours =
    generationOf(revision) === configuration.metadata.generation ||
    sameValue(revision.spec, configuration.spec.template.spec);
  return ours ? { is: "found", revision } : { is: "taken" };
}

/** The Revision of the Configuration's current generation. */
export function currentRevision(configuration: Configuration, revisions: Lister<Revision>): Choice {
  const { name } = configuration.spec.template.metadata ?? {};
  if (name !== undefined && name !== "") return namedRevision(configuration, revisions);
  const revision = revisionsOf(configuration, revisions).find(
    (candidate) => generationOf(candidate) === configuration.metadata.generation,
  );
  return revision === undefined ? { is: "missing" } : { is: "found", revision };
}

export function revisionsOf(configuration: Configuration, revisions: Lister<Revision>): Revision[] {
  const { namespace, name } = configuration.metadata;
  return revisions.byIndex(index.byConfiguration, `${namespace}/${name}`);
}

/** The generation of the Configuration that a Revision was made for, undefined where its label is no number. */
export function generationOf(revision: Revision): number | undefined {
  const text = revision.metadata.labels?.[label.configurationGeneration];
  return text !== undefined && /^\d+$/u.test(text) ? Number(text) : undefined;
}

/**
 * The newest ready Revision from the latest ready one recorded so far up to the current generation, with the one
 * that the template names first. Undefined when none is ready, and then the record stays.
 */
export function latestReadyRevision(configuration: Configuration, all: readonly Revision[]): Revision | undefined {
  const generation = configuration.metadata.generation ?? 0;
  const recorded = configuration.status?.latestReadyRevisionName;
  const previous = all.find(({ metadata }) => metadata.name === recorded);
  const oldest = previous === undefined ? 0 : (generationOf(previous) ?? 0);
  const named = configuration.spec.template.metadata?.name;
  const namedOf = (revision: Revision): boolean => named !== undefined && revision.metadata.name === named;
  return all
    .filter((revision) => {
      const own = generationOf(revision);
      return namedOf(revision) || (own !== undefined && own >= oldest && own <= generation);
    })
    .toSorted((a, b) => Number(namedOf(b)) - Number(namedOf(a)) || (generationOf(b) ?? 0) - (generationOf(a) ?? 0))
    .find((revision) => isReady(revision));
}
