/** Responses over HTTP/1.1 that no upstream has given. */
import { HeadWriter } from "../http1/head-writer.ts";
import { reasonPhrase } from "./builtins.ts";
import { dateLine } from "./http-date.ts";

/** The head. `connection`: empty for no such field. Throws TypeError on fields that cannot be sent. */
export function ownHead(status: number, fields: readonly string[], length: number, connection: string): string {
  const writer = HeadWriter.response(status, reasonPhrase(status)).list(fields).field("Content-Length", String(length));
  if (connection !== "") writer.field("Connection", connection);
  return `${writer.end().slice(0, -2)}${dateLine()}\r\n`;
}
