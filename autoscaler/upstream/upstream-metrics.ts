/** What is exported of those who do not stream; durations under Knative's names (autoscaling 7.1, 7.2). */
import type { Registry } from "prom-client";
import type { Metric } from "../../api/autoscaling.ts";
import { label } from "../../api/keys.ts";
import { Histogram, legacyMsBounds, secondsBounds } from "../../process/histogram.ts";
import { counter, gauge, histogram, type Labels } from "../../process/metric-families.ts";
import type { ActivatorDoor } from "./activator-door.ts";
import type { Scraped, ScrapeProblem } from "./scrape.ts";

/** How long it took to ask the pods of one configuration. */
interface Durations {
  namespace: string;
  service: string;
  configuration: string;
  seconds: Histogram;
  ms: Histogram;
  /** Revisions that count here; the last one that goes takes the series with it. */
  revisions: Set<string>;
}

export class UpstreamMetrics {
  readonly #looks: Record<Scraped["is"], number> = { load: 0, nothing: 0, failed: 0 };
  readonly #problems = new Map<ScrapeProblem, number>();
  /** By namespace, Service and Configuration. */
  readonly #durations = new Map<string, Durations>();
  /** Revision → where it counts. */
  readonly #groups = new Map<string, string>();

  scraped(key: string, metric: Metric | undefined, { is }: Scraped, tookMs: number): void {
    this.#looks[is] += 1;
    if (is === "nothing" || metric === undefined) return;
    const { namespace = "", labels: of } = metric.metadata;
    const service = of?.[label.service] ?? "";
    const configuration = of?.[label.configuration] ?? "";
    const group = `${namespace}/${service}/${configuration}`;
    let durations = this.#durations.get(group);
    if (durations === undefined) {
      const seconds = new Histogram(secondsBounds);
      durations = {
        namespace,
        service,
        configuration,
        seconds,
        ms: new Histogram(legacyMsBounds),
        revisions: new Set(),
      };
      this.#durations.set(group, durations);
    }
    durations.revisions.add(key);
    this.#groups.set(key, group);
    durations.seconds.add(tookMs / 1000);
    durations.ms.add(tookMs);
  }

  problem(problem: ScrapeProblem): void {
    this.#problems.set(problem, (this.#problems.get(problem) ?? 0) + 1);
  }

  /** The revision is gone: series that no other counts under go with it. */
  forget(key: string): void {
    const group = this.#groups.get(key);
    if (group === undefined) return;
    this.#groups.delete(key);
    const revisions = this.#durations.get(group)?.revisions;
    revisions?.delete(key);
    if (revisions?.size === 0) this.#durations.delete(group);
  }

  register(register: Registry, scrapedRevisions: () => number, door: ActivatorDoor): void {
    const help = "Duration of asking the pods of a revision for their load";
    histogram(register, "kn_autoscaler_scrape_duration_seconds", help, () =>
      Array.from(this.#durations.values(), ({ namespace, service, configuration, seconds }) => [
        { k8s_namespace_name: namespace, kn_service_name: service, kn_configuration_name: configuration },
        seconds.values,
      ]),
    );
    histogram(register, "autoscaler_scrape_time", `${help}, in milliseconds`, () =>
      Array.from(this.#durations.values(), ({ namespace, service, configuration, ms }) => [
        { namespace_name: namespace, service_name: service, configuration_name: configuration },
        ms.values,
      ]),
    );
    gauge(
      register,
      "swell_autoscaler_scraped_revisions",
      "Revisions with pods that do not stream and are asked each second",
      () => [[{}, scrapedRevisions()]],
    );
    gauge(register, "swell_autoscaler_upstream_activators", "Open WebSockets of activators that do not stream", () => [
      [{}, door.connections],
    ]);
    const labelled = (name: string, entries: Iterable<[string, number]>): [Labels, number][] =>
      Array.from(entries, ([value, count]) => [{ [name]: value }, count]);
    counter(register, "swell_autoscaler_scrapes_total", "Looks at revisions by what became of them", () =>
      labelled("result", Object.entries(this.#looks)),
    );
    counter(register, "swell_autoscaler_scrape_problems_total", "Answers of pods that were of no use", () =>
      labelled("problem", this.#problems),
    );
    counter(
      register,
      "swell_autoscaler_upstream_messages_total",
      "Messages over WebSockets by what became of them",
      () => labelled("result", Object.entries(door.counts)),
    );
  }
}
