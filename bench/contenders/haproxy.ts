/** HAProxy with one thread: forwarded headers and time limits set, upstream connections shared, the limit as maxconn. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { needs, Program, runs, type Contender, type Setting } from "./contender.ts";

const port = 8012;

export const haproxy: Contender = {
  name: "haproxy",
  about: "one thread, keep-alive to the app, X-Forwarded-For, time limits, maxconn with its queue",
  missing: needs("haproxy", "apt-get install haproxy"),
  takesPart: () => true,
  start: async (setting) => {
    const file = path.join(setting.folder, "haproxy.cfg");
    writeFileSync(file, configuration(setting));
    const command = ["haproxy", "-db", "-f", file];
    const program = new Program({ name: "haproxy", command, folder: setting.folder, core: setting.core });
    return await runs(program, { host: setting.address, port });
  },
};

function configuration({ address, app, containerConcurrency }: Setting): string {
  const h2 = app.protocol === "h2c" ? " proto h2" : "";
  const limit = containerConcurrency > 0 ? ` maxconn ${containerConcurrency}` : "";
  return `global
  nbthread 1
  maxconn 4000
defaults
  mode http
  option forwardfor
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout queue 300s
  timeout tunnel 300s
  timeout http-request 60s
frontend door
  bind ${address}:${port} backlog 1024${h2}
  http-request set-header X-Forwarded-Proto http
  default_backend app
backend app
  server app 127.0.0.1:${app.port}${h2}${limit}
`;
}
