/**
 * Who of the other autoscalers lives. A connection to each is kept: a process that is killed closes it at that moment,
 * and its port then refuses. That is certain, and seconds before its lease has expired; silence is not, and only the
 * lease speaks for a peer that hangs or is cut off.
 */
import { connect, type Socket } from "node:net";
import { BackOff } from "../../kube/back-off.ts";

type Peer = {
  socket: Socket;
  backOff: BackOff;
  retry: NodeJS.Timeout | undefined;
  /** `refused`: it answered once, and nobody listens any more. */
  state: "unknown" | "alive" | "refused";
};

const connectTimeoutMs = 2000;

export class Peers {
  readonly #port: number;
  readonly #localAddress: string | undefined;
  readonly #peers = new Map<string, Peer>();
  readonly #listeners = new Set<() => void>();

  constructor(options: { port: number; localAddress: string | undefined }) {
    this.#port = options.port;
    this.#localAddress = options.localAddress;
  }

  /** Watches exactly these addresses from now on. */
  watch(addresses: Iterable<string>): void {
    const wanted = new Set(addresses);
    for (const [address, peer] of this.#peers) if (!wanted.has(address)) this.#drop(address, peer);
    for (const address of wanted) if (!this.#peers.has(address)) this.#add(address);
  }

  isDead(address: string): boolean {
    return this.#peers.get(address)?.state === "refused";
  }

  isAlive(address: string): boolean {
    return this.#peers.get(address)?.state === "alive";
  }

  /** Calls back when somebody was reached, died or came back. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    for (const [address, peer] of this.#peers) this.#drop(address, peer);
  }

  #add(address: string): void {
    const peer: Peer = {
      socket: this.#dial(address),
      backOff: new BackOff({ firstMs: 100, maxMs: 1000 }),
      retry: undefined,
      state: "unknown",
    };
    this.#peers.set(address, peer);
  }

  #dial(address: string): Socket {
    const socket = connect({
      host: address,
      port: this.#port,
      noDelay: true,
      timeout: connectTimeoutMs,
      ...(this.#localAddress === undefined ? {} : { localAddress: this.#localAddress }),
    });
    let refused = false;
    socket.once("timeout", () => {
      if (socket.connecting) socket.destroy();
    });
    socket.once("connect", () => {
      socket.setTimeout(0);
      socket.setKeepAlive(true, 10_000);
      this.#set(address, socket, "alive");
    });
    // What it says is of no interest: that it is there is.
    socket.resume();
    socket.on("error", (error: NodeJS.ErrnoException) => {
      refused = error.code === "ECONNREFUSED";
    });
    socket.once("close", () => this.#closed(address, socket, refused));
    return socket;
  }

  #closed(address: string, socket: Socket, refused: boolean): void {
    const peer = this.#peers.get(address);
    if (peer?.socket !== socket) return;
    // An address that never answered may be behind a filter that refuses.
    if (refused && peer.state === "alive") this.#set(address, socket, "refused");
    const wasOpen = !refused && peer.state === "alive" && peer.backOff.failures === 0;
    const again = (): void => {
      peer.retry = undefined;
      peer.socket = this.#dial(address);
    };
    if (wasOpen) {
      // It has just gone: whether it died is found out now.
      peer.backOff.nextMs();
      again();
    } else peer.retry = setTimeout(again, peer.backOff.nextMs());
  }

  #set(address: string, socket: Socket, state: Peer["state"]): void {
    const peer = this.#peers.get(address);
    if (peer?.socket !== socket) return;
    if (state === "alive") peer.backOff.reset();
    const changed = peer.state !== state;
    peer.state = state;
    if (changed) for (const listener of this.#listeners) listener();
  }

  #drop(address: string, peer: Peer): void {
    this.#peers.delete(address);
    clearTimeout(peer.retry);
    peer.socket.destroy();
  }
}
