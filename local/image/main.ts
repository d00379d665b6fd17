/** `npm run image -- add NAME DIR --cmd "node app.js" | list | rm NAME`: the images of the local cluster. */
import { Command, InvalidArgumentError } from "commander";
import { existsSync } from "node:fs";
import path from "node:path";
import { splitCommandLine } from "./command-line.ts";
import { ImageError, ImageStore, imageFolder } from "./store.ts";

const root = path.resolve(import.meta.dirname, "../..");
// npm changes to the project's folder; paths on the command line mean the folder that the person is in.
const callerFolder = process.env["INIT_CWD"] ?? process.cwd();

const collectEnv = (text: string, all: Record<string, string>): Record<string, string> => {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("want NAME=VALUE.");
  return { ...all, [text.slice(0, equals)]: text.slice(equals + 1) };
};

interface DataOption {
  data?: string;
}

const storeOf = ({ data }: DataOption): ImageStore =>
  new ImageStore(imageFolder(data === undefined ? path.join(root, ".swell") : path.resolve(callerFolder, data)));

const program = new Command("npm run image --")
  .description("The images of the local cluster: names for folders with an app in them.")
  .showHelpAfterError();

const dataFlag = ["--data <dir>", "the data folder of the local cluster (default: .swell in the project)"] as const;

program
  .command("add")
  .description("Add or replace the image dev.local/NAME; its pods run the command in DIR.")
  .argument("<name>", "NAME or NAME:TAG")
  .argument("<dir>", "the app's folder")
  .requiredOption("--cmd <command>", 'what to run there, for example "node app.js"')
  .option("--env <NAME=VALUE>", "a variable the image sets; repeat for more", collectEnv, {})
  .option(...dataFlag)
  .action((name: string, dir: string, options: DataOption & { cmd: string; env: Record<string, string> }) => {
    const directory = path.resolve(callerFolder, dir);
    const command = splitCommandLine(options.cmd);
    const entry = storeOf(options).add({ name, directory, command, env: options.env });
    console.log(`${entry.name.replace(/:latest$/, "")}  ${entry.digest}`);
    const script = entry.command[1];
    if (entry.command[0] === "node" && script?.startsWith("-") === false && !existsSync(path.join(directory, script)))
      console.error(`note: ${path.join(directory, script)} does not exist yet`);
  });

program
  .command("list")
  .description("List the images.")
  .option(...dataFlag)
  .action((options: DataOption) => {
    const entries = storeOf(options).list();
    if (entries.length === 0) return console.log("no images");
    const rows = entries.map((entry) => [
      entry.name.replace(/:latest$/, ""),
      entry.digest.slice(0, "sha256:".length + 12),
      entry.command.join(" "),
      entry.directory,
    ]);
    const table = [["NAME", "DIGEST", "COMMAND", "DIRECTORY"], ...rows];
    const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
    for (const row of table)
      console.log(
        row
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join("   ")
          .trimEnd(),
      );
  });

program
  .command("rm")
  .description("Remove an image; running pods stay.")
  .argument("<name>", "NAME or NAME:TAG")
  .option(...dataFlag)
  .action((name: string, options: DataOption) => {
    if (!storeOf(options).remove(name)) throw new ImageError(`there is no image ${JSON.stringify(name)}`);
    console.log(`removed ${name}`);
  });

try {
  program.parse();
} catch (error) {
  console.error(`error: ${(error as Error).message}`);
  process.exitCode = 1;
}
