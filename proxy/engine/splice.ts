/** Two connections copied into each other, with back-pressure, until both directions have ended. */
import type { Duplex } from "node:stream";
import { goingAwayFrame, WebSocketFrames } from "./websocket-frames.ts";

export interface Splice {
  /** Breaks both off. */
  destroy(): void;
  /** A WebSocket's client gets a close frame at the next frame boundary; anything else an end after what was sent. */
  closePolitely(): void;
}

export interface SpliceEvents {
  onBytes: (fromUpstream: boolean, length: number) => void;
  /** Both sides are closed. */
  onEnd: () => void;
}

export function splice(
  client: { socket: Duplex; head: Buffer },
  upstream: { socket: Duplex; head: Buffer },
  websocket: boolean,
  events: SpliceEvents,
): Splice {
  const frames = websocket ? new WebSocketFrames() : undefined;
  let closing = false;
  let closeSent = false;
  let open = 2;

  const copy = (from: Duplex, to: Duplex, send: (chunk: Buffer) => boolean): void => {
    from.on("data", (chunk: Buffer) => {
      if (!send(chunk)) from.pause();
    });
    to.on("drain", () => from.resume());
    from.on("end", () => to.end());
    from.on("error", () => from.destroy());
    from.on("close", () => {
      open -= 1;
      if (open === 0) events.onEnd();
      // What was read is still written; then there is nobody left to talk to. A broken side breaks the other.
      else if (from.readableEnded) to.end(() => to.destroy());
      else to.destroy();
    });
    from.resume();
  };
  const toUpstream = (chunk: Buffer): boolean => {
    events.onBytes(false, chunk.length);
    return upstream.socket.destroyed || upstream.socket.write(chunk);
  };
  const toClient = (chunk: Buffer): boolean => {
    // After its close frame a WebSocket says nothing more (RFC 6455 5.5.1).
    if (closeSent) return true;
    events.onBytes(true, chunk.length);
    if (client.socket.destroyed) return true;
    if (frames === undefined) return client.socket.write(chunk);
    if (!closing) {
      frames.push(chunk);
      return client.socket.write(chunk);
    }
    const end = frames.endOfFrame(chunk);
    const flowing = client.socket.write(chunk.subarray(0, end));
    sendCloseFrame();
    return flowing;
  };
  const sendCloseFrame = (): void => {
    if (closeSent || frames === undefined || !frames.atBoundary) return;
    closeSent = true;
    client.socket.write(goingAwayFrame);
  };

  if (client.head.length > 0) toUpstream(client.head);
  if (upstream.head.length > 0) toClient(upstream.head);
  copy(client.socket, upstream.socket, toUpstream);
  copy(upstream.socket, client.socket, toClient);

  return {
    destroy() {
      client.socket.destroy();
      upstream.socket.destroy();
    },
    closePolitely() {
      if (closing) return;
      closing = true;
      // The client's own close frame then goes to the app, whose end of the connection ends ours.
      if (frames !== undefined) sendCloseFrame();
      else {
        client.socket.end();
        upstream.socket.end();
      }
    },
  };
}
