// The log of a supervisor: warnings and errors of its tunnels and of the sandbox.

import {writeSync} from 'node:fs';
import type {LogRecord} from '../../core/logger.js';
import {oneLine} from '../../core/one-line.js';

const MAX_LOG_BYTES = 1024 * 1024;

/** A relay that is away for weeks must not fill the disk. Never throws: a full disk must not end a sandbox. */
export function logTo(fd: number): (record: LogRecord) => void {
  let logged = 0;
  return ({level, scope, message}) => {
    if (level !== 'error' && level !== 'warn') return;
    const line = `${new Date().toISOString()} ${level} ${scope} ${oneLine(message)}\n`;
    logged += line.length;
    if (logged > MAX_LOG_BYTES) return;
    try {
      writeSync(fd, line);
    } catch {
      // The line is lost.
    }
  };
}
