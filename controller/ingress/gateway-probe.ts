/** Asks one gateway pod which version of an Ingress it serves (spec: data-plane 3.3). */
import { Agent, request } from "undici";

export interface ProbeTarget {
  /** Host and port of the gateway pod's listener. */
  address: string;
  host: string;
  path: string;
}

/** `ready`: it serves this version. `retry` says what it answered instead. */
export type ProbeResult = { is: "ready" } | { is: "retry"; why: string };

const timeoutMs = 1000;
const agent = new Agent({ connect: { timeout: timeoutMs }, keepAliveTimeout: 4000 });

export async function probeGateway(target: ProbeTarget, hash: string, signal: AbortSignal): Promise<ProbeResult> {
  let status: number;
  let answered: string | string[] | undefined;
  try {
    const answer = await request(`http://${target.address}${target.path}`, {
      dispatcher: agent,
      headers: {
        host: target.host,
        "user-agent": "Knative-Ingress-Probe",
        "k-network-probe": "probe",
        "k-network-hash": "override",
      },
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    status = answer.statusCode;
    answered = answer.headers["k-network-hash"];
    await answer.body.dump();
  } catch (error) {
    return { is: "retry", why: (error as Error).message };
  }
  if (status === 200) {
    // A gateway that sends no hash cannot be asked.
    if (answered === undefined || answered === hash) return { is: "ready" };
    return { is: "retry", why: "it serves another version" };
  }
  return status === 404 || status === 503 ? { is: "retry", why: `it answers ${status}` } : { is: "ready" };
}
