import { test } from "tap";
import { PodState } from "../proto/gen/stats.ts";
import { RevisionBackends, type HeardPod } from "./revision-backends.ts";

const pod = (address: string, state: PodState, gone = false): HeardPod => ({ address, pod: address, state, gone });
const ready = (address: string): HeardPod => pod(address, PodState.READY);

interface Step {
  name: string;
  kubelet?: boolean;
  steps: ((backends: RevisionBackends) => void)[];
  usable: string[];
  toProbe?: string[];
}

const cases: Step[] = [
  {
    name: "a pod that says READY is dialled before Endpoints know it",
    steps: [(b) => b.hear("s", [ready("a")], false)],
    usable: ["a"],
  },
  {
    name: "a pod with probes of the kubelet waits for Endpoints",
    kubelet: true,
    steps: [(b) => b.hear("s", [ready("a"), ready("b")], false), (b) => b.setEndpoints(["b"], ["a"])],
    usable: ["b"],
  },
  {
    name: "Endpoints are enough while no stream speaks",
    steps: [(b) => b.setEndpoints(["b", "a"], [])],
    usable: ["a", "b"],
  },
  {
    name: "a not-ready address that nobody vouched for is probed",
    steps: [(b) => b.setEndpoints(["a"], ["b"])],
    usable: ["a"],
    toProbe: ["b"],
  },
  {
    name: "a not-ready address that passed a probe is dialled",
    steps: [(b) => b.setEndpoints([], ["b"]), (b) => b.passed("b")],
    usable: ["b"],
  },
  {
    name: "a probe counts no more once a pod went from ready to not ready",
    steps: [
      (b) => b.setEndpoints([], ["b"]),
      (b) => b.passed("b"),
      (b) => b.setEndpoints(["b"], []),
      (b) => b.setEndpoints([], ["b"]),
    ],
    usable: [],
    toProbe: ["b"],
  },
  {
    name: "a pod that says STARTING is believed over Endpoints",
    steps: [(b) => b.setEndpoints(["a"], []), (b) => b.hear("s", [pod("a", PodState.STARTING)], false)],
    usable: [],
  },
  {
    name: "a draining pod gets nothing, though Endpoints are late",
    steps: [(b) => b.setEndpoints(["a", "b"], []), (b) => b.hear("s", [pod("a", PodState.DRAINING)], false)],
    usable: ["b"],
  },
  {
    name: "a draining pod stays unusable when the stream that said so ends",
    steps: [
      (b) => b.setEndpoints(["a"], []),
      (b) => b.hear("s", [pod("a", PodState.DRAINING)], false),
      (b) => b.forgetStream("s"),
    ],
    usable: [],
  },
  {
    name: "an address that Endpoints dropped is free for another pod",
    steps: [
      (b) => b.setEndpoints(["a"], []),
      (b) => b.hear("s", [pod("a", PodState.DRAINING)], false),
      (b) => b.hear("s", [pod("a", PodState.DRAINING, true)], false),
      (b) => b.setEndpoints([], []),
      (b) => b.setEndpoints(["a"], []),
    ],
    usable: ["a"],
  },
  {
    name: "a pod whose stream broke off is probed while Endpoints list it",
    steps: [
      (b) => b.setEndpoints(["a"], []),
      (b) => b.hear("s", [ready("a")], false),
      (b) => b.hear("s", [pod("a", PodState.READY, true)], false),
    ],
    usable: [],
    toProbe: ["a"],
  },
  {
    name: "a pod whose stream broke off is forgotten when Endpoints do not list it",
    steps: [(b) => b.hear("s", [ready("a")], false), (b) => b.hear("s", [pod("a", PodState.READY, true)], false)],
    usable: [],
  },
  {
    name: "pods that a complete list omits are left to Endpoints",
    steps: [
      (b) => b.hear("s", [ready("a"), ready("b")], true),
      (b) => b.setEndpoints(["b"], []),
      (b) => b.hear("s", [], true),
    ],
    usable: ["b"],
  },
  {
    name: "an autoscaler that knows nothing takes nothing from what another says",
    steps: [(b) => b.hear("s", [ready("a")], true), (b) => b.hear("other", [], true), (b) => b.forgetStream("other")],
    usable: ["a"],
  },
  {
    name: "without the stream Endpoints decide",
    steps: [
      (b) => b.hear("s", [ready("a"), ready("b")], true),
      (b) => b.setEndpoints(["a"], []),
      (b) => b.forgetStream("s"),
    ],
    usable: ["a"],
  },
  {
    name: "a pod that could not be dialled is probed first",
    steps: [(b) => b.hear("s", [ready("a"), ready("b")], true), (b) => b.suspect("a")],
    usable: ["b"],
    toProbe: ["a"],
  },
  {
    name: "a pod in doubt is trusted again after a probe",
    steps: [(b) => b.setEndpoints(["a"], []), (b) => b.suspect("a"), (b) => b.passed("a")],
    usable: ["a"],
  },
];
for (const { name, kubelet = false, steps, usable, toProbe = [] } of cases)
  test(name, (t) => {
    const backends = new RevisionBackends({ needsKubernetesReadiness: kubelet });
    for (const step of steps) step(backends);
    t.strictSame(backends.usable(), usable, "usable");
    t.strictSame(backends.toProbe(), toProbe, "to probe");
    t.end();
  });
