/** Some requests at once on new connections, then silence until the service is at zero again. */
import { Agent } from "node:http";
import { deadlineMs, messageOf, pause, type Client } from "./client.ts";
import { exchange } from "./http1-client.ts";

const requestsPerBurst = 5;

export const burstClient: Client = async (options, stop) => {
  const { ledger, load, random, thinkMs } = options;
  let count = 0;
  while (!stop.aborted) {
    const agent = new Agent({ keepAlive: false });
    await Promise.all(
      Array.from({ length: requestsPerBurst }, async () => {
        const token = `burst-${(count += 1)}`;
        const startedMs = ledger.elapsedMs;
        try {
          await exchange(options, agent, { method: "GET", target: `/echo?token=${token}`, token, body: undefined });
          ledger.succeeded(load, startedMs);
        } catch (error) {
          ledger.failed(load, startedMs, messageOf(error));
        }
      }),
    );
    const untilMs = ledger.elapsedMs + Math.min(thinkMs * (0.5 + random.next()), deadlineMs);
    while (!stop.aborted && ledger.elapsedMs < untilMs) await pause(200);
  }
};
