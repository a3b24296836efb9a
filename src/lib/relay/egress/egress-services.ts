// The services `egress` and `resolve`: which egresses an agent may use, and the relay's DNS for its names.

import {systemCode} from '../../core/errors.js';
import type {StreamHandler} from '../../mux/stream-kinds.js';
import {hostName, plainAddress} from '../../net/host-name.js';
import {
  EGRESS_SERVICE,
  type EgressReport,
  MAX_RESOLVED,
  parseResolveOpen,
  RESOLVE_SERVICE,
  type ResolveAnswer,
} from '../../protocol/egress-messages.js';
import {answerLine} from '../agents/answer-line.js';
import type {Opener} from '../agents/opened-streams.js';
import {type EgressSet, familyOf} from './egress-set.js';
import type {Guard} from './guard.js';
import {type LookUps, TOO_MANY_LOOK_UPS} from './look-ups.js';

export interface EgressServicesOptions {
  sets: () => Iterable<EgressSet>;
  isHealthy: (address: string) => boolean;
  guard: Pick<Guard, 'refuseName' | 'mayTell'>;
  lookUps: Pick<LookUps, 'find'>;
}

/** By their names. */
export function egressServices(
  options: EgressServicesOptions,
): readonly (readonly [string, StreamHandler<Opener>])[] {
  const {sets, isHealthy} = options;
  const list: StreamHandler<Opener> = (stream, _about, {principal: {rights}}) => {
    const egresses = [...sets()]
      .filter(({name}) => rights.allows('egress', name))
      .map(
        ({name, addresses}): EgressReport => ({
          name,
          addresses: addresses.map((address) => ({address, healthy: isHealthy(address)})),
        }),
      );
    answerLine(stream, {egresses});
  };
  const resolve: StreamHandler<Opener> = (stream, about, {principal}) => {
    const {egress, name} = parseResolveOpen(about);
    const {rights, owner} = principal;
    if (!rights.allows('egress', egress)) {
      stream.refuse('NOT_ALLOWED', 'The token does not allow this.');
      return;
    }
    const set = [...sets()].find((each) => each.name === egress);
    if (set === undefined) {
      stream.refuse('EGRESS_UNKNOWN', `This relay has no egress ${egress}.`);
      return;
    }
    const isAllowed = rights.destinations.allowHost(name);
    answerLine(stream, isAllowed ? resolved(options, set, owner, name) : {error: 'EACCES'});
  };
  return [
    [EGRESS_SERVICE, list],
    [RESOLVE_SERVICE, resolve],
  ];
}

async function resolved(
  {guard, lookUps}: EgressServicesOptions,
  set: EgressSet,
  owner: string,
  written: string,
): Promise<ResolveAnswer> {
  const families = new Set(set.addresses.map(familyOf));
  const fitting = (all: readonly string[]) => {
    const addresses = all.flatMap((each) => plainAddress(each) ?? []);
    return addresses.filter((each) => families.has(familyOf(each)));
  };
  const literal = plainAddress(written);
  const name = hostName(written);
  if (literal === undefined && (name === undefined || guard.refuseName(name) !== undefined))
    return {error: name === undefined ? 'ENOTFOUND' : 'EACCES'};
  try {
    const found = fitting(literal === undefined ? await lookUps.find(owner, name ?? '') : [literal]);
    if (found.length === 0) return {error: 'ENOTFOUND'};
    const told = found.filter((each) => guard.mayTell(each));
    return told.length === 0 ? {error: 'EACCES'} : {addresses: told.slice(0, MAX_RESOLVED)};
  } catch (error) {
    return {error: systemCode(error) === TOO_MANY_LOOK_UPS ? 'EBUSY' : 'EAGAIN'};
  }
}
