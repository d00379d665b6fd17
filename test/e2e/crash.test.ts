/** The local cluster's process is killed in the middle of work: what it acknowledged is there when it comes back. */
import { test } from "tap";
import { Cluster, commandLine, has, isAlive, processTree } from "./cluster.ts";

if (!has("kubectl")) {
  test("crash", { skip: "kubectl is not on PATH" }, (t) => t.end());
} else {
  test("kill -9 of the cluster under a stream of applies loses nothing acknowledged", async (t) => {
    await using cluster = new Cluster();
    await cluster.start();
    await cluster.k("wait ksvc/hello --for=condition=Ready --timeout=30s");

    const acknowledged: string[] = [];
    const stop = new AbortController();
    const enough = Promise.withResolvers<void>();
    const apply = async (worker: number): Promise<void> => {
      for (let index = 0; !stop.signal.aborted; index++) {
        const name = `stream-${worker}-${index}`;
        const map = JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { name } });
        const { code } = await cluster.kubectl(["apply", "-f", "-"], map);
        if (code !== 0) return;
        if (acknowledged.push(name) === 12) enough.resolve();
      }
    };
    const workers = [apply(0), apply(1), apply(2)];
    await enough.promise;

    const pid = cluster.clusterPid();
    const before = processTree(pid);
    process.kill(pid, "SIGKILL");
    stop.abort();
    await Promise.all(workers);
    await cluster.ended();
    await cluster.start();

    const names = new Set((await cluster.k("get cm -o name")).trim().split("\n"));
    t.same(
      acknowledged.filter((name) => !names.has(`configmap/${name}`)),
      [],
      `all of ${acknowledged.length} are there`,
    );
    const left = [...before].filter(([child, started]) => isAlive(child, started));
    t.same(
      left.map(([child]) => commandLine(child)),
      [],
      "no process is left over from before",
    );
    t.equal((await cluster.request("hello.default.localhost")).status, 200, "the service answers again");
    const second = await cluster.startAgain();
    t.not(second.code, 0);
    t.match(second.stderr + second.stdout, /running/, "a second start on the same data says that one is running");
  });
}
