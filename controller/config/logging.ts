/** ConfigMap `config-logging`: what the sidecar is told. */
import { type Data, ConfigValues } from "./values.ts";

export interface LoggingConfig {
  /** JSON in zap's form, handed on as it is. */
  zapLoggerConfig: string;
  queueProxyLevel: string;
}

/** Throws ConfigError. */
export function parseLoggingConfig(data: Data | undefined): Readonly<LoggingConfig> {
  const values = new ConfigValues(data);
  const zapLoggerConfig = values.raw("zap-logger-config") ?? "";
  if (zapLoggerConfig.trim() !== "")
    try {
      JSON.parse(zapLoggerConfig);
    } catch (error) {
      values.problem(`zap-logger-config: ${(error as Error).message}`);
    }
  return values.finish({ zapLoggerConfig, queueProxyLevel: values.text("loglevel.queueproxy", "") });
}
