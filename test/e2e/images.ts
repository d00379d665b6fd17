/** Images of apps that are wrong in one way each. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { command } from "./cluster.ts";

const root = path.resolve(import.meta.dirname, "../..");

const apps = {
  deaf: 'require("node:http").createServer((_, response) => response.end()).listen(0);',
  quitter: 'console.error("cannot find the thing");process.exit(3);',
};

/** Puts `dev.local/deaf` and `dev.local/quitter` into the store of the cluster at `data`. */
export async function addImages(data: string): Promise<void> {
  for (const [name, source] of Object.entries(apps)) {
    const folder = path.join(data, "apps", name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, "app.js"), source);
    const args = [
      "process/pinned.mjs",
      "local/image/main.ts",
      "add",
      name,
      folder,
      "--cmd",
      "node app.js",
      "--data",
      data,
    ];
    const { code, stderr } = await command(
      process.execPath,
      args.map((part, index) => (index === 0 ? path.join(root, part) : part)),
    );
    if (code !== 0) throw new Error(`image add ${name}: ${stderr}`);
  }
}
