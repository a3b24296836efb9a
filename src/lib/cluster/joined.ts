// One member of a cluster over several machines: it waits for the others, runs its program as a member of their private
// network, and ends with them.

import {childEnv} from '../core/child-env.js';
import {systemClock} from '../core/clock.js';
import {EXIT, TunlError} from '../core/errors.js';
import {usableState} from '../core/usable-state.js';
import {exitCodeOf} from '../launch/exit.js';
import type {Membership} from '../network/join-options.js';
import {acceptInto, openMemberSeal} from '../network/member-seal.js';
import {joinNetwork} from '../network/membership.js';
import {openLink, type RelayLink} from '../open-link.js';
import {lastBytes, outstandingOf, sumOf} from '../seal/last-bytes.js';
import type {Seal} from '../seal/seal.js';
import {firstFailure, type Plan} from './barrier.js';
import {Crew} from './crew.js';
import type {ClusterEvent} from './events.js';
import {findProgram} from './find-program.js';
import {newMemberName} from './ids.js';
import {JOIN_TIMEOUT_MS, type JoinClusterOptions, MAX_JOIN_TIMEOUT_MS} from './join-options.js';
import {exitEvent} from './local.js';
import {Meeting} from './meeting.js';
import {
  type CheckedProgram,
  type ClusterEnd,
  checkProgram,
  checkRank,
  checkSize,
  checkTime,
  checkWords,
} from './options.js';
import {sealedProcess} from './sealed-process.js';
import {type ClusterFacts, hostsByRank, memberName, variablesFor, wordsFor} from './surroundings.js';
import {type Verdict, verdictOf} from './verdict.js';

/** A program may listen a moment after the first one dials it. */
const DIAL_GRACE_MS = 10_000;
/** When a program has failed, the others have so long to tell how they end, besides the grace. */
const LAST_WORDS_MS = 10_000;
const LEAVE_MS = 3_000;

interface Together {
  plan: Plan;
  facts: ClusterFacts;
  rank: number;
  meeting: Meeting;
  membership: Membership;
}

export class JoinedCluster {
  /** The program of this machine has begun for the first time. @throws TunlError as `ended` */
  readonly started: Promise<void>;
  /** All programs have ended. @throws TunlError CLUSTER_INVALID, CLUSTER_INCOMPLETE, CLUSTER_LOST, SEAL_UNAVAILABLE, and those of `openLink` */
  readonly ended: Promise<ClusterEnd>;
  readonly #words: readonly string[];
  readonly #program: CheckedProgram;
  readonly #options: JoinClusterOptions;
  readonly #joinTimeoutMs: number;
  readonly #closing = new AbortController();
  #sealing = Promise.withResolvers<Seal>();
  #crew: Crew | undefined;
  /** Aborts when the membership, the link or the network is lost. */
  readonly #lost = new AbortController();
  #lostBecause: TunlError | undefined;
  #begun = () => {};

  /** @throws TunlError CLUSTER_INVALID */
  constructor(argv: readonly string[], options: JoinClusterOptions) {
    this.#words = checkWords(argv);
    const size = checkSize(options.size);
    if (options.rank !== undefined) checkRank(options.rank, size);
    this.#program = checkProgram(options);
    this.#joinTimeoutMs = checkTime(options.joinTimeoutMs ?? JOIN_TIMEOUT_MS, MAX_JOIN_TIMEOUT_MS);
    this.#options = options;
    this.#sealing.promise.catch(() => {});
    this.ended = this.#run();
    this.started = new Promise((resolve, reject) => {
      this.#begun = resolve;
      this.ended.then(() => resolve(), reject);
    });
    this.started.catch(() => {});
  }

  /** Ends the program of this machine, and so those of all others. */
  close(): Promise<ClusterEnd> {
    this.#closing.abort(new TunlError('ABORTED'));
    return this.ended;
  }

  async #run(): Promise<ClusterEnd> {
    const {signal} = this.#options;
    const abort = () => void this.close().catch(() => {});
    signal?.addEventListener('abort', abort);
    if (signal?.aborted) abort();
    try {
      await findProgram(this.#words[0] ?? '', this.#program);
      await using link = await this.#openLink();
      await using membership = await this.#join(link);
      return await this.#take(membership);
    } catch (error) {
      if (this.#closing.signal.aborted) return {exitCode: EXIT.interrupted, closed: true};
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Once it is there, an end that is asked for is told to the others before it closes. */
  async #openLink(): Promise<RelayLink> {
    const giveUp = new AbortController();
    const abort = () => giveUp.abort();
    const {signal} = this.#closing;
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    try {
      return await openLink({
        ...this.#options,
        signal: giveUp.signal,
        onEvent: () => {},
        features: ['member'],
      });
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async #join(link: RelayLink): Promise<Membership> {
    const {name, rank, direct = false, stateDir, log} = this.#options;
    return await joinNetwork({
      link,
      scope: 'cluster',
      network: name,
      // A machine that starts again with its own rank takes the place of its earlier self.
      name: rank === undefined ? newMemberName() : `rank${rank}`,
      key: rank === undefined ? 'ephemeral' : {stateDir: stateDir ?? usableState({mustWrite: true}).path},
      direct,
      log,
      accept: (from, port, gone) =>
        acceptInto(this.#sealing.promise, {graceMs: DIAL_GRACE_MS})(from, port, gone),
    });
  }

  async #take(membership: Membership): Promise<ClusterEnd> {
    const {name, size, rank} = this.#options;
    const meeting = new Meeting({
      membership,
      size,
      rank,
      onWaiting: (present) => this.#tell({type: 'cluster-waiting', cluster: name, present, size}),
    });
    void membership.ended.then((error) => this.#lose(error));
    try {
      for (let restarts = 0; ; restarts += 1) {
        const {plan, verdict} = await this.#epoch(meeting, membership);
        const isLast = verdict.exitCode === 0 || restarts >= this.#program.restarts;
        if (!isLast && !this.#closing.signal.aborted) {
          meeting.again();
          continue;
        }
        await meeting.leave(plan, LEAVE_MS);
        return this.#end(verdict);
      }
    } finally {
      meeting.close();
    }
  }

  #lose(error: TunlError | undefined): void {
    if (error === undefined || this.#closing.signal.aborted) return;
    this.#lostBecause = error;
    this.#crew?.end();
    this.#lost.abort(error);
  }

  #end({exitCode, failed, lost}: Verdict): ClusterEnd {
    const closed = this.#closing.signal.aborted;
    const {name} = this.#options;
    const end = {exitCode, ...(failed !== undefined && {failed})};
    this.#tell({type: 'cluster-closed', cluster: name, ...end});
    if (closed) return {...end, closed};
    if (lost !== undefined)
      throw new TunlError('CLUSTER_LOST', {
        reason: `Member ${lost} of the cluster was lost.`,
        next: 'Start it again on all machines.',
      });
    return end;
  }

  /** Waits for all, runs the program, and waits until all have ended. */
  async #epoch(meeting: Meeting, membership: Membership): Promise<{plan: Plan; verdict: Verdict}> {
    const stop = AbortSignal.any([this.#closing.signal, this.#lost.signal]);
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(this.#incomplete(meeting)), this.#joinTimeoutMs);
    try {
      const signal = AbortSignal.any([stop, late.signal]);
      for (;;) {
        const plan = await meeting.plan(signal);
        const {facts, rank} = this.#factsOf(plan, meeting, membership);
        const seal = await this.#seal(facts, rank, membership, signal);
        try {
          if (!(await meeting.ready(plan, signal))) continue;
          clearTimeout(timer);
          return {plan, verdict: await this.#together(seal, {plan, facts, rank, meeting, membership})};
        } finally {
          this.#sealing = Promise.withResolvers();
          this.#sealing.promise.catch(() => {});
          await seal.close();
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #incomplete(meeting: Meeting): TunlError {
    const {size, name} = this.#options;
    const present = meeting.all.filter(({says}) => says?.size === size).length;
    return new TunlError('CLUSTER_INCOMPLETE', {
      reason:
        present < size
          ? `${present} of ${size} members of the cluster ${name} came in time.`
          : `The cluster ${name} did not start with this member in time.`,
    });
  }

  #factsOf({members}: Plan, {all}: Meeting, membership: Membership): {facts: ClusterFacts; rank: number} {
    const {name} = this.#options;
    const addresses = members.map((each) => all.find((seen) => seen.name === each)?.address ?? '');
    return {
      facts: {id: name, addresses, masterPort: this.#program.masterPort},
      rank: members.indexOf(membership.name),
    };
  }

  async #seal(facts: ClusterFacts, rank: number, membership: Membership, signal: AbortSignal): Promise<Seal> {
    const {log} = this.#options;
    const hosts = hostsByRank(facts);
    const seal = await openMemberSeal(
      {
        prefix: membership.prefix,
        address: membership.address,
        network: facts.id,
        name: `rank${rank}`,
        // Its members are those of the plan, by rank: others that wait have no names.
        members: hosts.map((each) => ({...each, serial: 0, accepts: true, state: {}, path: 'relay'})),
        onMembers: () => () => {},
        connect: (to) => membership.connect(to),
      },
      {
        ...(this.#program.isolated && {outside: {rules: {kind: 'none'}}}),
        log,
        signal,
        onLost: (detail) => {
          this.#lose(new TunlError('CLUSTER_LOST', {reason: `The member’s network: ${detail}.`}));
        },
      },
    );
    this.#sealing.resolve(seal);
    return seal;
  }

  async #together(seal: Seal, {plan, facts, rank, meeting, membership}: Together): Promise<Verdict> {
    const {env, cwd, graceMs} = this.#program;
    const {epoch} = plan;
    const cluster = facts.id;
    for (const [each, address] of facts.addresses.entries()) {
      const name = memberName(cluster, each);
      this.#tell({type: 'cluster-member', cluster, rank: each, address, name});
    }
    this.#tell({type: 'cluster-start', cluster, size: plan.members.length, epoch});
    const began = systemClock.now();
    const process = sealedProcess(seal, {
      argv: wordsFor(this.#words, rank, facts),
      env: {...childEnv(), ...env, ...variablesFor(rank, facts)},
      cwd,
    });
    const crew = new Crew({
      members: [{rank, process}],
      graceMs,
      onOutput: this.#options.onOutput,
      onExit: (_, exit, told) => {
        this.#tell(exitEvent(cluster, epoch, rank, exit, told));
        // An end that was asked for here is a failure for the others.
        const isAsked = this.#closing.signal.aborted;
        const code = isAsked ? EXIT.interrupted : exitCodeOf(exit);
        meeting.report({epoch, code, at: Math.round(systemClock.now() - began), told: told && !isAsked});
      },
    });
    this.#crew = crew;
    this.#begun();
    const stop = () => crew.end();
    this.#closing.signal.addEventListener('abort', stop);
    if (this.#closing.signal.aborted) stop();
    const over = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const told = new Set<number>([rank]);
    const others = meeting
      .until(
        () => {
          for (const {rank: other, exit} of meeting.exits(plan)) {
            if (told.has(other)) continue;
            told.add(other);
            this.#tell({
              type: 'cluster-exit',
              cluster,
              epoch,
              rank: other,
              exitCode: exit.code,
              ...(exit.told && {told: true}),
            });
          }
          if (firstFailure(meeting.exits(plan)) !== undefined || meeting.lost(plan).length > 0) crew.end();
          return meeting.exits(plan).length + meeting.lost(plan).length === plan.members.length;
        },
        AbortSignal.any([over.signal, this.#lost.signal]),
      )
      .catch(() => {});
    try {
      await crew.exited;
      // The others may not have all that the program has sent.
      const stopped = AbortSignal.any([this.#closing.signal, this.#lost.signal]);
      await lastBytes(() => sumOf([membership.outstanding, outstandingOf(seal)]), stopped);
      await seal.close();
      await crew.drained();
      if (this.#lostBecause !== undefined) throw this.#lostBecause;
      // After a failure the others end, too. One that has become silent is not waited for.
      const isBad = firstFailure(meeting.exits(plan)) !== undefined || meeting.lost(plan).length > 0;
      const patience = new Promise<void>((resolve) => {
        if (isBad) timer = setTimeout(resolve, graceMs + LAST_WORDS_MS);
      });
      const gone = new Promise<void>((resolve) => {
        this.#closing.signal.addEventListener('abort', () => resolve());
        if (this.#closing.signal.aborted) resolve();
      });
      await Promise.race([others, patience, gone]);
      if (this.#lostBecause !== undefined) throw this.#lostBecause;
      return verdictOf(meeting, plan);
    } finally {
      clearTimeout(timer);
      over.abort();
      this.#closing.signal.removeEventListener('abort', stop);
      this.#crew = undefined;
    }
  }

  #tell(event: ClusterEvent): void {
    this.#options.onEvent?.(event);
  }
}
