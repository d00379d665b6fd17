/** Tar archives in memory (POSIX ustar): the same entries always give the same bytes. */

export type TarEntry =
  | { is: "folder"; path: string; mode?: number }
  | { is: "file"; path: string; content: Uint8Array; mode?: number }
  | { is: "link"; path: string; target: string };

const block = 512;

/** In the given order; owned by root, dated to the epoch. Throws on a path or link that does not fit. */
export function tar(entries: readonly TarEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    const content = entry.is === "file" ? entry.content : new Uint8Array();
    parts.push(header(entry, content.length), Buffer.from(content.buffer, content.byteOffset, content.length));
    const rest = content.length % block;
    if (rest > 0) parts.push(Buffer.alloc(block - rest));
  }
  parts.push(Buffer.alloc(2 * block));
  return Buffer.concat(parts);
}

function header(entry: TarEntry, bytes: number): Buffer {
  const head = Buffer.alloc(block);
  const text = (value: string, at: number, length: number): void => {
    if (Buffer.byteLength(value) > length) throw new Error(`too long for a tar archive: ${value}`);
    head.write(value, at);
  };
  const octal = (value: number, at: number, length: number): void =>
    text(value.toString(8).padStart(length - 1, "0"), at, length);
  const path = entry.is === "folder" ? `${entry.path.replace(/\/$/u, "")}/` : entry.path;
  const { prefix, name } = split(path);
  text(name, 0, 100);
  octal(entry.is === "link" ? 0o777 : (entry.mode ?? (entry.is === "folder" ? 0o755 : 0o644)), 100, 8);
  octal(0, 108, 8); // owner
  octal(0, 116, 8); // group
  octal(bytes, 124, 12);
  octal(0, 136, 12); // modification time
  head.fill(" ", 148, 156); // the checksum counts as spaces
  text({ file: "0", link: "2", folder: "5" }[entry.is], 156, 1);
  if (entry.is === "link") text(entry.target, 157, 100);
  text("ustar\u000000", 257, 8);
  text(prefix, 345, 155);
  const sum = head.reduce((total, byte) => total + byte, 0);
  text(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8);
  return head;
}

/** A path of more than 100 bytes is cut at a slash. */
function split(path: string): { prefix: string; name: string } {
  if (Buffer.byteLength(path) <= 100) return { prefix: "", name: path };
  const at = path.indexOf("/", path.length - 101);
  if (at < 0) throw new Error(`too long for a tar archive: ${path}`);
  return { prefix: path.slice(0, at), name: path.slice(at + 1) };
}

/** Reads what {@link tar} writes. Throws on anything else. */
export function untar(archive: Buffer): (TarEntry & { mode: number })[] {
  const entries: (TarEntry & { mode: number })[] = [];
  for (let at = 0; at + block <= archive.length;) {
    const head = archive.subarray(at, at + block);
    if (head.every((byte) => byte === 0)) break;
    const text = (from: number, length: number): string =>
      head
        .subarray(from, from + length)
        .toString("utf8")
        .replace(/\0.*$/su, "");
    const octal = (from: number, length: number): number => Number.parseInt(text(from, length).trim(), 8);
    const sum = head.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 32 : byte), 0);
    if (sum !== octal(148, 8)) throw new Error(`a tar header at ${at} has the wrong checksum`);
    const path = [text(345, 155), text(0, 100)].filter((part) => part !== "").join("/");
    const mode = octal(100, 8);
    const bytes = octal(124, 12);
    const type = text(156, 1);
    at += block;
    if (type === "5") entries.push({ is: "folder", path, mode });
    else if (type === "2") entries.push({ is: "link", path, mode, target: text(157, 100) });
    else if (type === "0") entries.push({ is: "file", path, mode, content: archive.subarray(at, at + bytes) });
    else throw new Error(`a tar entry ${path} of type ${type}`);
    at += Math.ceil(bytes / block) * block;
  }
  return entries;
}
