/** One JSON document per line, as a watch sends them. */

/** An API object is at most a few MiB (etcd takes 1.5); more without a line end is not a watch. */
const maxLineBytes = 64 * 1024 * 1024;
const lineFeed = 0x0a;

/** Parses each line as soon as its last byte is there. Bytes after the last line feed are a document cut short. */
export async function* jsonLines<T>(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<T> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      parts.push(chunk.subarray(start, end));
      const line =
        parts.length === 1
          ? Buffer.from(parts[0]!.buffer, parts[0]!.byteOffset, parts[0]!.length)
          : Buffer.concat(parts);
      parts = [];
      bytes = 0;
      start = end + 1;
      if (line.length > 0) yield JSON.parse(line.toString("utf8")) as T;
    }
    if (start === chunk.length) continue;
    parts.push(chunk.subarray(start));
    bytes += chunk.length - start;
    if (bytes > maxLineBytes) throw new Error(`a line of the watch is longer than ${maxLineBytes} bytes`);
  }
}
