import { test } from "tap";
import { parseTemplate } from "./template.ts";
import { Int, TemplateError, type TemplateObject } from "./value.ts";

// What Go's text/template makes of each, as `kubectl --output go-template=…` prints it.
const rows: [string, string][] = [
  [
    '{{js "/a?b=c&<d>\\"\'\\\\ \\u00e9\\u2028\\u0001\\n"}}',
    "/a?b\\u003Dc\\u0026\\u003Cd\\u003E\\\"\\'\\\\ é\\u2028\\u0001\\u000A",
  ],
  ['{{html "<a href=\\"x\\">&\'"}}', "&lt;a href=&#34;x&#34;&gt;&amp;&#39;"],
  ['{{urlquery "a b/c?d=é!\'()*~"}}', "a+b%2Fc%3Fd%3D%C3%A9%21%27%28%29%2A~"],
  ['{{printf "%s|%d|%v|%q|%.3f" "a" 5 "b" "c\\n\\"" 1.23456}}', 'a|5|b|"c\\n\\""|1.235'],
  ['{{printf "%5d|%-5d|%05d|%+d" 42 42 42 42}}', "   42|42   |00042|+42"],
  ['{{printf "%8.2f|%-8.2f|%08.2f" 3.14159 3.14159 3.14159}}', "    3.14|3.14    |00003.14"],
  ['{{printf "%d" "x"}}', "%!d(string=x)"],
  ['{{printf "%s" 5}}', "%!s(int=5)"],
  ['{{printf "%s %s" "a"}}', "a %!s(MISSING)"],
  ['{{printf "%s" "a" "b" 3}}', "a%!(EXTRA string=b, int=3)"],
  ['{{printf "%t %v" true false}}', "true false"],
  ['{{printf "%x %X %x" 255 255 "hi"}}', "ff FF 6869"],
  ['{{printf "%e %g %g" 123456.789 0.00001 1e21}}', "1.234568e+05 1e-05 1e+21"],
  ['{{printf "%%"}}', "%"],
  ['{{printf "%v" 1e20}}', "1e+20"],
  ['{{printf "%v" 0.0001}}', "0.0001"],
  ['{{printf "%v" 0.00001234}}', "1.234e-05"],
  ['{{printf "%v" 123456789.5}}', "1.234567895e+08"],
  ['{{printf "%v" 5.0}}', "5"],
  ["{{5.0}} {{0.000005}} {{1e6}} {{1e21}} {{12345678.9}}", "5 5e-06 1e+06 1e+21 1.23456789e+07"],
  ['{{ "quoted" | printf "%s-%s" "a" }}', "a-quoted"],
  ['{{ "x" | js | printf "%q" }}', '"x"'],
  ['{{len "héé"}}', "5"],
  ['{{print "a" 1 2 "b" 3}}', "a1 2b3"],
  ['{{println "a" 1}}', "a 1\n"],
  ['{{if eq "a" "b" "a"}}y{{else}}n{{end}}', "y"],
  ['{{if and true ""}}y{{else if or "" "z"}}z{{else}}n{{end}}', "z"],
  ['a  {{- "b" -}}  c {{/* comment */}} d {{- /* other */ -}} e', "abc  de"],
  ['{{with "v"}}{{.}}{{else}}none{{end}}', "v"],
  ['{{with ""}}{{.}}{{else}}none{{end}}', "none"],
  ["{{if not (eq 1 2)}}ne{{end}}", "ne"],
  ["{{if lt 1 2}}lt{{end}}{{if ge 2.5 2.5}}ge{{end}}", "ltge"],
  ['{{`raw "x" \\n`}}', 'raw "x" \\n'],
  ['{{(printf "%s" "n")}}', "n"],
  ['{{index "a" 0}}', "97"],
  ['{{printf "%5s|%-5s|%.2s|%5.1s|" "abc" "abc" "abc" "abc"}}', "  abc|abc  |ab|    a|"],
  ['{{printf "%6.3f%%" 12.3456}}', "12.346%"],
  ['{{printf "%q" 65}}', "'A'"],
  ['{{printf "%c" 65}}', "A"],
  ['{{printf "%v" nil}}', "<nil>"],
  ["{{print nil}}", "<nil>"],
  ["{{true}}", "true"],
  ['{{printf "%.3g|%.10g|%.2g" 1234.5 0.1 0.000012345}}', "1.23e+03|0.1|1.2e-05"],
  ['{{printf "%v %v" 100000000.0 1e-5}}', "1e+08 1e-05"],
  ["{{0x1F}}", "31"],
  ['{{ "\\x41\\t|" }}', "A\t|"],
  ['{{printf "%z" 1}}', "%!z(int=1)"],
  ["{{/* c */ -}}   x", "x"],
  ["x   {{- /* c */}} y", "x y"],
  ["{{print 1 2}}", "1 2"],
  ['{{printf "%08.3f|%+.2f" -3.5 2.0}}', "-003.500|+2.00"],
  ['{{printf "%3c|%-4q|" 65 "a"}}', '  A|"a" |'],
  ['{{js "a" "b"}}', "ab"],
  ["{{js 5}}", "5"],
  ["{{and 1 0}} {{or 0 2}}", "0 2"],
  ['{{print "\\u00a0"| js}}', "\\u00A0"],
  ['{{js "\\U0001F600 \\ufeff"}}', "😀 \\uFEFF"],
  ['{{printf "% d|%#x" 5 255}}', " 5|0xff"],
  ['{{printf "%v|%s" true true}}', "true|%!s(bool=true)"],
  ['{{printf "%d" 5.5}}', "%!d(float64=5.5)"],
  ['{{printf "%f" 5}}', "%!f(int=5)"],
  ['{{-  "a"}}', "a"],
  ['{{"a"}}\n{{- "b"}}', "ab"],
];
const refused = [
  "{{eq 1 1.0}}",
  "{{if}}x{{end}}",
  "{{nofunc 1}}",
  "{{end}}",
  "{{if true}}x",
  "{{.a b}}",
  '{{"a" "b"}}',
  "{{ and }}",
];

const empty: TemplateObject = { field: () => undefined };

test("templates print what Go's do", (t) => {
  for (const [source, want] of rows) t.equal(parseTemplate(source)(empty), want, source);
  t.end();
});

test("what Go refuses is refused", (t) => {
  for (const source of refused) t.throws(() => parseTemplate(source)(empty), TemplateError, source);
  for (const source of ["{{range .A}}{{end}}", '{{define "x"}}{{end}}', "{{$x := 1}}"])
    t.throws(() => parseTemplate(source), TemplateError, `${source} is not in the subset`);
  t.end();
});

test("fields, methods and maps", (t) => {
  const headers = new Map([["X-A", ["1", "2"]]]);
  const input: TemplateObject = {
    field: (name) =>
      name === "Headers"
        ? headers
        : name === "Get"
          ? ([key]) => (typeof key === "string" ? (headers.get(key) ?? [])[0] : undefined) ?? ""
          : name === "Count"
            ? new Int(3)
            : undefined,
  };
  const cases: [string, string][] = [
    ["{{.Count}}", "3"],
    ['{{printf "%d" .Count}}', "3"],
    ['{{index .Headers "X-A"}} {{index .Headers "X-A" 1}} {{index .Headers "No"}}', "[1 2] 2 []"],
    ['{{.Get "X-A"}}{{.Get "No"}}', "1"],
    ['{{if .Get "X-A"}}there{{end}}{{if .Get "No"}}no{{end}}', "there"],
    ['{{"X-A" | .Get}}', "1"],
    ['{{.Get ("X-A")| printf "%q"}}', '"1"'],
    ["{{.Headers}} {{len .Headers}}", "map[X-A:[1 2]] 1"],
    ["{{with .Count}}{{.}}{{end}}", "3"],
  ];
  for (const [source, want] of cases) t.equal(parseTemplate(source)(input), want, source);
  for (const source of ["{{.Missing}}", "{{.Count.Deeper}}", '{{.Count "argument"}}', '{{index .Headers "X-A" 9}}'])
    t.throws(() => parseTemplate(source)(input), TemplateError, source);
  t.end();
});
