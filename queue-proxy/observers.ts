/**
 * What watches requests when it is configured: log, metrics, traces, profiles. Imported only then, as one chunk, and
 * shares no code with what every sidecar loads: that stays in one file, since each further one costs every start.
 */
import type { RequestListener } from "node:http";
import type { ResultStatus } from "../proxy/exchange.ts";
import type { QueueProxyConfig } from "./config.ts";
import type { OpenGrpcStream } from "./grpc-stream.ts";
import { TemplateError } from "../proxy/go-template/value.ts";
import type { Observe } from "./handlers.ts";
import type { Log } from "./log.ts";
import type { Attribute, NewMessage } from "../process/otlp/message.ts";
import { startMetricExport } from "../process/otlp/metric-export.ts";
import { sendOverHttp, type SendBatch, type Signal } from "../process/otlp/transport.ts";
import { sendOverGrpc } from "./otlp-transport.ts";
import { spanLine } from "./otlp.ts";
import { profilesListener } from "./profiles.ts";
import type { AppMetrics } from "./proxy-handler.ts";
import { createRequestLog } from "../proxy/request-log.ts";
import { createSpanExport } from "./span-export.ts";
import { createTracing, type Tracing } from "./tracing.ts";
import { createUserMetrics } from "./user-metrics.ts";

export interface Observers {
  observers: Observe[];
  observeProbe: Observe | undefined;
  metrics: AppMetrics | undefined;
  metricsText: () => string;
  tracing: Tracing | undefined;
  profiles: RequestListener;
  /** Sends what is not sent yet. */
  stop(): Promise<void>;
}

export interface Shared {
  /** Requests that run or wait; undefined without a limit. */
  queueDepth: (() => number) | undefined;
  resultStatus: ResultStatus;
  openGrpcStream: OpenGrpcStream;
  newMessage: NewMessage;
  log: Log;
  signal: AbortSignal;
}

export function createObservers(config: QueueProxyConfig, shared: Shared): Observers {
  const { requestLog, userMetrics, metricsExport, tracing } = config.observability;
  const { resultStatus } = shared;
  const counted = userMetrics !== undefined || metricsExport !== undefined;
  const metrics = counted ? createUserMetrics(config, shared.queueDepth, resultStatus) : undefined;
  const pushed =
    metrics === undefined || metricsExport === undefined
      ? undefined
      : startMetricExport({
          newMessage: shared.newMessage,
          resource: resourceOf(config, metricsExport.serviceName),
          collect: () => metrics.collect(),
          send: sender(metricsExport, "metrics", shared),
          intervalMs: metricsExport.intervalMs,
          log: shared.log,
        });
  const logged = requestLog === undefined ? undefined : requestLogger(requestLog.template, config, shared);
  const traces = tracing === undefined ? undefined : startTracing(config, tracing, shared);
  return {
    observers: [traces?.tracing.observe, metrics?.observe, logged].filter((observe) => observe !== undefined),
    observeProbe: requestLog?.probes === true ? logged : undefined,
    metrics: metrics?.app,
    metricsText: () => metrics?.text() ?? "",
    tracing: traces?.tracing,
    profiles: profilesListener(shared.signal),
    async stop() {
      await Promise.all([traces?.stop(), pushed?.stop()]);
    },
  };
}

/** Undefined, with a line in the log, for a template that cannot be used. */
function requestLogger(template: string, config: QueueProxyConfig, { resultStatus, log }: Shared): Observe | undefined {
  try {
    const observe = createRequestLog(template, resultStatus, (line) => void process.stdout.write(line));
    return (exchange) => observe(exchange, config);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    log.error({ err: error }, "the request log template cannot be used: requests are not logged");
    return undefined;
  }
}

function startTracing(
  config: QueueProxyConfig,
  settings: NonNullable<QueueProxyConfig["observability"]["tracing"]>,
  shared: Shared,
): { tracing: Tracing; stop: () => Promise<void> } {
  const { resultStatus, newMessage, queueDepth, log } = shared;
  const { protocol, samplingRate, serviceName } = settings;
  const resource = resourceOf(config, serviceName);
  const options = { samplingRate, userPort: config.userPort, hasBreaker: queueDepth !== undefined, resultStatus };
  if (protocol === "stdout")
    return {
      tracing: createTracing({ ...options, record: (span) => void process.stdout.write(spanLine(resource, span)) }),
      stop: () => Promise.resolve(),
    };
  const exporting = createSpanExport(newMessage, resource, sender(settings, "traces", shared), log);
  return { tracing: createTracing({ ...options, record: exporting.add }), stop: exporting.stop };
}

function resourceOf(config: QueueProxyConfig, serviceName: string): Attribute[] {
  return [
    ["service.name", serviceName],
    ["service.instance.id", config.pod],
    ["container.name", "queue-proxy"],
    ["k8s.namespace.name", config.namespace],
    ["k8s.pod.name", config.pod],
    ["kn.service.name", config.service],
    ["kn.configuration.name", config.configuration],
    ["kn.revision.name", config.revision],
  ];
}

function sender(
  { protocol, endpoint }: { protocol: string; endpoint: string },
  signal: Signal,
  { openGrpcStream }: Shared,
): SendBatch {
  return protocol === "grpc" ? sendOverGrpc(endpoint, signal, openGrpcStream) : sendOverHttp(endpoint, signal);
}
