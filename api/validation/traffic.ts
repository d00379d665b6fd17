/** The traffic list of a Service or Route (spec: serving-api 1.4, 2.6). */
import type { TrafficTarget } from "../serving.ts";
import { dns1035Problems, qualifiedNameProblems } from "./names.ts";
import { at, type Problems } from "./problems.ts";

export function validateTraffic(
  problems: Problems,
  traffic: readonly TrafficTarget[],
  of: "Service" | "Route",
  path: string,
): void {
  const tags = new Map<string, number>();
  let sum = 0;
  for (const [index, target] of traffic.entries()) {
    const here = at(path, index);
    sum += target.percent ?? 0;
    validateTarget(problems, target, of, here);
    const { tag = "" } = target;
    if (tag === "") continue;
    const broken = dns1035Problems(tag);
    if (broken.length > 0)
      problems.invalid(`not a DNS 1035 label: [${broken.join(" ")}]`, `${at(path, "tag")}[${index}]`);
    const first = tags.get(tag);
    if (first === undefined) tags.set(tag, index);
    else problems.add(`Multiple definitions for ${JSON.stringify(tag)}`, [at(at(path, first), "tag"), at(here, "tag")]);
  }
  if (sum !== 100) problems.add(`Traffic targets sum to ${sum}, want 100`, path);
}

function validateTarget(problems: Problems, target: TrafficTarget, of: "Service" | "Route", path: string): void {
  const { revisionName = "", configurationName = "", latestRevision, percent, url = "" } = target;
  const pinned = revisionName !== "";
  if (latestRevision !== undefined && latestRevision === pinned)
    problems.add(
      `may not set revisionName ${JSON.stringify(revisionName)} when latestRevision is ${latestRevision}`,
      at(path, "latestRevision"),
    );

  const choices = [at(path, "revisionName"), at(path, "configurationName")];
  if (of === "Service" && configurationName !== "") problems.forbidden(at(path, "configurationName"));
  else if (pinned && configurationName !== "") problems.severalOf(...choices);
  else if (pinned) validateReference(problems, revisionName, at(path, "revisionName"));
  else if (configurationName !== "") validateReference(problems, configurationName, at(path, "configurationName"));
  else if (of === "Route") problems.noneOf(...choices);

  if (percent !== undefined && (percent < 0 || percent > 100))
    problems.outOfBounds(percent, 0, 100, at(path, "percent"));
  if (url !== "") problems.forbidden(at(path, "url"));
}

function validateReference(problems: Problems, name: string, path: string): void {
  const broken = qualifiedNameProblems(name);
  if (broken.length > 0) problems.invalidKey(name, path, broken.join(", "));
}
