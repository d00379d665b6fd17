/** Messages that are nearly right, for property tests: from a grammar with bad parts in it, and from the corpus by mutation. */
import * as fc from "fast-check";
import { chunkedBodies } from "./chunks.ts";
import { fieldLines } from "./field-lines.ts";
import { framings } from "./framings.ts";
import { hosts } from "./hosts.ts";
import { responses } from "./responses.ts";
import { startLines } from "./start-lines.ts";

/** The usual part forty times to one of the others: a message has a dozen parts, and most have to be good for a deep look. */
function mostly(usual: readonly string[], others: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof(
    { arbitrary: fc.constantFrom(...usual), weight: 40 },
    { arbitrary: fc.constantFrom(...others), weight: 1 },
  );
}

const eol = mostly(
  ["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n"],
  ["\n", "\r", "\r\r\n", "\n\r", "\r\n ", "\0\r\n"],
);
const sp = mostly([" ", " ", " ", " "], ["  ", "\t", "", "\x0b", "\xa0"]);
const ows = mostly([" ", ""], ["\t", " \t ", "\x0c", "\xa0", "\r\n ", "\0"]);
const method = mostly(
  ["GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE"],
  ["CONNECT", "PATCH", "M-SEARCH", "PRI", "SOURCE", "get", "head", "Head", "GE T", "", "BREW", "QUERY", "DESCRIBE"],
);
const target = mostly(
  ["/", "/a?b=c", "/%2F..//;x", "/a", "http://a/", "http://a"],
  [
    "*",
    "/\xc3\xa9",
    '/|{}^`"<>\\',
    "/#",
    "a",
    "a:80",
    "https://a:443/x",
    "http://b/",
    "http://u@a/",
    "",
    "//a",
    "/\t",
    "/\x7f",
    "/a b",
  ],
);
const version = mostly(
  ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"],
  ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.10", "", "ICE/1.0"],
);
const name = mostly(
  [
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "X-A",
    "X-B",
    "Upgrade",
    "Expect",
    "TE",
    "Trailer",
    "Keep-Alive",
  ],
  [
    "Host",
    "content-length",
    "TRANSFER-ENCODING",
    "Content_Length",
    "X A",
    "",
    "X\0",
    "Proxy-Connection",
    "X-Forwarded-For",
    "!#$%&'*+-.^_`|~",
  ],
);
const value = mostly(
  ["5", "0", "chunked", "close", "keep-alive", "a", "Upgrade", "100-continue", "x", ""],
  [
    "5, 5",
    "5,6",
    "05",
    "+5",
    "-0",
    "0x5",
    "5 5",
    "chunked, chunked",
    "gzip, chunked",
    "CHUNKED",
    "chunked;a",
    "close, x",
    "a\0",
    "\xff\x80",
    "a\tb",
    "\x7f",
    "9007199254740993",
    "keep-alive, close",
    "x-a",
    "close x",
    "websocket",
  ],
);
const colon = mostly([":", ":", ":", ":"], [" :", "", "=", "\t:", "::"]);
const field = fc.tuple(name, colon, ows, value, ows, eol).map((parts) => parts.join(""));
const fields = fc.array(field, { maxLength: 4 }).map((lines) => lines.join(""));

const size = mostly(
  ["5", "0", "1", "a", "0005"],
  ["", " 5", "5 ", "0x5", "-1", "ffffffff", "100000005", "ffffffffffffffff", "g", "80000000", "00000000000000005"],
);
const extension = mostly(
  ["", "", "", "", ";a=b"],
  [";", ";a", "; a", ';a="b\\""', ";a=", ";a\n", " ;a", ";a=b;c", ";=", ';a="\r\n"'],
);
const data = mostly(["hello", "x", "0123456789", ""], ["\r\n", "\0", "0\r\n\r\n", "\n"]);
const chunk = fc.tuple(size, extension, eol, data, eol).map((parts) => parts.join(""));
const rightChunk = fc
  .tuple(fc.constantFrom("hello", "x", "\r\n0\r\n\r\n", "0123456789abcdef"), extension)
  .map(([text, extension]) => `${text.length.toString(16)}${extension}\r\n${text}\r\n`);
const trailers = fc.oneof(
  { arbitrary: fc.constant(""), weight: 5 },
  { arbitrary: fields, weight: 1 },
  { arbitrary: fc.constant("X-Sum: 1\r\n"), weight: 1 },
);
const chunks = fc
  .tuple(
    fc.array(fc.oneof({ arbitrary: rightChunk, weight: 4 }, { arbitrary: chunk, weight: 1 }), { maxLength: 3 }),
    trailers,
    eol,
  )
  .map(([list, trailers, eol]) => `${list.join("")}0\r\n${trailers}${eol}`);
const body = fc.oneof(fc.constantFrom("", "hello", "x"), chunks);

const wellFramed = fc.oneof(
  fc.constantFrom(
    "Content-Length: 5\r\n\r\nhello",
    "Content-Length: 0\r\n\r\n",
    "\r\n",
    "Content-Length:\t007 \r\n\r\n0123456",
  ),
  chunks.map((body) => `Transfer-Encoding: chunked\r\n\r\n${body}`),
);
const requestStart = fc
  .tuple(
    mostly(["", "", "", ""], ["\r\n", "\n", "\r\n\r\n"]),
    method,
    sp,
    target,
    sp,
    version,
    eol,
    mostly(["Host: a\r\n"], ["", "Host: b\r\n", "Host:\r\n"]),
  )
  .map((parts) => parts.join(""));
const request = fc.oneof(
  fc.tuple(requestStart, fields, wellFramed).map((parts) => parts.join("")),
  fc.tuple(requestStart, fields, eol, body).map((parts) => parts.join("")),
);

const status = mostly(
  ["200", "404", "204", "304", "100", "103", "500"],
  ["101", "205", "999", "099", "20", "2000", "+20", "20x", ""],
);
const reason = mostly([" OK", " ", ""], [" \xe9\t", "\tOK", " O\0K", " OK\r", "-OK"]);
const responseStart = fc.tuple(version, sp, status, reason, eol).map((parts) => parts.join(""));
const response = fc.oneof(
  fc.tuple(responseStart, fields, wellFramed).map((parts) => parts.join("")),
  fc.tuple(responseStart, fields, eol, body).map((parts) => parts.join("")),
);

type Mutation = readonly [
  at: number,
  is: "insert" | "delete" | "replace" | "double" | "splice",
  text: string,
  length: number,
];
const nasty = fc.constantFrom(
  "\r",
  "\n",
  "\r\n",
  " ",
  "\t",
  "\0",
  ":",
  ",",
  ";",
  "\x0b",
  "\x7f",
  "\x80",
  "\xa0",
  "0",
  "5",
  '"',
  "\\",
  "a",
  "chunked",
  "\r\n\r\n",
  "\r\n ",
  "HTTP/1.1",
);
const mutation: fc.Arbitrary<Mutation> = fc.tuple(
  fc.nat(4000),
  fc.constantFrom("insert", "delete", "replace", "double", "splice"),
  nasty,
  fc.integer({ min: 1, max: 12 }),
);

function mutated(text: string, mutations: readonly Mutation[]): string {
  let out = text;
  for (const [place, is, inserted, length] of mutations) {
    const at = place % (out.length + 1);
    const from = (place * 7) % (out.length + 1);
    const added = {
      insert: inserted,
      delete: "",
      replace: inserted,
      double: out.slice(at, at + length).repeat(2),
      splice: out.slice(from, from + length),
    }[is];
    out = out.slice(0, at) + added + out.slice(is === "insert" || is === "splice" ? at : at + length);
  }
  return out;
}

const isShort = (octets: string): boolean => octets.length < 1200;
const requestSeeds = [startLines, hosts, fieldLines, framings, chunkedBodies]
  .flat()
  .map(([, octets]) => octets)
  .filter(isShort);
const responseSeeds = responses.map(([, , octets]) => octets).filter(isShort);

function nearly(grammar: fc.Arbitrary<string>, seeds: readonly string[]): fc.Arbitrary<string> {
  const seed = fc.constantFrom(...seeds);
  return fc.oneof(
    { arbitrary: grammar, weight: 4 },
    { arbitrary: fc.tuple(grammar, grammar).map(([one, other]) => one + other), weight: 2 },
    {
      arbitrary: fc
        .tuple(fc.oneof(grammar, seed), fc.array(mutation, { minLength: 1, maxLength: 2 }))
        .map(([text, list]) => mutated(text, list)),
      weight: 4,
    },
    { arbitrary: fc.tuple(seed, seed).map(([one, other]) => one + other), weight: 1 },
  );
}

export const cuts: fc.Arbitrary<number[]> = fc.array(fc.nat(4000), { maxLength: 4 });
export const requests: fc.Arbitrary<string> = nearly(request, requestSeeds);
export const responseOctets: fc.Arbitrary<string> = nearly(response, responseSeeds);
export const answeredRequests = fc.constantFrom(
  { method: "GET", upgrade: false },
  { method: "POST", upgrade: false },
  { method: "HEAD", upgrade: false },
  { method: "GET", upgrade: true },
  { method: "CONNECT", upgrade: false },
);
