/** The stats stream on gRPC. Imported only when the main server listens: it costs as much as all the rest. */
import { credentials, experimental, type ChannelOptions } from "@grpc/grpc-js";
import { PodState, StatsClient, type PodHello, type PodReport } from "../proto/gen/stats.ts";
import type { OpenStream, PodStateName } from "./stats-reporter.ts";

const states: Readonly<Record<PodStateName, PodState>> = {
  starting: PodState.STARTING,
  ready: PodState.READY,
  "not-ready": PodState.NOT_READY,
  draining: PodState.DRAINING,
};

const scheme = "swell-pod";

const channelOptions: ChannelOptions = {
  // A half-open connection would hide this pod's load; pings find it.
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 5000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.enable_retries": 0,
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.use_local_subchannel_pool": 1,
};

/**
 * `localAddress`: the address to connect from. The autoscaler takes the stream's peer for the pod's address, and where
 * all pods share one network the system would choose another.
 */
export function podStreams(hello: PodHello, localAddress: string | undefined): OpenStream {
  registerResolver();
  return (host, port, events) => {
    const from = localAddress === undefined ? {} : { [localAddressOption]: localAddress };
    const authority = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const client = new StatsClient(`${scheme}:${authority}`, credentials.createInsecure(), {
      ...channelOptions,
      ...from,
      "grpc.default_authority": authority,
    });
    const call = client.pod();
    let open = true;
    const end = (error: Error): void => {
      if (!open) return;
      open = false;
      client.close();
      events.onEnd(error);
    };
    call.on("data", (directive: { acknowledged: number }) => {
      if (open) events.onAcknowledged(directive.acknowledged);
    });
    call.on("drain", events.onDrain);
    call.on("error", end);
    call.on("end", () => end(new Error("ended by the autoscaler")));
    const write = (report: PodReport): boolean => call.write(report);
    write({ body: { $case: "hello", value: hello } });
    return {
      send: (sequence, state, load) =>
        !open || write({ body: { $case: "load", value: { sequence, state: states[state], load } } }),
      close() {
        open = false;
        call.cancel();
        client.close();
      },
    };
  };
}

/** An option of ours, read by the resolver below. */
const localAddressOption = "swell.local_address";
let registered = false;

/** Resolves `swell-pod:IP:PORT` to itself, with the address to connect from; node:net takes both as they are. */
function registerResolver(): void {
  if (registered) return;
  registered = true;
  class AddressResolver implements experimental.Resolver {
    readonly #answer: () => void;
    /** Once: an address cannot resolve to another, and a listener asks again after each failure. */
    #answered = false;

    constructor(target: { path: string }, listener: experimental.ResolverListener, options: ChannelOptions) {
      const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(target.path);
      const localAddress = options[localAddressOption] as string | undefined;
      const address = {
        host: match?.[1] ?? match?.[2] ?? "",
        port: Number(match?.[3]),
        ...(localAddress === undefined ? {} : { localAddress }),
      };
      this.#answer = () => {
        const endpoints = experimental.statusOrFromValue([{ addresses: [address] }]);
        if (this.#answered) listener(endpoints, {}, null, "");
      };
    }

    updateResolution(): void {
      if (this.#answered) return;
      this.#answered = true;
      process.nextTick(this.#answer);
    }

    destroy(): void {
      this.#answered = false;
    }

    static getDefaultAuthority(target: { path: string }): string {
      return target.path;
    }
  }
  experimental.registerResolver(scheme, AddressResolver);
}
