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
import { spanLine, type NewMessage } from "./otlp.ts";
import { profilesListener } from "./profiles.ts";
import type { AppMetrics } from "./proxy-handler.ts";
import { createRequestLog } from "../proxy/request-log.ts";
import { createSpanExport, sendOverGrpc, sendOverHttp } from "./span-export.ts";
import { createTracing, type Attribute, type Tracing } from "./tracing.ts";
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
  const { requestLog, userMetrics, tracing } = config.observability;
  const { resultStatus } = shared;
  const metrics = userMetrics === undefined ? undefined : createUserMetrics(config, shared.queueDepth, resultStatus);
  const logged = requestLog === undefined ? undefined : requestLogger(requestLog.template, config, shared);
  const traces = tracing === undefined ? undefined : startTracing(config, tracing, shared);
  return {
    observers: [traces?.tracing.observe, metrics?.observe, logged].filter((observe) => observe !== undefined),
    observeProbe: requestLog?.probes === true ? logged : undefined,
    metrics: metrics?.app,
    metricsText: () => metrics?.text() ?? "",
    tracing: traces?.tracing,
    profiles: profilesListener(shared.signal),
    stop: () => traces?.stop() ?? Promise.resolve(),
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
  { resultStatus, openGrpcStream, newMessage, queueDepth, log }: Shared,
): { tracing: Tracing; stop: () => Promise<void> } {
  const { protocol, endpoint, samplingRate, serviceName } = settings;
  const resource: Attribute[] = [
    ["service.name", serviceName],
    ["service.instance.id", config.pod],
    ["container.name", "queue-proxy"],
    ["k8s.namespace.name", config.namespace],
    ["k8s.pod.name", config.pod],
    ["kn.service.name", config.service],
    ["kn.configuration.name", config.configuration],
    ["kn.revision.name", config.revision],
  ];
  const options = { samplingRate, userPort: config.userPort, hasBreaker: queueDepth !== undefined, resultStatus };
  if (protocol === "stdout")
    return {
      tracing: createTracing({ ...options, record: (span) => void process.stdout.write(spanLine(resource, span)) }),
      stop: () => Promise.resolve(),
    };
  const send = protocol === "grpc" ? sendOverGrpc(endpoint, openGrpcStream) : sendOverHttp(endpoint);
  const exporting = createSpanExport(newMessage, resource, send, log);
  return { tracing: createTracing({ ...options, record: exporting.add }), stop: exporting.stop };
}
