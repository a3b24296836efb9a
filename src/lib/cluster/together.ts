// One start of a cluster over several machines, once all are ready: the program of this machine, and the ends of all programs.

import {childEnv} from '../core/child-env.js';
import {systemClock} from '../core/clock.js';
import {EXIT} from '../core/errors.js';
import {exitCodeOf} from '../launch/exit.js';
import type {Membership} from '../network/join-options.js';
import {lastBytes, outstandingOf, sumOf} from '../seal/last-bytes.js';
import type {Seal} from '../seal/seal.js';
import {firstFailure, type Plan} from './barrier.js';
import {Crew} from './crew.js';
import type {ClusterEvent} from './events.js';
import type {JoinClusterOptions} from './join-options.js';
import {exitEvent} from './local.js';
import type {Meeting} from './meeting.js';
import type {CheckedProgram} from './options.js';
import {sealedProcess} from './sealed-process.js';
import {type ClusterFacts, memberName, variablesFor, wordsFor} from './surroundings.js';
import {type Verdict, verdictOf} from './verdict.js';

/** When a program has failed, the others have so long to tell how they end, besides the grace. */
const LAST_WORDS_MS = 10_000;

export interface TogetherOptions {
  readonly seal: Seal;
  readonly plan: Plan;
  readonly facts: ClusterFacts;
  readonly rank: number;
  readonly meeting: Meeting;
  readonly membership: Pick<Membership, 'outstanding'>;
  readonly words: readonly string[];
  readonly program: CheckedProgram;
  readonly onOutput: JoinClusterOptions['onOutput'];
  readonly onStart: () => void;
  readonly tell: (event: ClusterEvent) => void;
  /** The end was asked for on this machine. */
  readonly closing: AbortSignal;
  /** The membership, the link or the network is lost; its reason says which. */
  readonly lost: AbortSignal;
}

/** Closes the seal. @throws the reason of `lost` */
export async function runTogether(options: TogetherOptions): Promise<Verdict> {
  const {seal, plan, facts, rank, meeting, membership, program, tell, closing, lost} = options;
  const {epoch} = plan;
  const cluster = facts.id;
  for (const [each, address] of facts.addresses.entries())
    tell({type: 'cluster-member', cluster, rank: each, address, name: memberName(cluster, each)});
  tell({type: 'cluster-start', cluster, size: plan.members.length, epoch});
  const began = systemClock.now();
  const process = sealedProcess(seal, {
    argv: wordsFor(options.words, rank, facts),
    env: {...childEnv(), ...program.env, ...variablesFor(rank, facts)},
    cwd: program.cwd,
  });
  const crew = new Crew({
    members: [{rank, process}],
    graceMs: program.graceMs,
    onOutput: options.onOutput,
    onExit: (_, exit, told) => {
      tell(exitEvent(cluster, epoch, rank, exit, told));
      // An end that was asked for here is a failure for the others.
      const isAsked = closing.aborted;
      const code = isAsked ? EXIT.interrupted : exitCodeOf(exit);
      meeting.report({epoch, code, at: Math.round(systemClock.now() - began), told: told && !isAsked});
    },
  });
  options.onStart();
  const stopped = AbortSignal.any([closing, lost]);
  const stop = () => crew.end();
  stopped.addEventListener('abort', stop);
  if (stopped.aborted) stop();
  const over = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const others = followOthers(crew, options, AbortSignal.any([over.signal, lost]));
  try {
    await crew.exited;
    // The others may not have all that the program has sent.
    if (!stopped.aborted) await seal.lastDatagrams();
    await lastBytes(() => sumOf([membership.outstanding, outstandingOf(seal)]), stopped);
    await seal.close();
    await crew.drained();
    lost.throwIfAborted();
    // After a failure the others end, too. One that has become silent is not waited for.
    const patience = new Promise<void>((resolve) => {
      if (isBad(meeting, plan)) timer = setTimeout(resolve, program.graceMs + LAST_WORDS_MS);
    });
    const gone = new Promise<void>((resolve) => {
      closing.addEventListener('abort', () => resolve());
      if (closing.aborted) resolve();
    });
    await Promise.race([others, patience, gone]);
    lost.throwIfAborted();
    return verdictOf(meeting, plan);
  } finally {
    clearTimeout(timer);
    over.abort();
    stopped.removeEventListener('abort', stop);
  }
}

const isBad = (meeting: Meeting, plan: Plan): boolean =>
  firstFailure(meeting.exits(plan)) !== undefined || meeting.lost(plan).length > 0;

/** Tells how the others end, and ends the program of this machine with them. Resolves when all have ended. */
async function followOthers(
  crew: Crew,
  {plan, facts, rank, meeting, tell}: TogetherOptions,
  signal: AbortSignal,
): Promise<void> {
  const {epoch} = plan;
  const told = new Set<number>([rank]);
  const look = () => {
    const exits = meeting.exits(plan);
    for (const {rank: other, exit} of exits) {
      if (told.has(other)) continue;
      told.add(other);
      tell({
        type: 'cluster-exit',
        cluster: facts.id,
        epoch,
        rank: other,
        exitCode: exit.code,
        ...(exit.told && {told: true}),
      });
    }
    if (isBad(meeting, plan)) crew.end();
    return exits.length + meeting.lost(plan).length === plan.members.length;
  };
  await meeting.until(look, signal).catch(() => {});
}
