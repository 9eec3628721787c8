/**
 * Logs as JSON lines, through pino. Doors build one; everything else sees only the `Logger` port.
 * Invariant: logs go to stderr unless told otherwise, so what a command prints on stdout stays clean.
 */
import { type DestinationStream, destination, pino, stdSerializers } from 'pino';
import type { Logger, LogLevel } from '../base/ports.js';

export interface PinoLoggerOptions {
  /** Lines below this level are dropped; `silent` drops all. Default `info`. */
  readonly level?: LogLevel | 'silent';
  /** Anything with `write(line)`. Default: stderr, written before `log` returns, so a crash loses nothing. */
  readonly destination?: DestinationStream;
}

/** A line has `level` (a word), `time` (ISO 8601), `msg` (the event) and the fields of the call. */
export function createPinoLogger(options: PinoLoggerOptions = {}): Logger {
  const log = pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.destination ?? destination({ fd: 2, sync: true }),
  );
  return {
    log(level: LogLevel, event: string, fields?: Readonly<Record<string, unknown>>): void {
      if (!log.isLevelEnabled(level)) return;
      if (fields === undefined) log[level](event);
      else log[level](printable(fields), event);
    },
  };
}

/** Errors have no enumerable properties, so JSON would show them as `{}` under any key but pino's `err`. */
function printable(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value instanceof Error) out[key] = stdSerializers.err(value);
    else out[key] = typeof value === 'bigint' ? value.toString() : value;
  }
  return out;
}
