import { test } from "tap";
import { formatQuantity, parseQuantity } from "./quantity.ts";

test("quantities are written as Kubernetes writes them", (t) => {
  const cases = [
    { name: "a fraction becomes milli", text: "0.5", want: "500m" },
    { name: "a thousand milli is one", text: "1000m", want: "1" },
    { name: "1024Mi is 1Gi", text: "1024Mi", want: "1Gi" },
    { name: "a binary fraction goes to the smaller suffix", text: "1.5Gi", want: "1536Mi" },
    { name: "half a byte of binary is decimal", text: "0.5Ki", want: "512" },
    { name: "decimal suffixes stay decimal", text: "1500k", want: "1500k" },
    { name: "a thousand k is M", text: "1000k", want: "1M" },
    { name: "an exponent stays one", text: "1e3", want: "1e3" },
    { name: "below nano rounds up", text: "0.0000000001", want: "1n" },
    { name: "zero is zero", text: "0Mi", want: "0" },
    { name: "signs are kept", text: "-2", want: "-2" },
    { name: "E is exa, not an exponent", text: "2E", want: "2E" },
    { name: "no digits", text: "Mi", want: undefined },
    { name: "an unknown suffix", text: "1Q", want: undefined },
    { name: "an exponent beyond reason", text: "1e99999999", want: undefined },
  ];
  for (const { name, text, want } of cases) {
    const quantity = parseQuantity(text);
    t.equal(quantity === undefined ? undefined : formatQuantity(quantity), want, `${name}: ${text}`);
  }
  t.end();
});
