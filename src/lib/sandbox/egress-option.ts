// How people and programs write the rules for a sandbox's network: `none`, `internet`, or destinations.

import {TunlError} from '../core/errors.js';
import type {EgressRules} from './spec.js';

/** Each rule costs time for every connection. */
const MAX_RULES = 256;

/** Names by their letters, digits and hyphens; a first label may be `*`. */
const NAME =
  /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;
const RULE = /^(?<host>\[[0-9a-f:.]{2,45}\]|[^:[\]]+):(?<port>\d{1,5})$/i;

/** `none`, `internet`, `HOST:PORT,HOST:PORT`, a list of `HOST:PORT`, or rules. @throws TunlError EGRESS_INVALID */
export function readEgress(written: unknown): EgressRules {
  if (written === 'none' || written === 'internet') return {kind: written};
  if (typeof written === 'string') return readList(written.split(','));
  if (Array.isArray(written)) return readList(written);
  const {kind, allow} = (written ?? {}) as {kind?: unknown; allow?: unknown};
  if (kind === 'none' || kind === 'internet') return {kind};
  if (kind === 'list' && Array.isArray(allow))
    return readList(allow.map(({host, port}: {host: unknown; port: unknown}) => `${host}:${port}`));
  throw new TunlError('EGRESS_INVALID');
}

export function showEgress(rules: EgressRules): string {
  return rules.kind === 'list' ? rules.allow.map(({host, port}) => `${host}:${port}`).join(',') : rules.kind;
}

function readList(all: readonly unknown[]): EgressRules {
  if (all.length > MAX_RULES) {
    throw new TunlError('EGRESS_INVALID', {reason: `A sandbox has at most ${MAX_RULES} destinations.`});
  }
  return {kind: 'list', allow: all.map(readRule)};
}

function readRule(written: unknown): {host: string; port: number} {
  const text = typeof written === 'string' ? written.trim() : '';
  const {host = '', port = ''} = RULE.exec(text)?.groups ?? {};
  const isHost = host.startsWith('[') || (NAME.test(host) && host.length <= 253);
  if (isHost && Number(port) >= 1 && Number(port) <= 65_535) {
    return {host: host.toLowerCase(), port: Number(port)};
  }
  throw new TunlError('EGRESS_INVALID', {
    reason: `${JSON.stringify(String(written).slice(0, 80))} is no destination.`,
  });
}
