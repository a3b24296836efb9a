// The destinations that programs in a sealed network may reach, and how people write them.

import {isIP} from 'node:net';
import {TunlError} from '../core/errors.js';
import {hostName, plainAddress} from '../net/host-name.js';

export interface EgressEntry {
  /** A name in lower case, `*.` and a name, or an IP address in its usual spelling. */
  readonly host: string;
  readonly port: number;
}

export type EgressRules =
  /** There is no network but the own loopback. */
  | {readonly kind: 'none'}
  /** Every public address. */
  | {readonly kind: 'internet'}
  /** These destinations only. */
  | {readonly kind: 'list'; readonly allow: readonly EgressEntry[]};

/**
 * The rules of a seal. `elsewhere` are all destinations: whoever dials for the seal judges them, and gets each destination as
 * the program has named it. People and sandboxes cannot ask for it.
 */
export type SealRules = EgressRules | {readonly kind: 'elsewhere'};

/** Each look-up and each connection is compared with all entries that are not plain names. */
const MAX_ENTRIES = 256;
const MAX_TEXT = 64 * 1024;

/** Questions to a name server go to the seal itself, whatever their address. */
const DNS_PORT = 53;

/** @param text `none`, `internet`, or a list of HOST:PORT with commas or spaces between. @throws TunlError EGRESS_INVALID */
export function parseEgress(text: string): EgressRules {
  if (text.length > MAX_TEXT) throw invalid('The list of destinations is too long.');
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  if (words.length === 1 && (words[0] === 'none' || words[0] === 'internet')) return {kind: words[0]};
  if (words.length === 0) throw invalid('The list of destinations is empty.');
  return egressList(words);
}

/** @param destinations HOST:PORT each. @throws TunlError EGRESS_INVALID */
export function egressList(destinations: readonly string[]): EgressRules {
  const all = new Map<string, EgressEntry>();
  for (const text of destinations) {
    const entry = parseEntry(text);
    all.set(entryText(entry), entry);
  }
  return checked([...all.values()]);
}

/** Rules from a program: the same checks as for text. @throws TunlError EGRESS_INVALID */
export function checkEgress(rules: EgressRules): EgressRules {
  if (rules.kind !== 'list') return rules;
  return egressList(rules.allow.map(entryText));
}

/** @param hasDialler whether somebody dials in place of this machine. @throws TunlError EGRESS_INVALID */
export function checkSealRules(rules: SealRules, {hasDialler}: {hasDialler: boolean}): SealRules {
  if (rules.kind !== 'elsewhere') return checkEgress(rules);
  if (!hasDialler) throw invalid('Nobody judges and dials the destinations.');
  return rules;
}

/** One entry as people write it. */
export function entryText({host, port}: EgressEntry): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

export function egressText(rules: EgressRules): string {
  return rules.kind === 'list' ? rules.allow.map(entryText).join(',') : rules.kind;
}

function checked(allow: readonly EgressEntry[]): EgressRules {
  if (allow.length > MAX_ENTRIES) throw invalid(`More than ${MAX_ENTRIES} destinations are too many.`);
  return {kind: 'list', allow};
}

function parseEntry(text: string): EgressEntry {
  if (text === 'none' || text === 'internet') throw invalid(`"${text}" stands alone or not at all.`);
  if (text.includes('://')) throw invalid(`${shown(text)} is a URL.`);
  const parts = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(text);
  if (parts === null) {
    throw invalid(
      isIP(text) === 6 || text.split(':').length > 2
        ? `${shown(text)} is not HOST:PORT. An IPv6 address stands in brackets.`
        : `${shown(text)} has no port.`,
    );
  }
  const [, six, other = '', digits = ''] = parts;
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : 0;
  if (port < 1 || port > 65_535) throw invalid(`${shown(text)} has no port from 1 to 65535.`);
  if (port === DNS_PORT)
    throw invalid(`${shown(text)}: the sandbox’s own resolver answers on port ${DNS_PORT}.`);
  return {host: six === undefined ? parseHost(other, text) : parseSix(six, text), port};
}

function parseSix(address: string, text: string): string {
  const plain = isIP(address) === 6 ? plainAddress(address) : undefined;
  if (plain === undefined) throw invalid(`${shown(text)} has no IPv6 address in its brackets.`);
  return plain;
}

function parseHost(host: string, text: string): string {
  const address = plainAddress(host);
  if (address !== undefined) return address;
  const isWild = host.startsWith('*.');
  const name = hostName(isWild ? host.slice(2) : host);
  if (name === undefined) throw invalid(`${shown(text)} has no valid host name or address.`);
  return isWild ? `*.${name}` : name;
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 80));

const invalid = (reason: string): TunlError => new TunlError('EGRESS_INVALID', {reason});
