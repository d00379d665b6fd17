/** Node with one listener and nothing else: what any program in Node starts from. For start and memory only. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { Program, runs, type Contender } from "./contender.ts";

const port = 8012;

export const bareNode: Contender = {
  name: "bare node",
  about: "one listener on node:net, nothing else",
  takesPart: () => false,
  start: async ({ folder, address, core }) => {
    const file = path.join(folder, "listener.mjs");
    writeFileSync(file, `import { createServer } from "node:net";\ncreateServer().listen(${port}, "${address}");\n`);
    const program = new Program({ name: "bare-node", command: [process.execPath, file], folder, core });
    return await runs(program, { host: address, port });
  },
};
