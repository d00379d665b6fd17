import { test } from "tap";
import { ConfigError } from "../process/env.ts";
import { clusterConfig, type StartFlags } from "./config.ts";

const usual: StartFlags = { data: ".swell", gatewayPort: "8080", apiPort: "7443", sample: true };

test("clusterConfig takes paths from the folder it is given", async (t) => {
  t.same(clusterConfig({ ...usual, domain: "dev.example.com" }, "/srv"), {
    data: "/srv/.swell",
    gatewayPort: 8080,
    apiPort: 7443,
    domain: "dev.example.com",
    sample: true,
  });
});

const bad: { name: string; flags: Partial<StartFlags>; want: RegExp }[] = [
  { name: "a port that is no number", flags: { gatewayPort: "http" }, want: /--gateway-port http: want a port/ },
  { name: "a port beyond the last one", flags: { apiPort: "70000" }, want: /--api-port 70000: want a port/ },
  { name: "a domain that is none", flags: { domain: "Dev_1" }, want: /--domain Dev_1: want a domain name/ },
  { name: "the same port twice", flags: { apiPort: "8080" }, want: /are both 8080/ },
];

for (const { name, flags, want } of bad)
  test(`clusterConfig refuses ${name}`, async (t) => {
    t.throws(() => clusterConfig({ ...usual, ...flags }, "/"), { message: want });
  });

test("clusterConfig reports every problem together", async (t) => {
  try {
    clusterConfig({ ...usual, apiPort: "x", gatewayPort: "y" }, "/");
    t.fail("accepted");
  } catch (error) {
    t.equal((error as ConfigError).problems.length, 2);
  }
});

test("two ports left to the system do not clash", async (t) => {
  t.ok(clusterConfig({ ...usual, apiPort: "0", gatewayPort: "0" }, "/"));
});
