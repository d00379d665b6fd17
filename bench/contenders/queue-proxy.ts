/** Our sidecar's bundle, and a binary that takes the same variables. */
import { existsSync } from "node:fs";
import { Program, runs, type Contender, type Setting } from "./contender.ts";
import { servingPort, sidecarEnv } from "./sidecar-env.ts";

export function sidecarProgram(bundle: string, setting: Setting, env: Record<string, string> = {}): Program {
  return new Program({
    name: "queue-proxy",
    command: [process.execPath, bundle],
    folder: setting.folder,
    core: setting.core,
    env: { ...sidecarEnv(setting), SWELL_BIND_ADDRESS: setting.address, ...env },
  });
}

export function queueProxy(bundle: string): Contender {
  return {
    name: "queue-proxy",
    about: "the bundle that pods run: breaker, three time limits, stats, Prometheus metrics; no stats stream",
    takesPart: () => true,
    start: (setting) =>
      runs(sidecarProgram(bundle, setting), { host: setting.address, port: servingPort(setting.app.protocol) }),
  };
}

/**
 * `binary` binds its ports on every address, so no other sidecar may run meanwhile, not even another cluster's. A
 * network of its own helps: `unshare -n sh -c 'ip link set lo up && npm run bench -- queue-proxy'`.
 */
export function peerQueue(binary: string | undefined): Contender {
  return {
    name: "peer-queue",
    about: "the program that PEER_QUEUE names, with the queue-proxy's variables",
    missing: () => {
      if (binary === undefined)
        return "PEER_QUEUE is not set: the path of a binary that takes Knative's queue-proxy variables";
      return existsSync(binary) ? undefined : `PEER_QUEUE=${binary}: no such file`;
    },
    takesPart: () => true,
    start: (setting) => {
      const { folder, core, address, app } = setting;
      const program = new Program({ name: "peer-queue", command: [binary!], folder, core, env: sidecarEnv(setting) });
      return runs(program, { host: address, port: servingPort(app.protocol) });
    },
  };
}
