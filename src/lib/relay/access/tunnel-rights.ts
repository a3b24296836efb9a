// Which names and ports of tunnels a principal may have.

import {TunlError} from '../../core/errors.js';
import {isRandomLabel} from '../../protocol/names.js';
import type {LeaseKey} from '../leases/lease-store.js';
import {ANY_PORT, type PortRange, RANDOM_NAME, type Rights} from './rights.js';

/** A name in the form of the relay's random ones is also allowed by the right to random names: its owner asks for it again. */
export function allowsName(rights: Rights, label: string): boolean {
  return rights.allows('name', label) || (isRandomLabel(label) && rights.allows('name', RANDOM_NAME));
}

export function allowsKey(rights: Rights, key: LeaseKey): boolean {
  const what = key.slice(4);
  return key.startsWith('tls:') ? allowsName(rights, what) : rights.allows('tcp', what);
}

/** @throws TunlError NOT_ALLOWED */
export function checkKey(rights: Rights, key: LeaseKey): void {
  if (allowsKey(rights, key)) return;
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
