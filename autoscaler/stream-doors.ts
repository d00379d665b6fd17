/** What every stats stream has: a door that refuses, a deadline for its hello, and one end. */
import { status } from "@grpc/grpc-js";

/** Why a source was not let in, or was put out. */
export const streamRefusals = ["token", "malformed", "silent", "limit"] as const;
export type StreamRefusal = (typeof streamRefusals)[number];

export interface Door {
  readonly open: boolean;
  /** Who it is is known. */
  greeted(): void;
  /** Without a code: the other side has ended it. */
  end(code?: status, why?: string): void;
  refuse(reason: StreamRefusal, code: status, why: string): void;
}

export interface DoorsOptions {
  /** While this is false no stream is taken. */
  leading: () => boolean;
  maxStreams: number;
  helloMs: number;
}

export class Doors {
  readonly #options: DoorsOptions;
  readonly #open = new Set<Door>();
  readonly streams = { pods: 0, activators: 0 };
  readonly refused: Record<StreamRefusal, number> = { token: 0, malformed: 0, silent: 0, limit: 0 };

  constructor(options: DoorsOptions) {
    this.#options = options;
  }

  /** `finish` ends the call; `close` gives up what it has here. */
  accept(
    kind: "pods" | "activators",
    { finish, close }: { finish: (code?: status, why?: string) => void; close: () => void },
  ): Door {
    const { leading, maxStreams, helloMs } = this.#options;
    let open = true;
    let helloTimer: NodeJS.Timeout | undefined;
    const door: Door = {
      get open() {
        return open;
      },
      greeted() {
        clearTimeout(helloTimer);
        helloTimer = undefined;
      },
      end: (code, why) => {
        if (!open) return;
        open = false;
        door.greeted();
        this.#open.delete(door);
        this.streams[kind] -= 1;
        close();
        finish(code, why);
      },
      refuse: (reason, code, why) => {
        if (!open) return;
        this.refused[reason] += 1;
        door.end(code, why);
      },
    };
    helloTimer = setTimeout(() => door.refuse("silent", status.DEADLINE_EXCEEDED, "no hello"), helloMs).unref();
    this.streams[kind] += 1;
    this.#open.add(door);
    if (!leading()) door.end(status.UNAVAILABLE, "this autoscaler does not lead");
    else if (this.streams.pods + this.streams.activators > maxStreams)
      door.refuse("limit", status.RESOURCE_EXHAUSTED, "too many streams");
    return door;
  }

  endAll(code: status, why: string): void {
    for (const door of this.#open) door.end(code, why);
  }
}
