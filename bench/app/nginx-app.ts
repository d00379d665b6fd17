/** nginx as the app: fixed answers over HTTP/1.1 and h2c, as cheap as an app can be. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { answerOf, loadScenarios, tokenHeader } from "../scenarios.ts";

/** Answers up to this size stand in the configuration; larger ones are files, sent with sendfile. */
const inlineBytes = 1024;

/** Writes what nginx needs into `folder`; the answer is the configuration's text. */
export function nginxApp(folder: string, ports: { http1: number; h2c: number }): string {
  const sizes = new Set(loadScenarios.map(({ answerBytes }) => answerBytes));
  mkdirSync(path.join(folder, "answer"), { recursive: true });
  const locations = [...sizes].map((bytes) => {
    const body = answerOf(bytes);
    if (bytes <= inlineBytes) return `location = /answer/${bytes} { return 200 "${body.toString()}"; }`;
    writeFileSync(path.join(folder, "answer", String(bytes)), body);
    return `location = /answer/${bytes} { root ${folder}; }`;
  });
  return `${nginxFrame(folder)}
http {
  ${nginxTemporary(folder)}
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=100;
  default_type text/plain;
  server {
    listen 127.0.0.1:${ports.http1} backlog=1024;
    listen 127.0.0.1:${ports.h2c} http2 backlog=1024;
    http2_max_concurrent_streams 250;
    add_header ${tokenHeader} $http_${tokenHeader.replaceAll("-", "_")};
    ${locations.join("\n    ")}
  }
}
`;
}

/** The settings that the app and the proxy share: one worker, everything it writes in `folder`. */
export function nginxFrame(folder: string): string {
  // Started by root its worker would be another user, who may not read our folder.
  const user = process.getuid?.() === 0 ? "user root;\n" : "";
  return `${user}daemon off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
worker_processes 1;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }`;
}

/** Directories of its modules' temporary files, which nginx makes at start even where nothing uses them. */
export function nginxTemporary(folder: string): string {
  return ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(" ");
}
