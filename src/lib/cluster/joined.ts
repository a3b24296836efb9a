// One member of a cluster over several machines: it waits for the others, runs its program as a member of their private
// network, and ends with them.

import {setTimeout as wait} from 'node:timers/promises';
import {systemClock} from '../core/clock.js';
import {EXIT, TunlError} from '../core/errors.js';
import {usableState} from '../core/usable-state.js';
import {IncomingDatagrams} from '../network/incoming-datagrams.js';
import type {Membership} from '../network/join-options.js';
import {acceptInto, openMemberSeal} from '../network/member-seal.js';
import {joinNetwork} from '../network/membership.js';
import {openLink, type RelayLink} from '../open-link.js';
import {ranks} from '../seal/fabric/step.js';
import type {Seal} from '../seal/seal.js';
import type {Plan} from './barrier.js';
import type {ClusterEvent} from './events.js';
import {findProgram} from './find-program.js';
import {newMemberName} from './ids.js';
import {JOIN_TIMEOUT_MS, type JoinClusterOptions, MAX_JOIN_TIMEOUT_MS} from './join-options.js';
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
import {RestartPauses} from './restart-pauses.js';
import {type ClusterFacts, hostsByRank} from './surroundings.js';
import {runTogether} from './together.js';
import type {Verdict} from './verdict.js';

/** A program may listen a moment after the first one dials it. */
const DIAL_GRACE_MS = 10_000;
const LEAVE_MS = 3_000;

/** The step before the programs start. */
interface At {
  step: 'others' | 'network' | 'ready';
  plan: Plan | undefined;
}

interface Ended {
  readonly plan: Plan;
  readonly verdict: Verdict;
  readonly ranMs: number;
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
  /** The seal that `#sealing` leads to, once it is open. */
  #open: Seal | undefined;
  /** Aborts when the membership, the link or the network is lost. */
  readonly #lost = new AbortController();
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
      takeFlow: new IncomingDatagrams({seal: () => this.#open}).take,
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
      const pauses = new RestartPauses();
      for (let restarts = 0; ; restarts += 1) {
        const {plan, verdict, ranMs} = await this.#epoch(meeting, membership);
        const isLast = verdict.exitCode === 0 || restarts >= this.#program.restarts;
        if (!isLast && (await this.#pause(plan, verdict, pauses.after(ranMs)))) {
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

  /** False: the end was asked for. */
  async #pause({epoch}: Plan, {exitCode, failed}: Verdict, delayMs: number): Promise<boolean> {
    const {signal} = this.#closing;
    if (signal.aborted) return false;
    const {name: cluster} = this.#options;
    const why = {exitCode, ...(failed !== undefined && {failed})};
    this.#tell({type: 'cluster-restart', cluster, epoch: epoch + 1, delayMs, ...why});
    await wait(delayMs, undefined, {signal: AbortSignal.any([signal, this.#lost.signal])}).catch(() => {});
    return !signal.aborted;
  }

  #lose(error: TunlError | undefined): void {
    if (error === undefined || this.#closing.signal.aborted) return;
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
  async #epoch(meeting: Meeting, membership: Membership): Promise<Ended> {
    const stop = AbortSignal.any([this.#closing.signal, this.#lost.signal]);
    const late = new AbortController();
    const at: At = {step: 'others', plan: undefined};
    const timer = setTimeout(() => late.abort(this.#incomplete(meeting, at)), this.#joinTimeoutMs);
    try {
      const signal = AbortSignal.any([stop, late.signal]);
      for (;;) {
        at.step = 'others';
        const plan = await meeting.plan(signal);
        const {facts, rank} = this.#factsOf(plan, meeting, membership);
        Object.assign(at, {step: 'network', plan});
        const seal = await this.#seal(facts, rank, membership, signal).catch((error: unknown) => {
          // A seal says only that it was aborted.
          signal.throwIfAborted();
          throw error;
        });
        at.step = 'ready';
        try {
          if (!(await meeting.ready(plan, signal))) continue;
          clearTimeout(timer);
          const began = systemClock.now();
          const verdict = await runTogether({
            ...{seal, plan, facts, rank, meeting, membership},
            words: this.#words,
            program: this.#program,
            onOutput: this.#options.onOutput,
            onStart: () => this.#begun(),
            tell: (event) => this.#tell(event),
            closing: this.#closing.signal,
            lost: this.#lost.signal,
          });
          return {plan, verdict, ranMs: systemClock.now() - began};
        } finally {
          this.#open = undefined;
          this.#sealing = Promise.withResolvers();
          this.#sealing.promise.catch(() => {});
          await seal.close();
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #incomplete(meeting: Meeting, {step, plan}: At): TunlError {
    const {size, name} = this.#options;
    const present = meeting.all.filter(({says}) => says?.size === size).length;
    const reason = () => {
      if (step === 'network')
        return `The network of this member of the cluster ${name} was not ready in time.`;
      if (present < size) return `${present} of ${size} members of the cluster ${name} came in time.`;
      const late = step === 'ready' && plan !== undefined ? meeting.unready(plan) : [];
      return late.length > 0
        ? `Of the cluster ${name}, ${ranks(late)} ${late.length === 1 ? 'was' : 'were'} not ready in time.`
        : `The members of the cluster ${name} came, but the one that joined first did not let them start in time.`;
    };
    return new TunlError('CLUSTER_INCOMPLETE', {reason: reason()});
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
    const {log, onNotice} = this.#options;
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
        openFlow: (to, onOpen) => membership.openFlow(to, onOpen),
      },
      {
        ...(this.#program.isolated && {outside: {rules: {kind: 'none'}}}),
        log,
        signal,
        // Connections that fail are the program's to report: it tries them again while the others begin.
        onNotice: onNotice && ((notice) => notice.code === 'MEMBER_UDP' && onNotice(notice)),
        onLost: (detail) => {
          this.#lose(new TunlError('CLUSTER_LOST', {reason: `The member’s network: ${detail}.`}));
        },
      },
    );
    this.#sealing.resolve(seal);
    this.#open = seal;
    return seal;
  }

  #tell(event: ClusterEvent): void {
    this.#options.onEvent?.(event);
  }
}
