/** What a process with pods is asked for, and what it answers. */

export interface OpenPods {
  is: "open";
  host: string;
  port: number;
  /** Signs tokens. */
  key: Uint8Array;
  /** Pods `from` to before `to`. */
  from: number;
  to: number;
  podsPerRevision: number;
  /** Streams on one connection. */
  podsPerLink: number;
}

export type FleetJob =
  | OpenPods
  /** Every second a tenth of the pods changes. */
  | { is: "start" }
  | { is: "stop" }
  | { is: "count" }
  /** One pod has so many requests from now on. */
  | { is: "set"; pod: number; inFlight: number };

export interface FleetAnswer {
  /** Sent since `start`. */
  messages: number;
  /** How late they were: the generator did not get its core. */
  lateP99Ms: number;
  /** Of all ever sent. */
  unacknowledged: number;
  /** When this was done: nanoseconds of the monotonic clock. */
  atNs: bigint;
}
