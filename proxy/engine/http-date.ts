let line = "";
let untilMs = 0;

/** `Date: …` with its CRLF, made once a second. */
export function dateLine(): string {
  const nowMs = Date.now();
  if (nowMs >= untilMs || nowMs < untilMs - 1000) {
    untilMs = nowMs - (nowMs % 1000) + 1000;
    line = `Date: ${new Date(nowMs).toUTCString()}\r\n`;
  }
  return line;
}
