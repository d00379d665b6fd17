/** Containers of a Revision (spec: serving-api 2.3, 2.6). */
import type { Container, Volume } from "../core.ts";
import type { Features } from "../features.ts";
import { parseImage } from "../image-reference.ts";
import type { RevisionSpec } from "../serving.ts";
import { validateEnvironment } from "./environment.ts";
import { validateContainerFields } from "./pod-fields.ts";
import { portOfAll, validateInitPorts, validatePort } from "./ports.ts";
import { forbidProbe, validateProbe, validateReadinessProbe } from "./probes.ts";
import { at, type Problems } from "./problems.ts";
import { validateContainerUser } from "./security.ts";
import { validateMounts } from "./mounts.ts";

const reservedName = "queue-proxy";
const messagePolicies = ["", "File", "FallbackToLogsOnError"];
const probeFields = ["livenessProbe", "readinessProbe", "startupProbe"] as const;

export function validateContainers(problems: Problems, spec: RevisionSpec, features: Features, path: string): void {
  const { containers, volumes = [] } = spec;
  const container = { features, volumes };
  validateInitContainers(problems, spec, features, path);
  const port = portOfAll(problems, containers, `${at(path, "containers")}[*].ports`);
  if (containers.length === 0) {
    problems.missing(at(path, "containers"));
    return;
  }
  if (containers.length > 1 && features.multiContainer !== "Enabled") {
    problems.add(`multi-container is off, but found ${containers.length} containers`);
    return;
  }
  const names = new Set<string>();
  for (const [index, each] of containers.entries()) {
    const here = at(at(path, "containers"), index);
    const { name = "" } = each as Partial<Container>;
    if (names.has(name)) duplicateName(problems, name, here);
    names.add(name);
    const role = containers.length === 1 || (each.ports?.length ?? 0) > 0 ? "serving" : "sidecar";
    validateProbes(problems, each, role, features, port.name, here);
    validateContainer(problems, each, { ...container, role }, here);
  }
}

function validateInitContainers(problems: Problems, spec: RevisionSpec, features: Features, path: string): void {
  const { initContainers = [], containers, volumes = [] } = spec;
  if (initContainers.length === 0) return;
  if (features.initContainers !== "Enabled") {
    problems.add(`pod spec support for init-containers is off, but found ${initContainers.length} init containers`);
    return;
  }
  const names = new Set(containers.map(({ name }) => name));
  for (const [index, container] of initContainers.entries()) {
    // As in Knative: the path names the list of the others.
    const here = at(at(path, "containers"), index);
    if (names.has(container.name)) duplicateName(problems, container.name, here);
    names.add(container.name);
    for (const field of [...probeFields, "lifecycle"] as const)
      if (container[field] !== undefined) problems.add("field not allowed in an init container", at(here, field));
    validateContainer(problems, container, { features, volumes, role: "init" }, here);
  }
}

const duplicateName = (problems: Problems, name: string, path: string): void =>
  problems.add(`duplicate container name ${JSON.stringify(name)}`, at(path, "name"));

function validateProbes(
  problems: Problems,
  container: Container,
  role: "serving" | "sidecar",
  features: Features,
  portName: string,
  path: string,
): void {
  if (role === "sidecar" && features.multiContainerProbing !== "Enabled") {
    for (const field of probeFields) forbidProbe(problems, container[field], at(path, field));
    return;
  }
  const probed = role === "serving" ? { portName } : {};
  validateProbe(problems, container.livenessProbe, probed, at(path, "livenessProbe"));
  validateReadinessProbe(problems, container.readinessProbe, probed, at(path, "readinessProbe"));
  validateProbe(problems, container.startupProbe, probed, at(path, "startupProbe"));
}

interface Place {
  features: Features;
  volumes: readonly Volume[];
  role: "serving" | "sidecar" | "init";
}

function validateContainer(problems: Problems, container: Container, place: Place, path: string): void {
  const { features, volumes, role } = place;
  const { resources, ...written } = container;
  if (Object.keys(written).length === 0 && Object.keys(resources ?? {}).length === 0) {
    problems.missing(path);
    return;
  }
  validateContainerFields(problems, container, features, path);
  const { image = "", name, ports = [], terminationMessagePolicy: policy = "" } = container;
  if (name === reservedName) problems.add(`${JSON.stringify(name)} is a reserved container name`, at(path, "name"));
  validateEnvironment(problems, container, features, role === "serving", path);
  if (image === "") problems.missing(at(path, "image"));
  else if (parseImage(image) === undefined)
    problems.add(
      "Failed to parse image reference",
      at(path, "image"),
      `image: ${JSON.stringify(image)}, error: could not parse reference: ${image}`,
    );
  if (role === "init") validateInitPorts(problems, ports, at(path, "ports"));
  else if (ports[0] !== undefined) validatePort(problems, ports[0], at(path, "ports"));
  if (!messagePolicies.includes(policy)) problems.invalid(policy, at(path, "terminationMessagePolicy"));
  validateContainerUser(problems, container.securityContext, at(path, "securityContext"));
  validateMounts(problems, container.volumeMounts ?? [], volumes, features, at(path, "volumeMounts"));
}
