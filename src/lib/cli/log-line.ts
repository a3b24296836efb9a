// Formats a diagnostic record as one line: `debug session: carrier lost streams=3`.

import type {LogRecord} from '../core/logger.js';
import {oneLine} from '../core/one-line.js';

export function logLine(record: LogRecord): string {
  const fields = Object.entries(record.fields ?? {}).map(([name, value]) => ` ${name}=${shown(value)}`);
  return oneLine(`${record.level} ${record.scope}: ${record.message}${fields.join('')}`);
}

function shown(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  if (typeof value === 'string') return /^[\w.:/@[\]-]+$/.test(value) ? value : JSON.stringify(value);
  if (typeof value === 'object' && value !== null) return JSON.stringify(value);
  return String(value);
}
