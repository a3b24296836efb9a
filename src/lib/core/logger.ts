// Diagnostics as values. The library writes to no stream by itself: the program that embeds it passes a sink.

/** The most severe first. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug', 'trace'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogRecord {
  level: LogLevel;
  /** The source of the record: 'relay', 'agent', 'session', … */
  scope: string;
  message: string;
  fields?: Record<string, unknown>;
  /** The stable name of the event that it reports, if it reports one. */
  event?: string;
}

export type LogSink = (record: LogRecord) => void;

export interface Logger {
  error(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  debug(message: string, fields?: Record<string, unknown>): void;
  trace(message: string, fields?: Record<string, unknown>): void;
}

/** A logger for one scope. Fields must not contain secrets: callers pass ids and addresses, not tokens or headers. */
export function createLogger(scope: string, sink: LogSink | undefined): Logger {
  const at = (level: LogLevel) => (message: string, fields?: Record<string, unknown>) =>
    sink?.(fields === undefined ? {level, scope, message} : {level, scope, message, fields});
  return {error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug'), trace: at('trace')};
}
