import { test } from "tap";
import { Stat } from "../../proto/gen/upstream-stat.ts";
import type { MeshMode } from "./mesh-mode.ts";
import { parseMeshMode } from "./mesh-mode.ts";
import type { Answer, Question } from "./scrape-client.ts";
import { scrape, type Addressability, type ScrapeProblem } from "./scrape.ts";

const nowMs = 1_700_000_000_000;
const auto: MeshMode = { mode: "auto", passThrough: false };

const stat = (podName: string, fields: Partial<Stat> = {}): Answer => ({
  is: "stat",
  stat: { ...Stat.decode(Buffer.alloc(0)), podName, processUptime: 100, ...fields },
});
const exhausted = {
  reason: "CollectionFailed",
  message: "Failed to reconcile metric collection: pods exhausted",
};
const failed = (mayBeMesh: boolean): Answer => ({ is: "failed", mayBeMesh, because: "status" });

/** `pods` stand at 10.0.0.1 and on; what each question gets is the test's. */
async function look(
  count: number,
  answer: (question: Question, asked: number) => Answer,
  {
    mesh = auto,
    memory = { podsAddressable: true },
    resolve = async () => ["10.96.0.1"],
  }: { mesh?: MeshMode; memory?: Addressability; resolve?: () => Promise<string[]> } = {},
) {
  const questions: Question[] = [];
  const problems: ScrapeProblem[] = [];
  const pods = Array.from({ length: count }, (_, index) => ({
    name: `pod-${index + 1}`,
    ip: `10.0.0.${index + 1}`,
    startedMs: nowMs - 100_000,
  }));
  const scraped = await scrape(
    { pods, namespace: "default", service: "hello-00001-private", stableWindowMs: 60_000 },
    memory,
    {
      async ask(question) {
        questions.push(question);
        return answer(question, questions.length);
      },
      mesh: () => mesh,
      resolve,
      nowMs: () => nowMs,
      random: () => 0,
      onProblem: (problem) => void problems.push(problem),
    },
  );
  return { scraped, questions, problems, memory };
}
const byAddress = ({ host }: Question): string => `pod-${host.split(".").at(-1)}`;

test("all of three pods are asked at their addresses, and what activators count is left out", async (t) => {
  const { scraped, questions } = await look(3, (question) =>
    stat(byAddress(question), { averageConcurrentRequests: 4, averageProxiedConcurrentRequests: 1, requestCount: 2 }),
  );
  t.strictSame(scraped, { is: "load", load: { concurrency: 9, requests: 6 }, pods: 3, through: "pods" });
  t.strictSame(
    questions.map(({ host, port, name }) => `${name ?? ""} ${host}:${port}`).sort(),
    [1, 2, 3].map((last) => ` 10.0.0.${last}:9090`),
  );
});

test("nobody is asked of a revision without pods", async (t) => {
  t.strictSame((await look(0, () => failed(false))).scraped, { is: "nothing" });
});

test("a sample of many stands for all, and another pod is asked in place of one that fails", async (t) => {
  const { scraped, questions } = await look(20, (question, asked) =>
    asked === 1 ? failed(false) : stat(byAddress(question), { averageConcurrentRequests: 2 }),
  );
  t.match(scraped, { is: "load", load: { concurrency: 40 }, pods: 20 });
  t.equal(questions.length, 10, "nine answers");
});

test("with one pod too few the look is worth nothing, and the Service is not asked for it", async (t) => {
  const { scraped, questions } = await look(3, (question) =>
    question.host === "10.0.0.2" ? failed(true) : stat(byAddress(question)),
  );
  t.strictSame(scraped, { is: "failed", through: "pods", failure: exhausted });
  t.equal(questions.length, 3);
});

test("an answer in another pod's name, or of nonsense, counts as none", async (t) => {
  const { scraped, problems } = await look(2, (question) =>
    question.host === "10.0.0.1"
      ? stat("other-00001-pod", { averageConcurrentRequests: 100 })
      : stat("pod-2", { averageConcurrentRequests: Number.NaN }),
  );
  t.strictSame(scraped, { is: "failed", through: "pods", failure: exhausted });
  t.strictSame(problems.sort(), ["malformed", "stranger"]);
});

const viaService = (question: Question, asked: number): Answer =>
  question.host === "10.96.0.1" ? stat(`pod-${(asked % 2) + 1}`, { averageConcurrentRequests: 3 }) : failed(true);

test("when all pods answer as a mesh would, the Service is asked, and from then on only that", async (t) => {
  const { scraped, questions, memory } = await look(2, viaService);
  t.strictSame(scraped, { is: "load", load: { concurrency: 6, requests: 0 }, pods: 2, through: "service" });
  t.match(questions.at(-1), { name: "hello-00001-private.default", fresh: true, port: 9090 });
  const again = await look(2, viaService, { memory });
  t.ok(again.questions.every(({ host }) => host === "10.96.0.1"));
});

const modes: [string, MeshMode, "pods" | "service", boolean][] = [
  ["disabled", { mode: "disabled", passThrough: false }, "pods", false],
  ["enabled", { mode: "enabled", passThrough: false }, "service", true],
  ["auto with addressable pods", { mode: "auto", passThrough: true }, "pods", false],
];
for (const [name, mesh, through, service] of modes)
  test(`mesh ${name}: through ${through}`, async (t) => {
    const { scraped, questions } = await look(2, viaService, { mesh });
    t.equal(scraped.is === "nothing" ? "" : scraped.through, through);
    t.equal(
      questions.some(({ host }) => host === "10.96.0.1"),
      service,
    );
    if (mesh.passThrough) t.match(questions[0], { name: "hello-00001-private.default", passThrough: true });
  });

test("through the Service a pod that answers twice counts once, and ten tries are enough", async (t) => {
  const { scraped, questions, problems } = await look(2, () => stat("pod-1"), {
    mesh: { mode: "enabled", passThrough: false },
  });
  t.match(scraped, { is: "failed", through: "service", failure: { reason: "DidNotReceiveStat" } });
  t.ok(questions.length <= 20, `${questions.length} questions`);
  t.ok(problems.every((problem) => problem === "seen"));
});

test("what became of a look through the Service is told apart", async (t) => {
  const mesh = { mode: "enabled", passThrough: false } as const;
  const nowhere = await look(2, () => stat("pod-1"), {
    mesh,
    resolve: () => Promise.reject(new Error("no such name")),
  });
  t.match(nowhere.scraped, { is: "failed", failure: { reason: "NoEndpoints", message: "failed to get endpoints" } });
  const silent = await look(2, () => failed(false), { mesh });
  t.match(silent.scraped, { is: "failed", failure: { reason: "CollectionFailed", message: /sampleSize=2: / } });
});

test("through the Service young pods only fill the gaps", async (t) => {
  const names = ["pod-1", "pod-2", "pod-3", "pod-4"];
  let turn = 0;
  const { scraped } = await look(
    2,
    () => {
      const podName = names[turn++ % 2]!;
      return stat(podName, { processUptime: podName === "pod-1" ? 5 : 500, averageConcurrentRequests: 1 });
    },
    { mesh: { mode: "enabled", passThrough: false } },
  );
  t.match(scraped, { is: "load", load: { concurrency: 2 } });
});

test("config-network says how pods are reached", (t) => {
  t.strictSame(parseMeshMode(undefined), auto);
  t.strictSame(parseMeshMode({ "mesh-compatibility-mode": "Enabled" }), { mode: "enabled", passThrough: false });
  t.strictSame(parseMeshMode({ "mesh-compatibility-mode": "never", "enable-mesh-pod-addressability": "true" }), {
    mode: "auto",
    passThrough: true,
  });
  t.end();
});
