// Says what it was asked. The smallest container there is: it listens on PORT and ends on SIGTERM.
import { createServer } from "node:http";

const startedMs = Date.now();
let served = 0;

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  served += 1;

  const lines = [
    `Hello ${process.env.TARGET ?? "World"}!`,
    "",
    `${request.method} ${request.url} HTTP/${request.httpVersion}`,
  ];
  for (let i = 0; i < request.rawHeaders.length; i += 2)
    lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
  const body = Buffer.concat(chunks);
  if (body.length > 0) lines.push("", body.toString());
  const revision = process.env.K_REVISION ?? "no revision";
  lines.push("", `${revision}, request ${served}, up ${Date.now() - startedMs} ms`, "");

  response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
  response.end(lines.join("\n"));
});

server.listen(Number(process.env.PORT ?? 8080));

process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
