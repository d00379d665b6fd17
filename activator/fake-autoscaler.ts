import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import {
  PodState,
  StatsService,
  type ActivatorDirective,
  type ActivatorReport,
  type Load,
  type PodAddress,
} from "../proto/gen/stats.ts";

/** For tests. Stands for the autoscaler: keeps what it hears, tells what it is told to. */
export class FakeAutoscaler {
  readonly server = new Server();
  readonly loads: { revision: string; load: Load }[] = [];
  readonly subscribed = new Set<string>();
  token = "";
  port = 0;
  #stream: ServerDuplexStream<ActivatorReport, ActivatorDirective> | undefined;
  #changed = Promise.withResolvers<void>();

  async start(): Promise<void> {
    this.server.addService(StatsService, {
      pod: (call: { end(): void }) => call.end(),
      activator: (call: ServerDuplexStream<ActivatorReport, ActivatorDirective>) => {
        this.#stream = call;
        call.on("data", ({ body }: ActivatorReport) => {
          if (body?.$case === "hello") this.token = body.value.token;
          if (body?.$case === "subscription") for (const { name } of body.value.add) this.subscribed.add(name);
          if (body?.$case === "load") {
            for (const { revision, load } of body.value.revisions)
              this.loads.push({ revision: revision!.name, load: load! });
            call.write({ acknowledged: body.value.sequence, pods: [], demands: [] });
          }
          this.#changed.resolve();
          this.#changed = Promise.withResolvers();
        });
        call.on("error", () => undefined);
        call.on("end", () => call.end());
      },
    });
    this.port = await new Promise((resolve, reject) => {
      this.server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  }

  tell(revision: string, pods: Partial<PodAddress>[], complete = false): void {
    const full = pods.map((pod) => ({
      ip: "127.0.0.1",
      port: 0,
      pod: "p",
      state: PodState.READY,
      gone: false,
      ...pod,
    }));
    this.#stream!.write({
      acknowledged: 0,
      demands: [],
      pods: [{ revision: { namespace: "ns", name: revision }, complete, pods: full }],
    });
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#changed.promise;
  }
}
