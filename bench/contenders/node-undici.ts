/** http.createServer + undici's dispatch, see node-undici-proxy.ts. Bundled, as ours is. */
import { build } from "esbuild";
import path from "node:path";
import { Program, runs, type Contender } from "./contender.ts";

const port = 8012;

/** `bundles`: the folder for its bundle. */
export async function nodeUndici(bundles: string): Promise<Contender> {
  const outfile = path.join(bundles, "node-undici-proxy.mjs");
  await build({
    entryPoints: [path.join(import.meta.dirname, "node-undici-proxy.ts")],
    outfile,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    logLevel: "error",
    banner: {
      js: 'import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);',
    },
  });
  return {
    name: "node-undici",
    about: "http.createServer and undici's dispatch, X-Forwarded-*, time limits",
    takesPart: ({ protocol }) => protocol !== "h2c",
    start: async ({ folder, address, app, containerConcurrency, core }) => {
      const args = [address, port, app.port, containerConcurrency].map(String);
      const command = [process.execPath, outfile, ...args];
      return await runs(new Program({ name: "node-undici", command, folder, core }), { host: address, port });
    },
  };
}
