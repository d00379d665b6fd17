/** Environment of a container (spec: serving-api 2.1, 2.3). */
import type { Container } from "../core.ts";
import type { Features } from "../features.ts";
import { mask } from "./field-mask.ts";
import { at, type Problems } from "./problems.ts";

const identityVariables = ["K_SERVICE", "K_CONFIGURATION", "K_REVISION"];

/** PORT is the serving container's to be told: others may use the name. */
export function validateEnvironment(
  problems: Problems,
  { env = [], envFrom = [] }: Container,
  features: Features,
  isServing: boolean,
  path: string,
): void {
  const reserved = isServing ? ["PORT", ...identityVariables] : identityVariables;
  const sources = ["configMapKeyRef", "secretKeyRef"];
  if (features.fieldRef !== "Disabled") sources.push("fieldRef", "resourceFieldRef");
  for (const [index, variable] of env.entries()) {
    const here = at(at(path, "env"), index);
    mask(problems, variable, ["name", "value", "valueFrom"], here);
    const { name = "" } = variable as { name?: string };
    if (name === "") problems.missing(at(here, "name"));
    else if (reserved.includes(name))
      problems.add(`${JSON.stringify(name)} is a reserved environment variable`, at(here, "name"));
    mask(problems, variable.valueFrom, sources, at(here, "valueFrom"));
  }
  for (const [index, source] of envFrom.entries()) {
    const all = at(path, "envFrom");
    mask(problems, source, ["prefix", "configMapRef", "secretRef"], at(all, index));
    // As in Knative: these two name no index.
    const choices = [at(all, "configMapRef"), at(all, "secretRef")];
    const { configMapRef, secretRef } = source;
    if (configMapRef !== undefined && secretRef !== undefined) problems.severalOf(...choices);
    else if (configMapRef === undefined && secretRef === undefined) problems.noneOf(...choices);
  }
}
