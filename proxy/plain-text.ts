/** The fields of our own plain answers, as Go's http.Error writes them (data-plane 1.17). */
export const plainText = {
  "Content-Type": "text/plain; charset=utf-8",
  "X-Content-Type-Options": "nosniff",
} as const;

/** On every answer that is a proxy's and not the app's; the value is a code of docs/errors.md. */
export const errorHeader = "swell-error";
