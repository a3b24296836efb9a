// An egress as the operator writes it: a name, and the addresses of this machine that connections leave from.

import {isIP} from 'node:net';
import {TunlError} from '../../core/errors.js';
import {plainAddress} from '../../net/host-name.js';
import {isEgressName, MAX_EGRESS_ADDRESSES} from '../../protocol/egress-messages.js';

export interface EgressSet {
  readonly name: string;
  /** In their usual spelling. */
  readonly addresses: readonly string[];
}

const FORM = 'Write NAME=ADDRESS[,ADDRESS], like my-proxy=203.0.113.1,203.0.113.2.';

/** @throws TunlError OPTION_INVALID */
export function parseEgressSet(written: string): EgressSet {
  const equals = written.indexOf('=');
  const name = written.slice(0, Math.max(0, equals)).trim().toLowerCase();
  if (!isEgressName(name))
    throw invalid(`${JSON.stringify(written.slice(0, 80))} does not begin with the name of an egress.`);
  const addresses = written
    .slice(equals + 1)
    .split(',')
    .map((each) => readAddress(name, each.trim()));
  if (addresses.length > MAX_EGRESS_ADDRESSES)
    throw invalid(`The egress ${name} has more than ${MAX_EGRESS_ADDRESSES} addresses.`);
  const twice = addresses.find((each, at) => addresses.indexOf(each) !== at);
  if (twice !== undefined) throw invalid(`The egress ${name} has the address ${twice} twice.`);
  return {name, addresses};
}

export function egressSetText({name, addresses}: EgressSet): string {
  return `${name}=${addresses.join(',')}`;
}

/** @throws TunlError OPTION_INVALID when two have one name */
export function readEgressSets(written: readonly string[]): EgressSet[] {
  const sets = written.map(parseEgressSet);
  const twice = sets.find(({name}, at) => sets.findIndex((each) => each.name === name) !== at);
  if (twice === undefined) return sets;
  throw invalid(`The egress ${twice.name} is given twice.`, 'Give all its addresses in one value.');
}

function readAddress(name: string, written: string): string {
  const address = plainAddress(written);
  if (address === undefined)
    throw invalid(`${JSON.stringify(written.slice(0, 60))} of the egress ${name} is no IP address.`);
  const isEvery = /^[0.:]+$/.test(address);
  if (isEvery) throw invalid(`${address} of the egress ${name} is no single address.`);
  return address;
}

/** The family of an address that `plainAddress` has read. */
export const familyOf = (address: string): 4 | 6 => (isIP(address) === 6 ? 6 : 4);

function invalid(reason: string, next = FORM): TunlError {
  return new TunlError('OPTION_INVALID', {reason, next});
}
