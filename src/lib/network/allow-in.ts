// Rules about the connections that a member takes: from which members, to which ports.

import {isIPv6} from 'node:net';
import {TunlError} from '../core/errors.js';
import {plainAddress} from '../net/host-name.js';
import {isMemberName} from '../protocol/network-messages.js';
import type {MemberId} from './connections.js';

export interface InRule {
  /** A name or an address; undefined: any member. */
  readonly from: string | undefined;
  /** Undefined: any port. */
  readonly port: number | undefined;
}

/** `NAME`, `ADDRESS`, `PORT`, `NAME:PORT` or `[ADDRESS]:PORT`. @throws TunlError OPTION_INVALID */
export function readInRule(text: string): InRule {
  const written = text.trim().toLowerCase();
  if (/^\d+$/.test(written)) return {from: undefined, port: portOf(written, text)};
  const [, address, name, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(written) ?? [];
  const who = address ?? name ?? written;
  // The addresses of members have one spelling.
  const from = isIPv6(who) ? plainAddress(who) : name;
  if (from === undefined || (from === name && !isMemberName(name))) throw invalid(text);
  return {from, port: port === undefined ? undefined : portOf(port, text)};
}

/** No rules allow everything. */
export function allowsIn(rules: readonly InRule[], who: MemberId, port: number): boolean {
  if (rules.length === 0) return true;
  return rules.some(
    ({from, port: only}) =>
      (from === undefined || from === who.name || from === who.address) &&
      (only === undefined || only === port),
  );
}

function portOf(digits: string, text: string): number {
  const port = Number(digits);
  if (port >= 1 && port <= 65_535) return port;
  throw invalid(text);
}

const invalid = (text: string): TunlError =>
  new TunlError('OPTION_INVALID', {
    reason: `${JSON.stringify(text)} is no rule about connections of members.`,
    next: 'Write it like trainer, 8000 or trainer:8000.',
  });
