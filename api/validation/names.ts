/** Kubernetes' rules for names, with the texts of its own validation. Each answers with the broken rules. */

const regexRule = (rule: string, regex: string, ...examples: string[]): string =>
  `${rule} (${examples.map((example, index) => `${index === 0 ? "e.g. " : "or "}'${example}', `).join(" ")}regex used for validation is '${regex}')`;
const tooLong = (most: number): string => `must be no more than ${most} bytes`;

const label1035 = "[a-z]([-a-z0-9]*[a-z0-9])?";
const label1123 = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const subdomain1123 = String.raw`${label1123}(\.${label1123})*`;
const qualified = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const identifier = "[A-Za-z_][A-Za-z0-9_]*";
const whole = (regex: string): RegExp => new RegExp(`^${regex}$`, "u");
const isLabel1035 = whole(label1035);
const isLabel1123 = whole(label1123);
const isSubdomain1123 = whole(subdomain1123);
const isQualified = whole(qualified);
const isIdentifier = whole(identifier);

export const dns1035Rule = regexRule(
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
  label1035,
  "my-name",
  "abc-123",
);
export const dns1123LabelRule = regexRule(
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
  label1123,
  "my-name",
  "123-abc",
);
export const dns1123SubdomainRule = regexRule(
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
  subdomain1123,
  "example.com",
);
export const qualifiedNameRule = regexRule(
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  qualified,
  "MyName",
  "my.name",
  "123-abc",
);
export const identifierRule = regexRule(
  "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
  identifier,
  "my_name",
  "MY_NAME",
  "MyName",
);

export function dns1035Problems(name: string): string[] {
  return [...(name.length > 63 ? [tooLong(63)] : []), ...(isLabel1035.test(name) ? [] : [dns1035Rule])];
}

/** The same for the start of a name that the server completes. */
export const dns1035PrefixProblems = (prefix: string): string[] =>
  dns1035Problems(prefix.length > 1 && prefix.endsWith("-") ? `${prefix.slice(0, -2)}a` : prefix);

export function dns1123LabelProblems(name: string): string[] {
  const problems = name.length > 63 ? [tooLong(63)] : [];
  if (!isLabel1123.test(name)) problems.push(isSubdomain1123.test(name) ? "must not contain dots" : dns1123LabelRule);
  return problems;
}

export function dns1123SubdomainProblems(name: string): string[] {
  return [...(name.length > 253 ? [tooLong(253)] : []), ...(isSubdomain1123.test(name) ? [] : [dns1123SubdomainRule])];
}

/** `name` or `prefix/name`, as a label's key. */
export function qualifiedNameProblems(text: string): string[] {
  const parts = text.split("/");
  if (parts.length > 2)
    return [
      `a valid label key ${qualifiedNameRule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  const problems: string[] = [];
  const name = parts.at(-1)!;
  if (parts.length === 2) {
    if (parts[0] === "") problems.push("prefix part must be non-empty");
    else problems.push(...dns1123SubdomainProblems(parts[0]!).map((problem) => `prefix part ${problem}`));
  }
  if (name === "") problems.push("name part must be non-empty");
  else if (name.length > 63) problems.push(`name part ${tooLong(63)}`);
  if (!isQualified.test(name)) problems.push(`name part ${qualifiedNameRule}`);
  return problems;
}

export const identifierProblems = (text: string): string[] => (isIdentifier.test(text) ? [] : [identifierRule]);

/** Why `name` is no fully qualified domain, in the words of a field error of `name`; undefined when it is one. */
export function domainProblem(name: string): string | undefined {
  if (name === "") return "name: Required value";
  const domain = name.endsWith(".") ? name.slice(0, -1) : name;
  const invalid = (value: string, why: string): string => `name: Invalid value: ${JSON.stringify(value)}: ${why}`;
  const broken = dns1123SubdomainProblems(domain);
  if (broken.length > 0) return invalid(domain, broken.join(","));
  const labels = domain.split(".");
  if (labels.length < 2) return invalid(domain, "should be a domain with at least two segments separated by dots");
  const problems = labels
    .map((label) => ({ label, broken: dns1123LabelProblems(label) }))
    .filter((found) => found.broken.length > 0)
    .map((found) => invalid(found.label, found.broken.join(",")));
  if (problems.length === 0) return undefined;
  return problems.length === 1 ? problems[0] : `[${[...new Set(problems)].join(", ")}]`;
}
