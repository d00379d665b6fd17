/**
 * Gauges with a series for each revision: at ten thousand revisions one read of all is 140,000 lines. What they show is
 * taken once for all gauges of a read, labels are put into text once, and between two gauges everything else has its
 * turn.
 */
import { Gauge, type MetricObjectWithValues, type MetricValue, type Registry } from "prom-client";
import type { ObjectMeta } from "../api/meta.ts";
import { label } from "../api/keys.ts";
import { splitKey } from "../api/meta.ts";
import type { DeciderStatus } from "./multi-scaler.ts";
import type { PodCounts } from "./pod-counts.ts";

const revisionLabels = ["k8s_namespace_name", "kn_service_name", "kn_configuration_name", "kn_revision_name"] as const;
type RevisionLabels = Readonly<Record<(typeof revisionLabels)[number], string>>;

/** What a series is made of. */
export interface RevisionRow {
  status: DeciderStatus;
  /** -1 or absent: not known. */
  requestedPods: number | undefined;
  pods: PodCounts;
}

export interface RevisionGaugesOptions {
  register: Registry;
  statuses: () => Iterable<DeciderStatus>;
  requestedPods: (key: string) => number | undefined;
  podCounts: (key: string) => PodCounts;
  /** Of the PodAutoscaler; the same object while they are the same. */
  labels: (key: string) => ObjectMeta["labels"];
}

export class RevisionGauges {
  readonly #options: RevisionGaugesOptions;
  /** As text, in prom-client: it knows label objects again, so each revision has one as long as its labels are the same. */
  readonly #labels = new WeakMap<object, RevisionLabels>();
  #rows: { labels: RevisionLabels; row: RevisionRow }[] | undefined;
  /** Gauges of the present read that were not read yet. */
  #waiting = 0;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: RevisionGaugesOptions) {
    this.#options = options;
  }

  /** Undefined leaves the series out. */
  add(name: string, help: string, value: (row: RevisionRow) => number | undefined): void {
    const read = (): Promise<MetricValue<string>[]> => this.#inTurn(() => this.#read(value));
    class RevisionGauge extends Gauge {
      override async get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
        return { ...(await super.get()), values: await read() };
      }
    }
    void new RevisionGauge({ name, help, labelNames: revisionLabels, registers: [this.#options.register] });
  }

  async #inTurn<T>(read: () => T): Promise<T> {
    this.#waiting += 1;
    const before = this.#turn;
    const mine = Promise.withResolvers<void>();
    this.#turn = mine.promise;
    try {
      await before;
      await new Promise((resolve) => setImmediate(resolve));
      return read();
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#rows = undefined;
      mine.resolve();
    }
  }

  #read(value: (row: RevisionRow) => number | undefined): MetricValue<string>[] {
    const values: MetricValue<string>[] = [];
    this.#rows ??= this.#take();
    for (const { labels, row } of this.#rows) {
      const now = value(row);
      if (now !== undefined) values.push({ labels: {}, sharedLabels: labels, value: now } as MetricValue<string>);
    }
    return values;
  }

  #take(): { labels: RevisionLabels; row: RevisionRow }[] {
    const { statuses, requestedPods, podCounts } = this.#options;
    return Array.from(statuses(), (status) => ({
      labels: this.#labelsOf(status.key),
      row: { status, requestedPods: requestedPods(status.key), pods: podCounts(status.key) },
    }));
  }

  #labelsOf(key: string): RevisionLabels {
    const labels = this.#options.labels(key);
    const known = labels === undefined ? undefined : this.#labels.get(labels);
    if (known !== undefined) return known;
    const { namespace, name } = splitKey(key);
    const made: RevisionLabels = {
      k8s_namespace_name: namespace,
      kn_service_name: labels?.[label.service] ?? "",
      kn_configuration_name: labels?.[label.configuration] ?? "",
      kn_revision_name: name,
    };
    if (labels !== undefined) this.#labels.set(labels, made);
    return made;
  }
}
