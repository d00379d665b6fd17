/** Before a figure counts: the contender passes on what it is given, both ways. Throws with what it did instead. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { request as http1Request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import type { Target } from "./load/job.ts";
import { acceptOfHandshake, handshake, maskedMessage } from "./load/websocket-link.ts";
import { answerOf, host, pathOf, receivedOf, token, tokenHeader, type LoadScenario } from "./scenarios.ts";

const withinMs = 5000;

interface Answer {
  status: number;
  token: unknown;
  length: unknown;
  body: Buffer;
}

export async function checkCorrectness(target: Target, scenario: LoadScenario): Promise<void> {
  const { protocol, requestBytes, answerBytes } = scenario;
  if (protocol === "websocket") return await checkEcho(target);
  const ask = protocol === "h2c" ? overHttp2 : overHttp1;
  if (requestBytes === 0) {
    expect(await ask(target, "GET", pathOf(scenario)), answerOf(answerBytes));
    return;
  }
  const body = randomBytes(requestBytes);
  expect(await ask(target, "POST", pathOf(scenario), body), Buffer.from(receivedOf(requestBytes)));
  const digest = createHash("sha256").update(body).digest("hex");
  expect(await ask(target, "POST", "/digest", body), Buffer.from(digest));
}

function expect(answer: Answer, body: Buffer): void {
  const wrong =
    answer.status !== 200
      ? `status ${answer.status}, body ${JSON.stringify(answer.body.toString().slice(0, 200))}`
      : !answer.body.equals(body)
        ? `a body of ${answer.body.length} bytes that is not the app's ${body.length}`
        : answer.token !== token
          ? `${tokenHeader}: ${String(answer.token)} instead of ${token}`
          : answer.length !== String(body.length)
            ? `content-length ${String(answer.length)} for ${body.length} bytes`
            : undefined;
  if (wrong !== undefined) throw new Error(`wrong answer: ${wrong}`);
}

function overHttp1(target: Target, method: string, path: string, body?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { host, [tokenHeader]: token, ...(body === undefined ? {} : { "content-length": body.length }) };
    const signal = AbortSignal.timeout(withinMs);
    const request = http1Request({ ...target, method, path, headers, agent: false, signal }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          token: response.headers[tokenHeader],
          length: response.headers["content-length"],
          body: Buffer.concat(chunks),
        }),
      );
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function overHttp2(target: Target, method: string, path: string): Promise<Answer> {
  const session = connectHttp2(`http://${target.host}:${target.port}`);
  try {
    return await new Promise((resolve, reject) => {
      session.on("error", reject);
      const stream = session.request(
        { ":method": method, ":path": path, ":authority": host, [tokenHeader]: token },
        { signal: AbortSignal.timeout(withinMs) },
      );
      const answer: Answer = { status: 0, token: undefined, length: undefined, body: Buffer.alloc(0) };
      stream.on("response", (headers) => {
        answer.status = headers[":status"] ?? 0;
        answer.token = headers[tokenHeader];
        answer.length = headers["content-length"];
      });
      stream.on("data", (chunk: Buffer) => (answer.body = Buffer.concat([answer.body, chunk])));
      stream.on("error", reject);
      stream.on("end", () => resolve(answer));
    });
  } finally {
    session.destroy();
  }
}

/** The handshake's answer, and a message long enough for the two-byte length. */
async function checkEcho(target: Target): Promise<void> {
  const message = randomBytes(1000);
  const echo = Buffer.concat([Buffer.from([0x82, 126, message.length >> 8, message.length & 0xff]), message]);
  const socket = connect(target);
  const signal = AbortSignal.timeout(withinMs);
  try {
    await once(socket, "connect", { signal });
    socket.write(handshake);
    let got = Buffer.alloc(0);
    const until = async (enough: () => boolean): Promise<void> => {
      while (!enough()) {
        const [chunk] = (await once(socket, "data", { signal })) as [Buffer];
        got = Buffer.concat([got, chunk]);
      }
    };
    await until(() => got.includes("\r\n\r\n"));
    const head = got.subarray(0, got.indexOf("\r\n\r\n")).toString();
    if (!head.startsWith("HTTP/1.1 101 ") || !head.includes(acceptOfHandshake))
      throw new Error(`wrong answer to a WebSocket handshake: ${head.slice(0, 200)}`);
    got = got.subarray(head.length + 4);
    socket.write(maskedMessage(message));
    await until(() => got.length >= echo.length);
    if (!got.equals(echo)) throw new Error("a WebSocket message came back changed");
  } finally {
    socket.destroy();
  }
}
