// Which names and ports of tunnels a principal may have.

import {TunlError} from '../../core/errors.js';
import type {LeaseKey} from '../leases/lease-store.js';
import {ANY_PORT, type PortRange, RANDOM_NAME, type Rights} from './rights.js';

/** A name or port. `isRandom`: a name that the relay has drawn. */
export interface Asked {
  readonly key: LeaseKey;
  readonly isRandom: boolean;
}

/** The right to random names allows one that the relay has drawn earlier as well: its owner asks for it again. */
export function allowsKey(rights: Rights, {key, isRandom}: Asked): boolean {
  const what = key.slice(4);
  if (!key.startsWith('tls:')) return rights.allows('tcp', what);
  return rights.allows('name', what) || (isRandom && rights.allows('name', RANDOM_NAME));
}

/** @throws TunlError NOT_ALLOWED */
export function checkKey(rights: Rights, asked: Asked): void {
  if (allowsKey(rights, asked)) return;
  const {key} = asked;
  const what = key.slice(4);
  throw notAllowed(key.startsWith('tls:') ? `the name ${what}` : `TCP port ${what}`);
}

/** @throws TunlError NOT_ALLOWED */
export function checkRandomName(rights: Rights): void {
  if (!rights.allows('name', RANDOM_NAME))
    throw notAllowed('a random name', 'Ask for a name that it allows.');
}

/** The ports that the relay may choose; undefined: any. @throws TunlError NOT_ALLOWED when the token allows no port at all */
export function portsToChoose(rights: Rights): readonly PortRange[] | undefined {
  if (rights.ports === undefined || rights.allows('tcp', ANY_PORT)) return undefined;
  if (rights.ports.length === 0) throw notAllowed('TCP ports');
  return rights.ports;
}

function notAllowed(what: string, next?: string): TunlError {
  const reason = `The token does not allow ${what}.`;
  return new TunlError('NOT_ALLOWED', {reason, ...(next !== undefined && {next})});
}
