/** nginx with one worker: forwarded headers and time limits set, bodies streamed, upstream connections kept. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { nginxFrame, nginxTemporary } from "../app/nginx-app.ts";
import { needs, Program, runs, type Contender, type Setting } from "./contender.ts";

const port = 8012;

export const nginx: Contender = {
  name: "nginx",
  about: "one worker, keep-alive to the app, X-Forwarded-*, time limits",
  missing: needs("nginx", "apt-get install nginx-light"),
  // Its max_conns refuses instead of queueing.
  takesPart: ({ aboutLimit }) => !aboutLimit,
  start: async (setting) => {
    const file = path.join(setting.folder, "nginx.conf");
    writeFileSync(file, configuration(setting));
    const command = ["nginx", "-e", path.join(setting.folder, "error.log"), "-p", setting.folder, "-c", file];
    const program = new Program({ name: "nginx", command, folder: setting.folder, core: setting.core });
    return await runs(program, { host: setting.address, port }, "SIGTERM");
  },
};

function configuration({ folder, address, app }: Setting): string {
  const shared = `listen ${address}:${port}${app.protocol === "h2c" ? " http2" : ""} backlog=1024;`;
  // gRPC's module is the only one that speaks HTTP/2 to an app; it passes any request.
  const forward =
    app.protocol === "h2c"
      ? `grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      grpc_set_header X-Forwarded-Proto $scheme;
      grpc_set_header Host $http_host;
      grpc_read_timeout 300s;
      grpc_pass grpc://app;`
      : `proxy_http_version 1.1;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_read_timeout 300s;
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
      proxy_buffer_size 32k;
      proxy_buffers 16 32k;
      proxy_pass http://app;`;
  return `${nginxFrame(folder)}
http {
  ${nginxTemporary(folder)}
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_max_body_size 0;
  http2_max_concurrent_streams 250;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream app {
    server 127.0.0.1:${app.port};
    keepalive 512;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
  }
  server {
    ${shared}
    location / {
      ${forward}
    }
  }
}
`;
}
