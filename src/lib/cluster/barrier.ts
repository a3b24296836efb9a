// How members on several machines agree: each tells all others where it is, and the member that joined first plans. Pure.

import {TunlError} from '../core/errors.js';

export interface Plan {
  readonly id: string;
  readonly epoch: number;
  /** Names of members by rank. */
  readonly members: readonly string[];
}

export interface Exit {
  readonly epoch: number;
  readonly code: number;
  /** Since its start, ms: the earliest failure counts. */
  readonly at: number;
  /** It was told to end. */
  readonly told: boolean;
}

/** The words of a member for all others. */
export interface Says {
  /** Of its process: a machine that starts again has the same name. Undefined: an older version. */
  readonly id?: string | undefined;
  readonly size: number;
  /** The rank that it wants. */
  readonly rank?: number | undefined;
  /** The number of the start that it waits for or has seen. */
  readonly epoch: number;
  /** The plan that it makes itself ready for. */
  readonly taken?: string | undefined;
  /** The plan that it is ready for. */
  readonly ready?: string | undefined;
  readonly exit?: Exit | undefined;
  /** It knows how all members have ended, and leaves. */
  readonly over?: boolean | undefined;
  /** The plan, from the member that plans. */
  readonly plan?: Plan | undefined;
  /** The plan that all are ready for. */
  readonly go?: string | undefined;
}

export interface Seen {
  readonly name: string;
  readonly address: string;
  readonly serial: number;
  /** Undefined: it has said nothing yet, or nothing that can be understood. */
  readonly says: Says | undefined;
}

const MAX_EXIT_CODE = 255;
/** Members of this command have short names, because a plan has all of them and must fit into what a member may tell. */
const MAX_NAME = 8;

const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= 80;
const isCount = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 0;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @param state of a member, which may be of any form. */
export function readSays(state: unknown): Says | undefined {
  if (!isObject(state) || !isObject(state.cluster)) return undefined;
  const {id, size, rank, epoch, taken, ready, exit, over, plan, go} = state.cluster;
  if (!isCount(size) || !isCount(epoch)) return undefined;
  return {
    id: isText(id) ? id : undefined,
    size,
    epoch,
    rank: isCount(rank) ? rank : undefined,
    taken: isText(taken) ? taken : undefined,
    ready: isText(ready) ? ready : undefined,
    over: over === true,
    go: isText(go) ? go : undefined,
    exit: readExit(exit),
    plan: readPlan(plan),
  };
}

function readExit(exit: unknown): Exit | undefined {
  if (!isObject(exit)) return undefined;
  const {epoch, code, at, told} = exit;
  // The command of every member ends with the code of the first failure: a larger one would look like another, or like 0.
  const isExit = isCount(epoch) && isCount(code) && code <= MAX_EXIT_CODE && isCount(at);
  return isExit ? {epoch, code, at, told: told === true} : undefined;
}

function readPlan(plan: unknown): Plan | undefined {
  if (!isObject(plan)) return undefined;
  const {id, epoch, members} = plan;
  const isPlan = isText(id) && isCount(epoch) && Array.isArray(members) && members.every(isText);
  return isPlan ? {id, epoch, members} : undefined;
}

/** The members that take part, in the order in which they joined. */
function partners(all: readonly Seen[], size: number, deaf: ReadonlySet<string>): Seen[] {
  return all
    .filter(({name, says}) => name.length <= MAX_NAME && says?.size === size && !deaf.has(name))
    .sort((a, b) => a.serial - b.serial);
}

/** The member that plans. */
export function leaderOf(
  all: readonly Seen[],
  size: number,
  deaf: ReadonlySet<string> = new Set(),
): Seen | undefined {
  return partners(all, size, deaf)[0];
}

/** Members that wait for this start, of those that will take part. */
export function waitingFor(
  all: readonly Seen[],
  {size, epoch, deaf = new Set()}: {size: number; epoch: number; deaf?: ReadonlySet<string>},
): Seen[] {
  return partners(all, size, deaf)
    .filter(({says}) => says?.epoch === epoch && says.exit?.epoch !== epoch && !says.over)
    .slice(0, size);
}

/** Names by rank; undefined while members are missing. Wanted ranks first, the others in the order of joining. */
export function ranksOf(members: readonly Seen[], size: number): string[] | undefined {
  if (members.length < size) return undefined;
  const ranks: (string | undefined)[] = Array.from({length: size}, () => undefined);
  const free: string[] = [];
  for (const {name, says} of members) {
    const rank = says?.rank;
    if (rank !== undefined && rank < size && ranks[rank] === undefined) ranks[rank] = name;
    else free.push(name);
  }
  return ranks.map((name) => name ?? (free.shift() as string));
}

/** Why this member cannot take part. @param own its name */
export function conflict(all: readonly Seen[], own: string): TunlError | undefined {
  const me = all.find(({name}) => name === own);
  if (me?.says === undefined) return undefined;
  const {size, rank} = me.says;
  const before = all.filter(({serial, says}) => says !== undefined && !says.over && serial < me.serial);
  const other = before.find(({says}) => says?.size !== size);
  if (other?.says !== undefined)
    return invalid(
      `Members that came before say that the cluster has ${other.says.size} members, not ${size}.`,
      'Give the same --size on all machines, or another name.',
    );
  if (rank !== undefined && before.some(({says}) => says?.rank === rank))
    return invalid(`Another member has the rank ${rank}.`, 'Give each machine a rank of its own, or none.');
  return undefined;
}

/** The failure that counts: the earliest of those that nobody asked for. */
export function firstFailure(
  exits: readonly {rank: number; exit: Exit}[],
): {rank: number; exit: Exit} | undefined {
  return exits
    .filter(({exit}) => exit.code !== 0 && !exit.told)
    .sort((a, b) => a.exit.at - b.exit.at || a.rank - b.rank)[0];
}

const invalid = (reason: string, next: string) => new TunlError('CLUSTER_INVALID', {reason, next});
