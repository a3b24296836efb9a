// Where a stream by egress goes: the guard, the look-up, and then the guard again for each address. Only addresses that passed are
// ever dialled, and there is no second look-up.

import {systemCode} from '../../core/errors.js';
import {hostName, plainAddress} from '../../net/host-name.js';
import type {EgressOpen} from '../../protocol/egress-messages.js';
import type {StreamCode} from '../../protocol/wire.js';
import {type EgressSet, familyOf} from './egress-set.js';
import {type Guard, LOOP} from './guard.js';
import {TOO_MANY_LOOK_UPS} from './look-ups.js';

/** A name with more addresses is dialled at the first ones. */
const MOST_ADDRESSES = 16;

export type Refusal = readonly [code: StreamCode, message: string];
/** `turnedAway`: too many in a row. No event tells of it, because there may be very many. */
export type Found = {addresses: readonly string[]} | {refusal: Refusal} | {turnedAway: string};

export interface DestinationOptions {
  asked: EgressOpen;
  /** The egress as it was when the stream came. */
  set: EgressSet;
  guard: Guard;
  /** A tunnel of this relay has the port. */
  isTunnelPort: (port: number) => boolean | Promise<boolean>;
  lookUp: (name: string) => Promise<readonly string[]>;
  /** Resolves when another process has counted it, with the reason for a refusal. Undefined: it is counted. */
  turn: Promise<string | undefined> | undefined;
}

/** The settings may have changed. The refusal, if they do not allow the stream. @param set the egress as it is now; undefined: it is gone */
export function forbiddenNow(
  {asked, guard}: Pick<DestinationOptions, 'asked' | 'guard'>,
  set: EgressSet | undefined,
  opened: {address: string; source: string} | undefined,
): Refusal | undefined {
  if (set === undefined) return ['EGRESS_UNKNOWN', `This relay has no egress ${asked.egress} any more.`];
  if (opened === undefined) return undefined;
  if (!set.addresses.includes(opened.source))
    return ['EGRESS_UNKNOWN', `The egress ${set.name} no longer has the address of this connection.`];
  const reason = guard.refuse(asked, opened.address);
  return reason === undefined ? undefined : ['EGRESS_FORBIDDEN', reason];
}

/** The addresses to dial: each was judged. Undefined: the stream is over. Never rejects. */
export async function findDestination(
  options: DestinationOptions,
  isOver: () => boolean,
): Promise<Found | undefined> {
  try {
    const turnedAway = await options.turn;
    if (turnedAway !== undefined) return {turnedAway};
    if (isOver()) return undefined;
    const found = await find(options);
    return isOver() ? undefined : found;
  } catch {
    // Such as an answer of the DNS that nobody has thought of: it must not be a chance to end the relay.
    return isOver() ? undefined : refuse('UNREACHABLE', 'The relay could not judge the destination.');
  }
}

async function find({asked, guard, set, lookUp, isTunnelPort}: DestinationOptions): Promise<Found> {
  const {host, port} = asked;
  const literal = plainAddress(host);
  const name = literal === undefined ? hostName(host) : undefined;
  if (literal === undefined && name === undefined)
    return refuse('EGRESS_FORBIDDEN', `${host} is neither a host name nor an address in its usual spelling.`);
  const refused = guard.refuseHost(name, port);
  if (refused !== undefined) return refuse('EGRESS_FORBIDDEN', refused);
  let all: readonly string[];
  if (literal !== undefined) all = [literal];
  else {
    try {
      all = await lookUp(name as string);
    } catch (error) {
      if (systemCode(error) === TOO_MANY_LOOK_UPS)
        return refuse('TOO_MANY_STREAMS', 'Too many names are being looked up.');
      return refuse('NAME_UNKNOWN', `No name server answers for ${host}.`);
    }
    if (all.length === 0) return refuse('NAME_UNKNOWN', `The name ${host} has no address.`);
  }
  const families = new Set(set.addresses.map(familyOf));
  const plain = all.map((each) => plainAddress(each)).filter((each) => each !== undefined);
  const fitting = plain.filter((each) => families.has(familyOf(each)));
  if (fitting.length === 0)
    return refuse('UNREACHABLE', `${host} has no address of a family that the egress ${set.name} has.`);
  let reason: string | undefined;
  const allowed = fitting.filter((each) => {
    const refusal = guard.refuseAddress(each, port);
    reason ??= refusal;
    return refusal === undefined;
  });
  if (allowed.length === 0) return refuse('EGRESS_FORBIDDEN', reason ?? 'No address is allowed.');
  if (allowed.some((each) => guard.isHere(each)) && (await isTunnelPort(port)))
    return refuse('EGRESS_FORBIDDEN', LOOP);
  return {addresses: allowed.slice(0, MOST_ADDRESSES)};
}

function refuse(...refusal: Refusal): {refusal: Refusal} {
  return {refusal};
}
