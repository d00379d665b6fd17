/** What `npm start` prints. */
import path from "node:path";
import type { Addresses } from "./progress.ts";

const width = 24;

export function stepLine(text: string, tookMs: number): string {
  return `  ${text.padEnd(width)} ${seconds(tookMs)}`;
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

/** `folder` is where the person is: paths below it are shown relative to it. */
export function readyText(addresses: Addresses, readyMs: number, folder: string): string {
  const { kubeconfig, gateway, alsoAt, api, domain, sample } = addresses;
  const rows = [
    ["gateway", [gateway, ...alsoAt].join("  ")],
    ["domain", domain],
    ["API", api],
    ["kubeconfig", shown(kubeconfig, folder)],
  ];
  const next = [
    `export KUBECONFIG=${kubeconfig}`,
    "kubectl get ksvc",
    ...(sample === undefined ? [] : [`hey -z 10s -c 50 -host ${sample.host} ${gateway}`]),
    'npm run image -- add NAME FOLDER --cmd "node app.js"',
  ];
  return [
    "",
    `Ready in ${seconds(readyMs)}`,
    "",
    ...rows.map(([name = "", value = ""]) => `  ${name.padEnd(12)}${value}`),
    ...(sample === undefined ? [] : ["", `  ${sample.curl}`]),
    "",
    "Next:",
    ...next.map((line) => `  ${line}`),
    "",
    "Ctrl-C stops it.",
  ].join("\n");
}

function shown(file: string, folder: string): string {
  const relative = path.relative(folder, file);
  return relative.startsWith("..") ? file : relative;
}
