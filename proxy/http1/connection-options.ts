/** What a message's Connection fields say (RFC 9110 7.6.1). */
import { isToken, listElements } from "./octets.ts";

export interface ConnectionOptions {
  readonly close: boolean;
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  /** The other options in lower case: names of fields that end at this hop. */
  readonly names: readonly string[];
}

const none: readonly string[] = [];
export const noOptions: ConnectionOptions = { close: false, keepAlive: false, upgrade: false, names: none };
const closeOnly: ConnectionOptions = { ...noOptions, close: true };
const keepAliveOnly: ConnectionOptions = { ...noOptions, keepAlive: true };
const upgradeOnly: ConnectionOptions = { ...noOptions, upgrade: true };

/** `value`: all Connection fields joined by commas. Undefined when an element is not a token. */
export function parseConnection(value: string): ConnectionOptions | undefined {
  switch (value) {
    case "keep-alive":
    case "Keep-Alive":
      return keepAliveOnly;
    case "close":
    case "Close":
      return closeOnly;
    case "Upgrade":
    case "upgrade":
      return upgradeOnly;
  }
  let close = false;
  let keepAlive = false;
  let upgrade = false;
  const names: string[] = [];
  for (const element of listElements(value)) {
    if (!isToken(element)) return undefined;
    const option = element.toLowerCase();
    if (option === "close") close = true;
    else if (option === "keep-alive") keepAlive = true;
    else if (option === "upgrade") upgrade = true;
    else names.push(option);
  }
  return { close, keepAlive, upgrade, names: names.length === 0 ? none : names };
}
