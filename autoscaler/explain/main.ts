/** `npm run explain -- NAMESPACE/SERVICE`: why a Service has the pods it has. */
import { Command } from "commander";
import { existsSync } from "node:fs";
import path from "node:path";
import { defaultSystemNamespace } from "../../api/keys.ts";
import { ApiError } from "../../kube/client.ts";
import { kubeClientFromEnvironment } from "../../kube/config.ts";
import { ConfigError } from "../../process/env.ts";
import { report, type Report } from "./report.ts";
import { decisionsOf, NothingToExplain, revisionsOf } from "./source.ts";

const root = path.resolve(import.meta.dirname, "../..");
const localKubeconfig = path.join(root, ".swell", "kubeconfig");

const program = new Command("npm run explain --")
  .description("The autoscaler's last decisions for a Service or Revision, in sentences.")
  .argument("<name>", "NAMESPACE/SERVICE, NAMESPACE/REVISION, or a name in the namespace default")
  .option("--kubeconfig <file>", "default: KUBECONFIG, else the local cluster's .swell/kubeconfig")
  .option("--system-namespace <name>", "where the autoscaler runs", defaultSystemNamespace)
  .option("--last <count>", "how many decisions of each revision", "10")
  .option("--json", "the records as they are")
  .showHelpAfterError()
  .parse();
const flags = program.opts<{ kubeconfig?: string; systemNamespace: string; last: string; json?: boolean }>();

function fail(message: string): never {
  process.stderr.write(`error: ${message}\n`);
  process.exit(1);
}

/** Of this machine's time zone. */
const clock = (ms: number): string => new Date(ms).toTimeString().slice(0, 8);

function kubeconfigFile(): string | undefined {
  if (flags.kubeconfig !== undefined) return path.resolve(process.env["INIT_CWD"] ?? process.cwd(), flags.kubeconfig);
  if ((process.env["KUBECONFIG"] ?? "") !== "") return process.env["KUBECONFIG"];
  return existsSync(localKubeconfig) ? localKubeconfig : undefined;
}

async function explain(): Promise<void> {
  const [name = "", namespace = "default", ...more] = program.args[0]!.split("/").toReversed();
  const last = Number(flags.last);
  if (name === "" || namespace === "" || more.length > 0) fail(`${program.args[0]}: want NAMESPACE/NAME`);
  if (!Number.isSafeInteger(last) || last < 1) fail(`--last ${flags.last}: want a whole number, 1 or more`);
  const file = kubeconfigFile();
  const env = file === undefined ? process.env : { ...process.env, KUBECONFIG: file };
  const client = await kubeClientFromEnvironment(env, "swell-explain");
  try {
    const { systemNamespace } = flags;
    const reports: Report[] = [];
    for (const revision of await revisionsOf(client, namespace, name)) {
      const records = await decisionsOf(client, { namespace, revision, systemNamespace });
      reports.push({ namespace, revision, records: records?.slice(-last) });
    }
    console.log(
      flags.json === true
        ? JSON.stringify(reports, undefined, 2)
        : reports.map((one) => report(one, clock)).join("\n\n"),
    );
  } finally {
    await client.close();
  }
}

try {
  await explain();
} catch (error) {
  if (error instanceof ConfigError) fail(error.problems.join("\n       "));
  if (error instanceof NothingToExplain) fail(error.message);
  if (error instanceof ApiError) fail(`the API server says: ${error.message}`);
  fail(
    `cannot reach the API server: ${(error as Error).message}${error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : ""}`,
  );
}
