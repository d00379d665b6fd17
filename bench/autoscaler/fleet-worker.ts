/** A process full of pods: one job at a time, over the channel of its parent. */
import { setTimeout as pause } from "node:timers/promises";
import { statsToken } from "../../autoscaler/stats-credentials.ts";
import { quantile } from "../report.ts";
import type { FleetAnswer, FleetJob, OpenPods } from "./fleet-job.ts";
import { PodLink } from "./pod-link.ts";
import { namespace, podName, restingRequests, revisionName } from "./population.ts";

/** Changes of a second are spread over it. */
const slots = 100;
const slotMs = 1000 / slots;
const turns = 10;
/** Connections that are being made at once. */
const opening = 64;
const servingPort = 8012;

let links: { link: PodLink; from: number }[] = [];
let first = 0;
let perLink = 1;
/** Pods that do as they were told, and change no more. */
const fixed = new Set<number>();
let failure: string | undefined;
let running: { stopped: boolean; messages: number; lateMs: number[] } | undefined;

async function open(job: OpenPods): Promise<void> {
  const key = Buffer.from(job.key);
  first = job.from;
  perLink = job.podsPerLink;
  const tokens = new Map<string, string>();
  const hello = (pod: number) => {
    const revision = revisionName(Math.floor(pod / job.podsPerRevision));
    let token = tokens.get(revision);
    if (token === undefined) tokens.set(revision, (token = statsToken(key, `pod/${namespace}/${revision}`)));
    return { namespace, revision, pod: podName(pod), token, servingPort, epoch: 1 };
  };
  const starts = Array.from(
    { length: Math.ceil((job.to - job.from) / perLink) },
    (_, link) => job.from + link * perLink,
  );
  const queue = starts.values();
  const lane = async (): Promise<void> => {
    for (const from of queue) {
      const pods = Array.from({ length: Math.min(perLink, job.to - from) }, (_, at) => from + at);
      const number = Math.floor(from / perLink);
      await new Promise<void>((resolve, reject) => {
        const link = new PodLink(
          // Each connection has an address of its own, as each pod has.
          { host: job.host, port: job.port, localAddress: `127.97.${(number >> 8) & 255}.${number & 255}` },
          pods.map((pod) => ({ hello: hello(pod), inFlight: restingRequests + (pod % 2) })),
          {
            onOpened: resolve,
            onFailed: (why) => {
              failure ??= why;
              reject(new Error(why));
            },
          },
        );
        links.push({ link, from });
      });
    }
  };
  await Promise.all(Array.from({ length: opening }, lane));
  links = links.toSorted((a, b) => a.from - b.from);
}

const at = (pod: number): [PodLink, number] => {
  const { link, from } = links[Math.floor((pod - first) / perLink)]!;
  return [link, pod - from];
};

function start(pods: readonly number[][][]): void {
  const state = { messages: 0, lateMs: [] as number[], stopped: false };
  running = state;
  const startMs = performance.now();
  let slot = 0;
  void (async () => {
    while (!state.stopped) {
      const dueMs = startMs + slot * slotMs;
      const nowMs = performance.now();
      if (dueMs > nowMs) {
        await pause(dueMs - nowMs);
        continue;
      }
      const due = pods[Math.floor(slot / slots) % turns]![slot % slots]!;
      for (const pod of due) {
        if (fixed.has(pod)) continue;
        const [link, index] = at(pod);
        link.set(index, 2 * restingRequests + 1 - link.inFlight(index));
        state.messages += 1;
        state.lateMs.push(performance.now() - dueMs);
      }
      slot += 1;
    }
  })();
}

/** Turn → slot → pods: everyone's turn comes once in ten seconds, at the same place of its second. */
function timetable({ from, to, podsPerRevision }: OpenPods): number[][][] {
  const table = Array.from({ length: turns }, () => Array.from({ length: slots }, (): number[] => []));
  for (let pod = from; pod < to; pod++)
    table[pod % turns]![(Math.floor(pod / podsPerRevision) * 37) % slots]!.push(pod);
  return table;
}

let table: number[][][] = [];

async function run(job: FleetJob): Promise<FleetAnswer> {
  if (failure !== undefined) throw new Error(`a pod's stream failed: ${failure}`);
  let atNs = process.hrtime.bigint();
  switch (job.is) {
    case "open":
      await open(job);
      table = timetable(job);
      break;
    case "start":
      start(table);
      break;
    case "stop":
      if (running !== undefined) running.stopped = true;
      break;
    case "count":
      break;
    case "set": {
      fixed.add(job.pod);
      const [link, index] = at(job.pod);
      atNs = process.hrtime.bigint();
      link.set(index, job.inFlight);
      break;
    }
  }
  return {
    messages: running?.messages ?? 0,
    lateP99Ms: quantile(running?.lateMs ?? [], 0.99),
    unacknowledged: job.is === "stop" ? links.reduce((sum, { link }) => sum + link.unacknowledged, 0) : 0,
    atNs,
  };
}

process.on("message", ({ id, job }: { id: number; job: FleetJob }) => {
  run(job).then(
    (answer) => process.send!({ id, answer }),
    (error: unknown) => process.send!({ id, error: (error as Error).message }),
  );
});
process.on("disconnect", () => process.exit(0));
