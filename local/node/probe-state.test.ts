import { test } from "tap";
import { afterProbe, initialProbeState, nextProbeInMs, probeSettings, type ProbeKind } from "./probe-state.ts";

const settings = probeSettings({ periodSeconds: 10, failureThreshold: 2, successThreshold: 1 });

/** Applies results seen at times; answers the verdict after each. */
function verdicts(kind: ProbeKind, seen: [success: boolean, atMs: number][], own = settings): string[] {
  let state = initialProbeState(kind, 0);
  return seen.map(([success, atMs]) => {
    ({ state } = afterProbe(state, success, kind, own, atMs));
    return state.verdict;
  });
}

test("verdicts", (t) => {
  const rows: { name: string; kind: ProbeKind; seen: [boolean, number][]; want: string[] }[] = [
    {
      name: "ready at the first success",
      kind: "readiness",
      seen: [
        [false, 10],
        [true, 30],
      ],
      want: ["failure", "success"],
    },
    {
      name: "a ready container stays so until the threshold",
      kind: "readiness",
      seen: [
        [true, 0],
        [false, 10_000],
        [false, 20_000],
        [true, 30_000],
      ],
      want: ["success", "success", "failure", "success"],
    },
    {
      name: "a failure after a success starts to count again",
      kind: "liveness",
      seen: [
        [false, 0],
        [true, 10_000],
        [false, 20_000],
        [false, 30_000],
      ],
      want: ["success", "success", "success", "failure"],
    },
    {
      name: "a startup probe asked often counts a failure once a period",
      kind: "startup",
      seen: [
        [false, 20],
        [false, 50],
        [false, 500],
        [false, 10_000],
        [false, 10_500],
        [false, 20_000],
      ],
      want: ["unknown", "unknown", "unknown", "unknown", "unknown", "failure"],
    },
  ];
  for (const { name, kind, seen, want } of rows) t.same(verdicts(kind, seen), want, name);
  t.same(
    verdicts(
      "readiness",
      [
        [true, 0],
        [false, 10],
        [true, 20],
        [true, 30],
      ],
      { ...settings, successThreshold: 2 },
    ),
    ["failure", "failure", "failure", "success"],
    "successes count only in a row",
  );
  t.end();
});

test("it asks often until the first success, then once a period", (t) => {
  const waits: number[] = [];
  let state = initialProbeState("readiness", 0);
  for (let index = 0; index < 25; index++) {
    ({ state } = afterProbe(state, false, "readiness", settings, index));
    waits.push(Math.round(nextProbeInMs("readiness", state, settings)));
  }
  t.same(waits.slice(0, 3), [10, 13, 16]);
  t.equal(waits.at(-1), 500);
  ({ state } = afterProbe(state, true, "readiness", settings, 20));
  t.equal(nextProbeInMs("readiness", state, settings), 10_000);
  t.equal(nextProbeInMs("liveness", initialProbeState("liveness", 0), settings), 10_000);
  t.end();
});

test("absent and zero fields have Kubernetes' defaults", (t) => {
  t.same(probeSettings({ periodSeconds: 0 }), {
    initialDelayMs: 0,
    periodMs: 10_000,
    timeoutMs: 1000,
    successThreshold: 1,
    failureThreshold: 3,
    firstRetryMs: 10,
  });
  t.end();
});
