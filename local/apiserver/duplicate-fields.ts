/** Members that a JSON text gives twice, which a parser does not tell of. */

/** Paths such as `spec.containers[0].name`, in order, each once. `text` is valid JSON. */
export function duplicateFields(text: string): string[] {
  const found = new Set<string>();
  let at = 0;

  const skipSpace = (): void => {
    while (at < text.length && text.charCodeAt(at) <= 0x20) at++;
  };
  const readString = (): string => {
    const start = at++;
    while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
    at++;
    return text.slice(start, at);
  };
  function readObject(path: string): void {
    const names = new Set<string>();
    at++;
    for (skipSpace(); text[at] !== "}"; skipSpace()) {
      if (text[at] === ",") {
        at++;
        continue;
      }
      const name = JSON.parse(readString()) as string;
      const inner = path === "" ? name : `${path}.${name}`;
      if (names.has(name)) found.add(inner);
      names.add(name);
      skipSpace();
      at++; // the colon
      readValue(inner);
    }
    at++;
  }
  function readArray(path: string): void {
    at++;
    let index = 0;
    for (skipSpace(); text[at] !== "]"; skipSpace()) {
      if (text[at] === ",") at++;
      else readValue(`${path}[${index++}]`);
    }
    at++;
  }
  function readValue(path: string): void {
    skipSpace();
    const first = text[at];
    if (first === "{") readObject(path);
    else if (first === "[") readArray(path);
    else if (first === '"') readString();
    else while (at < text.length && !",]}".includes(text[at]!)) at++;
  }
  readValue("");
  return [...found];
}
