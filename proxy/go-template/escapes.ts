/** The escapes that Go's templates know by name. */

const htmlEscapes: Readonly<Record<string, string>> = {
  "<": "&lt;",
  ">": "&gt;",
  "&": "&amp;",
  "'": "&#39;",
  '"': "&#34;",
  "\0": "\uFFFD",
};

/** As Go's html.EscapeString with its own names. */
export function html(text: string): string {
  return text.replace(/[<>&'"\0]/g, (char) => htmlEscapes[char]!);
}

export function urlQuery(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, percent)
    .replaceAll("%20", "+");
}

function percent(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
}

/** One UTF-16 unit. */
const hex4 = (char: string): string => `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

/** For use inside a JavaScript string. */
export function javascript(text: string): string {
  return (
    text
      .replace(/[\\'"]/g, (char) => `\\${char}`)
      .replace(/[<>&=\p{Cc}]/gu, hex4)
      // What does not print: control, format, private and unassigned code points, and spaces other than the plain one.
      .replace(/[\p{C}\p{Z}]/gu, (char) => (char === " " ? char : char.replace(/[^]/g, hex4)))
  );
}
