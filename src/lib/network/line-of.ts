// Reads one line of JSON from a connection, and leaves the bytes behind it in the connection; writes one.

import type {Duplex} from 'node:stream';
import {TunlError} from '../core/errors.js';
import {type Fields, MalformedMessage, parseJsonObject} from '../protocol/fields.js';

const MOST_BYTES = 1_024;

/** @throws TunlError MEMBER_UNREACHABLE when the line does not come, or is none. */
export function readJsonLine(from: Duplex, timeoutMs: number): Promise<Fields> {
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    const settle = (result: Fields | Error) => {
      clearTimeout(timer);
      from.off('readable', read).off('end', broken).off('close', broken).off('error', broken);
      if (result instanceof Error) {
        const reason = `The member’s first line did not come: ${result.message}.`;
        reject(new TunlError('MEMBER_UNREACHABLE', {reason, cause: result}));
      } else resolve(result);
    };
    const broken = (error?: Error) => settle(error ?? new Error('the connection ended'));
    const timer = setTimeout(() => settle(new Error('the time is over')), timeoutMs);
    const read = () => {
      for (let piece = from.read() as Buffer | null; piece !== null; piece = from.read()) {
        head = Buffer.concat([head, piece]);
        const end = head.indexOf(10);
        if (end < 0 && head.length <= MOST_BYTES) continue;
        if (end < 0 || end > MOST_BYTES) return settle(new Error('it is too long'));
        const line = head.subarray(0, end);
        const rest = head.subarray(end + 1);
        let fields: Fields;
        try {
          fields = parseJsonObject(line);
        } catch (error) {
          return settle(error instanceof MalformedMessage ? error : new Error('it cannot be read'));
        }
        settle(fields);
        if (rest.length > 0) from.unshift(rest);
        return;
      }
    };
    from.on('readable', read).on('end', broken).on('close', broken).on('error', broken);
    if (from.destroyed) broken();
  });
}

/** Resolves when everything that was written has left. @throws TunlError MEMBER_UNREACHABLE when it does not leave in time. */
export function writeLine(to: Duplex, line: object, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error | null) => {
      clearTimeout(timer);
      to.off('close', broken).off('error', broken);
      if (error === undefined || error === null) return resolve();
      const reason = `The member did not take the answer: ${error.message}.`;
      reject(new TunlError('MEMBER_UNREACHABLE', {reason, cause: error}));
    };
    const broken = (error?: Error) => settle(error ?? new Error('the connection ended'));
    const timer = setTimeout(() => broken(new Error('the time is over')), timeoutMs);
    to.on('close', broken).on('error', broken);
    to.write(`${JSON.stringify(line)}\n`, settle);
  });
}
