/** `kubectl exec` and `attach`: the streams of a command over a WebSocket (v4 and v5) or SPDY (v4). */
import { once } from "node:events";
import { PassThrough, type Readable, type Writable } from "node:stream";
import type { SpdyConnection, SpdyStream } from "./spdy.ts";
import type { WebSocketPeer } from "./websocket.ts";

/** A command in a container, or what one of its processes says. */
export interface RunningCommand {
  stdin: Writable | undefined;
  stdout: Readable;
  stderr: Readable | undefined;
  /** Exit code, when it ended and its output was closed. Rejects where it could not be started. */
  exited: Promise<number>;
  kill: () => void;
}

export interface CommandOptions {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  /** Output is one stream then. */
  tty: boolean;
}

/** The client's end of it. */
export interface CommandStreams {
  stdin: Readable | undefined;
  /** Each resolves when more may be sent. */
  stdout: (bytes: Buffer) => Promise<void>;
  stderr: (bytes: Buffer) => Promise<void>;
  /** Says how it went and closes. */
  finish: (status: object) => Promise<void>;
  /** Aborts when the client is gone. */
  gone: AbortSignal;
}

export const commandProtocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"] as const;
export const spdyCommandProtocol = "v4.channel.k8s.io";

/** How long the client's streams may take to be opened, and to be closed in the end. */
const openMs = 30_000;
const closeMs = 5_000;

/** Carries everything between the two until the command ended or the client is gone. Never rejects. */
export async function serveCommand(command: RunningCommand, streams: CommandStreams): Promise<void> {
  const { stdin, gone } = streams;
  const leave = (): void => command.kill();
  if (gone.aborted) leave();
  gone.addEventListener("abort", leave, { once: true });
  command.stdin?.on("error", () => {}); // it does not read any more
  if (stdin !== undefined && command.stdin !== undefined) stdin.pipe(command.stdin);
  try {
    const [code] = await Promise.all([
      command.exited,
      carry(command.stdout, streams.stdout),
      command.stderr && carry(command.stderr, streams.stderr),
    ]);
    await streams.finish(code === 0 ? success : exitStatus(code));
  } catch (error) {
    await streams.finish(failure((error as Error).message));
  } finally {
    gone.removeEventListener("abort", leave);
  }
}

async function carry(from: Readable, send: (bytes: Buffer) => Promise<void>): Promise<void> {
  for await (const chunk of from as AsyncIterable<Buffer>) await send(chunk);
}

const success = { metadata: {}, status: "Success" };
const exitStatus = (code: number): object => ({
  metadata: {},
  status: "Failure",
  message: `command terminated with non-zero exit code: exit status ${code}`,
  reason: "NonZeroExitCode",
  details: { causes: [{ reason: "ExitCode", message: String(code) }] },
});
const failure = (why: string): object => {
  const message = `error executing command in container: ${why}`;
  return {
    metadata: {},
    status: "Failure",
    message: `Internal error occurred: ${message}`,
    reason: "InternalError",
    details: { causes: [{ message }] },
    code: 500,
  };
};

const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

export function webSocketCommand(peer: WebSocketPeer, options: CommandOptions): CommandStreams {
  const gone = new AbortController();
  const stdin = options.stdin ? new PassThrough() : undefined;
  const send = (channel: number, bytes: Buffer): Promise<void> =>
    peer.send(Buffer.concat([Buffer.from([channel]), bytes]));

  async function read(): Promise<void> {
    for await (const message of peer.messages) {
      const [channel, first] = message;
      if (channel === channels.close && first === channels.stdin) stdin?.end();
      if (channel !== channels.stdin || stdin === undefined || !stdin.writable) continue;
      if (!stdin.write(message.subarray(1))) await Promise.race([once(stdin, "drain"), once(gone.signal, "abort")]);
    }
  }
  void read()
    .catch(() => peer.close(1002))
    .finally(() => {
      stdin?.end();
      gone.abort();
    });
  // A client may wait for a sign that the channels are open.
  void send(options.stdout ? channels.stdout : channels.error, Buffer.alloc(0));
  return {
    stdin,
    stdout: (bytes) => send(channels.stdout, bytes),
    stderr: (bytes) => send(channels.stderr, bytes),
    async finish(status) {
      await send(channels.error, Buffer.from(JSON.stringify(status)));
      peer.close();
    },
    gone: gone.signal,
  };
}

/** Collects streams as the client opens them; `streams` resolves when all that the options call for are there. */
export function spdyCommand(options: CommandOptions): {
  onStream: (stream: SpdyStream) => void;
  streams: (connection: SpdyConnection) => Promise<CommandStreams>;
} {
  const wanted = [
    "error",
    ...(options.stdin ? ["stdin"] : []),
    ...(options.stdout ? ["stdout"] : []),
    ...(options.stderr && !options.tty ? ["stderr"] : []),
    ...(options.tty ? ["resize"] : []),
  ];
  const found = new Map<string, SpdyStream>();
  const all = Promise.withResolvers<void>();
  return {
    onStream(stream) {
      const type = stream.headers["streamtype"] ?? "";
      if (found.has(type) || !wanted.includes(type)) {
        stream.destroy();
        return;
      }
      found.set(type, stream);
      if (type !== "stdin") stream.resume(); // nothing of interest comes
      if (found.size === wanted.length) all.resolve();
    },
    async streams(connection) {
      const late = setTimeout(() => all.reject(new Error("the streams were not opened in time")), openMs);
      const over = connection.closed.then(() => all.reject(new Error("the client is gone")));
      try {
        await all.promise;
      } finally {
        clearTimeout(late);
      }
      const gone = new AbortController();
      void over.then(() => gone.abort());
      const write = async (type: string, bytes: Buffer): Promise<void> => {
        const stream = found.get(type);
        if (stream === undefined || !stream.writable) return;
        if (!stream.write(bytes)) await Promise.race([once(stream, "drain"), once(stream, "close")]);
      };
      return {
        stdin: found.get("stdin"),
        stdout: (bytes) => write("stdout", bytes),
        stderr: (bytes) => write("stderr", bytes),
        async finish(status) {
          await write("error", Buffer.from(JSON.stringify(status)));
          for (const stream of found.values()) stream.end();
          // The client closes when it has read everything.
          const late = setTimeout(connection.end, closeMs);
          await connection.closed;
          clearTimeout(late);
        },
        gone: gone.signal,
      };
    },
  };
}
