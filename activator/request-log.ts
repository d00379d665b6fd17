/**
 * The activator's request log (data-plane 1.12): one line on stdout per request of a revision, in the operator's form.
 * It follows the ConfigMap, so it can be turned on where a problem is without a restart.
 */
import type { ConfigMap } from "../api/core.ts";
import type { Informer } from "../kube/informer.ts";
import type { Logger } from "../process/logger.ts";
import type { Exchange, ExchangeEnd } from "../proxy/exchange.ts";
import { TemplateError } from "../proxy/go-template/value.ts";
import { defaultRequestLogTemplate } from "../proxy/request-log-template.ts";
import { createRequestLog } from "../proxy/request-log.ts";
import type { RevisionEntry } from "./revision-directory.ts";

export const observabilityConfigMap = "config-observability";

/** nginx's word for a client that did not wait; nothing is sent with it. */
const clientGone = 499;

export interface RequestLog {
  /** Writes a line at the end of the exchange, if requests are logged at its start. */
  observe(exchange: Exchange, entry: RevisionEntry): void;
}

/** `configMaps` holds {@link observabilityConfigMap} once it has synced. A template that is none keeps the last good one. */
export function requestLog(options: {
  configMaps: Informer<ConfigMap>;
  write: (line: string) => void;
  log: Logger;
}): RequestLog {
  let observe: ReturnType<typeof createRequestLog> | undefined;
  let template = "";
  options.configMaps.onChange(({ is, object }) => {
    if (object.metadata.name !== observabilityConfigMap) return;
    const wanted = is === "deleted" ? "" : templateOf(object.data ?? {});
    if (wanted === template) return;
    try {
      observe = wanted === "" ? undefined : createRequestLog(wanted, loggedStatus, options.write);
      template = wanted;
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      options.log.warn(
        { err: error, configMap: observabilityConfigMap, key: "logging.request-log-template" },
        "the request log template cannot be used, the last good one stays",
      );
    }
  });
  return {
    observe(exchange, { namespace, name, labels }) {
      if (observe === undefined) return;
      // The pod is not chosen yet, and may change: Knative leaves it empty, too.
      observe(exchange, { revision: name, namespace, ...labels, pod: "", podIp: "" });
    },
  };
}

/** "" when requests are not to be logged. */
function templateOf(data: Readonly<Record<string, string>>): string {
  // What Go's strconv.ParseBool takes for true.
  const enabled = /^(?:1|t|T|TRUE|true|True)$/.test(data["logging.enable-request-log"] ?? "");
  return enabled ? data["logging.request-log-template"] || defaultRequestLogTemplate : "";
}

function loggedStatus(exchange: Exchange, end: ExchangeEnd): number {
  if (end === "client-gone") return clientGone;
  return end === "completed" ? exchange.status : 502;
}
