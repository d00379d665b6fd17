/** The program `webhook`: defaults and validates what users send to the API server. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { kubeClientFromEnvironment } from "../../kube/config.ts";
import { envReader } from "../../process/env.ts";
import { listen, listenAddresses } from "../../process/listen.ts";
import type { Logger } from "../../process/logger.ts";
import { startAdminServer } from "../../process/metrics-server.ts";
import { createMetricPush } from "../../process/otlp/metric-push.ts";
import { processRegister, processResource } from "../../process/process-metrics.ts";
import { runProgram } from "../../process/run.ts";
import { watchConfig } from "../config/store.ts";
import { serviceNames, type Certificate } from "./certificate.ts";
import { sharedCertificate } from "./certificate-secret.ts";
import { parseConfig, type WebhookConfig } from "./config.ts";
import { podTrial } from "./dry-run.ts";
import { register } from "./registration.ts";
import { createWebhookServer } from "./server.ts";
import { WebhookMetrics } from "./webhook-metrics.ts";

/** Requests that the API server sent before it saw this pod leave the Service's endpoints. */
const drainMs = 2000;
const retryMs = 1000;

async function run(settings: WebhookConfig, log: Logger, stop: AbortSignal): Promise<void> {
  const { env, systemNamespace, serviceName, clusterDomain } = settings;
  const client = await kubeClientFromEnvironment(env, "swell-webhook");
  const source = {
    client,
    namespace: systemNamespace,
    names: serviceNames(serviceName, systemNamespace, clusterDomain),
    log,
    nowMs: () => Date.now(),
  };
  const [config, { certificate, againMs }] = await Promise.all([
    watchConfig({ client, namespace: systemNamespace, clusterDomain, log, signal: stop }),
    sharedCertificate(source),
  ]);
  const metrics = new WebhookMetrics();
  const webhook = await createWebhookServer({
    certificate,
    clusterDomain,
    config: () => config.current,
    tryPod: podTrial(client),
    metrics,
  });
  for (const address of listenAddresses(envReader(env), env, settings.port)) await listen(webhook.server, address);
  const resource = processResource("webhook", env);
  const exported = processRegister(resource);
  client.counts.register(exported);
  metrics.register(exported);
  const admin = await startAdminServer({ port: settings.metricsPort, env, log, register: exported });
  const push = createMetricPush({ register: exported, resource, env, log });
  const follow = (): void => push.follow(config.current.observability.metricsPush);
  config.onChange(follow);
  follow();
  log.info({ port: settings.port }, "webhook serving");

  // The API server calls only after it is told to, so it is told last.
  let current: Certificate = certificate;
  let waitMs = (await registered(current)) ? againMs : retryMs;
  while (!stop.aborted) {
    await sleep(waitMs, undefined, { signal: stop }).catch(() => {});
    if (stop.aborted) break;
    try {
      const shared = await sharedCertificate(source);
      if (shared.certificate.cert !== current.cert) webhook.useCertificate(shared.certificate);
      current = shared.certificate;
      waitMs = (await registered(current)) ? shared.againMs : retryMs;
    } catch (error) {
      log.warn({ err: error }, "cannot look after the certificate");
      waitMs = retryMs * 10;
    }
  }
  if (!stop.aborted) await once(stop, "abort");
  await sleep(drainMs);
  await Promise.all([webhook.close(), admin.close(), push.stop()]);
  await client.close();

  async function registered({ ca }: Certificate): Promise<boolean> {
    try {
      await register(client, { systemNamespace, ca });
      return true;
    } catch (error) {
      log.warn({ err: error }, "cannot register with the API server");
      return false;
    }
  }
}

await runProgram({ component: "webhook", parse: parseConfig, run });
