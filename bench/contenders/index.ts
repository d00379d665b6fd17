/** Everybody who takes part, in the order of the tables. */
import path from "node:path";
import { bundle } from "../../process/bundle.ts";
import type { Contender } from "./contender.ts";
import { gateway } from "./gateway.ts";
import { haproxy } from "./haproxy.ts";
import { nginx } from "./nginx.ts";
import { nodeUndici } from "./node-undici.ts";
import { peerQueue, queueProxy } from "./queue-proxy.ts";

/** The app without a proxy; the runner knows where it is. */
export const appAlone = "app";

/** `folder` gets the bundles: those of `dist/` may be replaced while the benchmark runs. */
export async function makeContenders(folder: string): Promise<{ contenders: Contender[]; sidecar: string }> {
  const bundles = await bundle(path.join(folder, "dist"));
  const contenders = [
    nginx,
    haproxy,
    await nodeUndici(folder),
    queueProxy(bundles["queue-proxy"]!),
    gateway(bundles),
    peerQueue(process.env["PEER_QUEUE"] || undefined),
  ];
  return { contenders, sidecar: bundles["queue-proxy"]! };
}
