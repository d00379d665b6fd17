/**
 * WebSocket sessions of some seconds. A close frame that says "going away" (1001) or "come back" (1012) ends a session
 * as it should: what had no echo yet is sent in the next one. Any other end is a failure.
 */
import { Agent, WebSocket } from "undici";
import { closedLoop, deadlineMs, pause, type Client } from "./client.ts";

const messagesPerSession = 40;
const betweenMessagesMs = 100;
const maxSessions = 5;
const comeBack = new Set([1001, 1012]);

type End = { is: "done"; echoed: number } | { is: "sent away"; echoed: number };

export const webSocketClient: Client = async (options, stop) => {
  const { port, host, load, ledger, random } = options;
  // The name is the Host field; the address is the gateway's whatever the resolver says.
  const dispatcher = new Agent({
    connect: { lookup: (_name, _options, callback) => callback(null, [{ address: "127.0.0.1", family: 4 }]) },
  });
  await closedLoop(options, stop, async () => {
    let left = messagesPerSession;
    for (let sessions = 1; left > 0 && !stop.aborted; sessions += 1) {
      if (sessions > maxSessions) throw new Error(`sent away ${maxSessions} times`);
      const end = await session(`ws://${host}:${port}/`, dispatcher, left, random.next());
      left -= end.echoed;
      if (end.is === "sent away") ledger.of(load).sentAway += 1;
    }
  });
  await dispatcher.close();
};

function session(url: string, dispatcher: Agent, messages: number, token: number): Promise<End> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { dispatcher });
    let echoed = 0;
    let closing = false;
    let problem = "";
    const deadline = setTimeout(() => {
      reject(new Error(`not over after ${deadlineMs / 1000} s, ${echoed} echoes`));
      socket.close();
    }, deadlineMs);
    const wanted = (): string => `${token}-${echoed}`;
    socket.addEventListener("open", () => socket.send(wanted()));
    socket.addEventListener("message", ({ data }) => {
      if (data !== wanted()) {
        problem = "not what was sent";
        socket.close();
        return;
      }
      echoed += 1;
      void pause(betweenMessagesMs).then(() => {
        if (socket.readyState !== WebSocket.OPEN) return;
        if (echoed < messages) return socket.send(wanted());
        closing = true;
        return socket.close(1000);
      });
    });
    socket.addEventListener("error", (event) => {
      problem ||= (event as unknown as { message?: string; error?: Error }).error?.message ?? "the connection failed";
    });
    socket.addEventListener("close", ({ code }) => {
      clearTimeout(deadline);
      if (comeBack.has(code)) resolve({ is: "sent away", echoed });
      else if (closing && echoed === messages && problem === "") resolve({ is: "done", echoed });
      else reject(new Error(`closed with ${code} after ${echoed} of ${messages} echoes ${problem}`.trim()));
    });
  });
}
