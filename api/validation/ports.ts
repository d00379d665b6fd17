/** Ports of a Revision's containers (spec: serving-api 2.3). */
import type { Container, ContainerPort } from "../core.ts";
import { port as platformPort } from "../keys.ts";
import { mask } from "./field-mask.ts";
import { at, type Problems } from "./problems.ts";

const reservedPorts: readonly number[] = [
  platformPort.queueHttp1,
  platformPort.queueHttp2,
  platformPort.queueAdmin,
  platformPort.autoMetric,
  platformPort.userMetric,
  platformPort.profiling,
];
const portNames = ["", "http1", "h2c"];

/** The one port that requests come to; `path` stands for the ports of all containers. */
export function portOfAll(problems: Problems, containers: readonly Container[], path: string): { name: string } {
  const ports = containers.flatMap((container) => container.ports ?? []);
  const declaring = containers.findLast((container) => (container.ports?.length ?? 0) > 0);
  if (ports.length === 0 && containers.length > 1) problems.missing(path);
  else if (ports.length > 1)
    problems.add("more than one container port is set", path, "Only a single port is allowed across all containers");
  return { name: declaring?.ports?.[0]?.name || "http" };
}

export function validatePort(problems: Problems, port: ContainerPort, path: string): void {
  validateNumber(problems, port, path);
  const { name = "", protocol = "" } = port;
  if (protocol !== "" && protocol !== "TCP") problems.invalid(protocol, at(path, "protocol"));
  if (!portNames.includes(name))
    problems.add(`Port name ${name} is not allowed`, path, "Name must be empty, or one of: 'h2c', 'http1'");
}

/** Nothing is routed to them: they may be many and have any name. */
export function validateInitPorts(problems: Problems, ports: readonly ContainerPort[], path: string): void {
  for (const port of ports) validateNumber(problems, port, path);
}

function validateNumber(problems: Problems, port: ContainerPort, path: string): void {
  mask(problems, port, ["containerPort", "name", "protocol"], path);
  const { containerPort = 0 } = port as Partial<ContainerPort>;
  const here = at(path, "containerPort");
  if (reservedPorts.includes(containerPort))
    problems.invalid(
      `${containerPort} is a reserved port`,
      here,
      `${containerPort} is a reserved port, please use a different value`,
    );
  if (containerPort < 0 || containerPort > 65_535) problems.outOfBounds(containerPort, 0, 65_535, here);
}
