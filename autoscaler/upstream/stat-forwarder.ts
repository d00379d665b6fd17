/**
 * Hands what an activator said on to the autoscaler that decides for the revision (autoscaling 6.1): over the same
 * WebSocket, once and no further. What cannot be handed on is dropped, and counted by the caller: a second later there
 * is news.
 */
import { WebSocket } from "ws";
import { BackOff } from "../../kube/back-off.ts";
import type { Logger } from "../../process/logger.ts";
import { WireStatMessages, type WireStatMessage } from "../../proto/gen/upstream-stat.ts";

export interface StatForwarderOptions {
  /** `namespace/revision` → the IP address of the autoscaler that decides for it, if that is another one. */
  ownerOf: (key: string) => string | undefined;
  port: number;
  log: Logger;
}

export interface StatForwarder {
  /** False: nobody takes it. */
  forward(message: WireStatMessage): boolean;
  close(): void;
}

/** Says that a message was handed on already. */
export const forwardedHeader = "swell-forwarded";

const handshakeMs = 1000;
const mostWaiting = 10_000;
const mostUnsentBytes = 4 * 1024 * 1024;
const idleMs = 60_000;

interface Link {
  socket: WebSocket;
  waiting: WireStatMessage[];
  scheduled: boolean;
  idle: NodeJS.Timeout;
}

export function createStatForwarder({ ownerOf, port, log }: StatForwarderOptions): StatForwarder {
  const links = new Map<string, Link>();
  const failures = new Map<string, { backOff: BackOff; untilMs: number }>();

  const flush = (link: Link): void => {
    link.scheduled = false;
    if (link.socket.readyState !== WebSocket.OPEN || link.waiting.length === 0) return;
    const messages = link.waiting;
    link.waiting = [];
    link.socket.send(WireStatMessages.encode({ messages }).finish(), { binary: true });
  };

  const open = (address: string): Link | undefined => {
    const failed = failures.get(address);
    if (failed !== undefined && performance.now() < failed.untilMs) return undefined;
    const socket = new WebSocket(`ws://${address.includes(":") ? `[${address}]` : address}:${port}`, {
      headers: { [forwardedHeader]: "1" },
      handshakeTimeout: handshakeMs,
      perMessageDeflate: false,
      maxPayload: 64 * 1024,
    });
    const idle = setTimeout(() => socket.terminate(), idleMs).unref();
    const link: Link = { socket, waiting: [], scheduled: false, idle };
    links.set(address, link);
    socket.on("open", () => {
      failures.delete(address);
      flush(link);
    });
    socket.on("error", (error) => log.debug({ err: error, autoscaler: address }, "stats cannot be handed on"));
    socket.on("close", () => {
      clearTimeout(idle);
      if (links.get(address) === link) links.delete(address);
      const backOff = failures.get(address)?.backOff ?? new BackOff({ firstMs: 100, maxMs: 5000 });
      failures.set(address, { backOff, untilMs: performance.now() + backOff.nextMs() });
    });
    return link;
  };

  return {
    forward(message) {
      const address = ownerOf(`${message.namespace}/${message.name}`);
      const link = address === undefined ? undefined : (links.get(address) ?? open(address));
      if (link === undefined || link.socket.readyState > WebSocket.OPEN) return false;
      if (link.waiting.length >= mostWaiting || link.socket.bufferedAmount > mostUnsentBytes) return false;
      link.waiting.push(message);
      link.idle.refresh();
      // What comes in one turn of the event loop is one frame.
      if (!link.scheduled) {
        link.scheduled = true;
        setImmediate(flush, link);
      }
      return true;
    },
    close() {
      for (const { socket } of links.values()) socket.terminate();
    },
  };
}
