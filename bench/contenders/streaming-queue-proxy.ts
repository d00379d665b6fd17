/** Our sidecar with its stats stream up, the receiver in this process. For memory only. */
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { StatsService, type PodDirective, type PodReport } from "../../proto/gen/stats.ts";
import { runs, type Contender } from "./contender.ts";
import { sidecarProgram } from "./queue-proxy.ts";
import { servingPort } from "./sidecar-env.ts";

const streamWithinMs = 10_000;

export function streamingQueueProxy(bundle: string): Contender {
  return {
    name: "queue-proxy, streaming",
    about: "the same with its gRPC stats stream up",
    takesPart: () => false,
    start: async (setting) => {
      const heard = Promise.withResolvers<void>();
      const server = new Server();
      server.addService(StatsService, {
        activator: (call: { end(): void }) => call.end(),
        pod: (call: ServerDuplexStream<PodReport, PodDirective>) => {
          call.on("data", ({ body }: PodReport) => {
            if (body?.$case !== "load") return;
            call.write({ acknowledged: body.value.sequence });
            heard.resolve();
          });
          call.on("error", () => undefined); // the sidecar is killed at the end
          call.on("end", () => call.end());
        },
      });
      const receiver = await new Promise<number>((resolve, reject) => {
        server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
          error === null ? resolve(port) : reject(error),
        );
      });
      const program = sidecarProgram(bundle, setting, {
        SWELL_STATS_ADDRESS: `127.0.0.1:${receiver}`,
        SWELL_STATS_TOKEN: "bench",
      });
      const deadline = setTimeout(
        () => heard.reject(new Error("the sidecar's stats stream never came")),
        streamWithinMs,
      );
      const running = await runs(program, { host: setting.address, port: servingPort(setting.app.protocol) });
      const stop = async (): Promise<void> => {
        await running.stop();
        server.forceShutdown();
      };
      try {
        await heard.promise;
      } catch (error) {
        await stop();
        throw error;
      } finally {
        clearTimeout(deadline);
      }
      return { ...running, stop };
    },
  };
}
