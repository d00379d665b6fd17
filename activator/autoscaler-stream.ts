/**
 * One stream to one autoscaler: loads and subscriptions go out, readiness of pods comes in. The stream is a function
 * of the transport, so that what it sends and when can be tested without gRPC.
 */
import { credentials, type ChannelOptions } from "@grpc/grpc-js";
import {
  StatsClient,
  type ActivatorDirective,
  type ActivatorHello,
  type ActivatorReport,
  type Autoscalers,
  type RevisionDemand,
  type RevisionKey,
  type RevisionPods,
} from "../proto/gen/stats.ts";
import type { ConcurrencyReporter, ReportedLoad } from "./concurrency-reporter.ts";

const reportPeriodMs = 1000;
/** An autoscaler that acknowledges nothing for this long is given up. */
const acknowledgeTimeoutMs = 5000;
const connectTimeoutMs = 3000;

const channelOptions: ChannelOptions = {
  // A half-open connection would hide what is held here; pings find it.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.enable_retries": 0,
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.use_local_subchannel_pool": 1,
};

export interface AutoscalerStreamOptions {
  /** IP address. */
  host: string;
  port: number;
  hello: ActivatorHello;
  reporter: ConcurrencyReporter;
  /** Revisions to hear of from the start. */
  subscribed: () => Iterable<RevisionKey>;
  onPods: (pods: readonly RevisionPods[]) => void;
  onDemands: (demands: readonly RevisionDemand[]) => void;
  /** Which autoscaler this is, and which others there are; again when they change. */
  onAutoscalers: (autoscalers: Autoscalers) => void;
  /** The autoscaler takes our reports. */
  onUp: () => void;
  /** What was reported up to this version was used. */
  onAcknowledged: (version: number) => void;
}

export interface AutoscalerStream {
  /** Reports what has changed, now. */
  report(): void;
  /** Reports these, now; the rest waits for its time. */
  reportOnly(loads: ReportedLoad[]): void;
  subscribe(change: { add?: RevisionKey[]; remove?: RevisionKey[] }): void;
  /** Resolves with the reason when the stream is over; never rejects. */
  readonly ended: Promise<Error>;
  close(): void;
}

export function openAutoscalerStream(options: AutoscalerStreamOptions): AutoscalerStream {
  const { host, port, hello, reporter } = options;
  const target = host.includes(":") ? `ipv6:[${host}]:${port}` : `ipv4:${host}:${port}`;
  const client = new StatsClient(target, credentials.createInsecure(), channelOptions);
  const call = client.activator();
  const ended = Promise.withResolvers<Error>();
  let open = true;
  let blocked = false;
  let up = false;
  let sequence = 0;
  let acknowledgedVersion = 0;
  /** Sent and not acknowledged, oldest first. */
  let unacknowledged: { sequence: number; version: number; sentMs: number }[] = [];

  const write = (body: ActivatorReport["body"]): void => {
    if (!open) return;
    // Small and rare messages are always taken; loads wait for room.
    if (!call.write({ body })) blocked = true;
  };

  const report = (): void => {
    if (!open || blocked) return;
    const { loads, version } = reporter.changedSince(acknowledgedVersion);
    // One message is sent in any case: its acknowledgement says that the autoscaler takes our word.
    if (loads.length === 0 && sequence > 0) return;
    sequence += 1;
    unacknowledged.push({ sequence, version, sentMs: performance.now() });
    write({ $case: "load", value: { sequence, revisions: loads } });
  };

  const reportOnly = (loads: ReportedLoad[]): void => {
    if (!open || blocked) return;
    sequence += 1;
    // Its acknowledgement says nothing of the others that have changed.
    const version = unacknowledged.at(-1)?.version ?? acknowledgedVersion;
    unacknowledged.push({ sequence, version, sentMs: performance.now() });
    write({ $case: "load", value: { sequence, revisions: loads } });
  };

  const end = (reason: Error): void => {
    if (!open) return;
    open = false;
    clearInterval(timer);
    clearTimeout(connecting);
    call.cancel();
    client.close();
    ended.resolve(reason);
  };

  const timer = setInterval(() => {
    const oldest = unacknowledged[0];
    if (up && oldest !== undefined && performance.now() - oldest.sentMs > acknowledgeTimeoutMs)
      end(new Error(`the autoscaler acknowledged nothing for ${acknowledgeTimeoutMs} ms`));
    else report();
  }, reportPeriodMs);
  const connecting = setTimeout(
    () => end(new Error(`the autoscaler did not answer within ${connectTimeoutMs} ms`)),
    connectTimeoutMs,
  );

  call.on("data", ({ acknowledged, pods, demands, autoscalers }: ActivatorDirective) => {
    if (!open) return;
    if (!up) {
      up = true;
      clearTimeout(connecting);
      options.onUp();
    }
    const used = unacknowledged.findLast((sent) => sent.sequence <= acknowledged);
    if (used !== undefined) {
      unacknowledged = unacknowledged.filter((sent) => sent.sequence > acknowledged);
      acknowledgedVersion = used.version;
      options.onAcknowledged(used.version);
    }
    if (autoscalers !== undefined) options.onAutoscalers(autoscalers);
    if (pods.length > 0) options.onPods(pods);
    if (demands.length > 0) options.onDemands(demands);
  });
  call.on("drain", () => {
    blocked = false;
    report();
  });
  call.on("error", (error: Error) => end(error));
  call.on("end", () => end(new Error("the autoscaler ended the stream")));

  write({ $case: "hello", value: hello });
  const add = [...options.subscribed()];
  if (add.length > 0) write({ $case: "subscription", value: { add, remove: [] } });
  report();

  return {
    report,
    reportOnly,
    subscribe({ add = [], remove = [] }) {
      write({ $case: "subscription", value: { add, remove } });
    },
    ended: ended.promise,
    close: () => end(new Error("closed")),
  };
}
