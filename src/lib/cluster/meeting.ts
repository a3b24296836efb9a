// This member among the others of its cluster: it waits for them, plans if it came first, and learns how they end.

import {isDeepStrictEqual} from 'node:util';
import {type Clock, systemClock} from '../core/clock.js';
import type {TunlError} from '../core/errors.js';
import type {Membership} from '../network/join-options.js';
import {
  conflict,
  type Exit,
  leaderOf,
  type Plan,
  ranksOf,
  readSays,
  type Says,
  type Seen,
  waitingFor,
} from './barrier.js';
import {newProcessId} from './ids.js';
import {Waiters} from './waiters.js';

export interface MeetingOptions {
  readonly membership: Pick<Membership, 'name' | 'members' | 'onMembers' | 'setState'>;
  readonly size: number;
  readonly rank?: number | undefined;
  readonly clock?: Clock;
  /** How many are there, while some are missing. */
  readonly onWaiting: (present: number) => void;
}

/** A member that has said nothing to a plan for so long is left out: its machine is gone, and the relay still waits for it. */
const DEAF_MS = 15_000;
/** A member that has taken a plan seals its network before it is ready: each of the steps may take 20 s, and the first one twice. */
const SEAL_MS = 120_000;
/** A member that is missing in the roster is lost after this: all members come back after a restart of the relay. */
const LOST_MS = 20_000;

export class Meeting {
  readonly #options: MeetingOptions;
  readonly #clock: Clock;
  readonly #leave: () => void;
  readonly #waiters = new Waiters();
  /** Names that are left out until they say something new. */
  readonly #deaf = new Set<string>();
  /** The last words of members, also of those that have left. */
  readonly #known = new Map<string, Seen>();
  readonly #missingSince = new Map<string, number>();
  /** The ends of the start that runs, by name. A process that takes the name later does not tell them again. */
  readonly #ended = new Map<string, Exit>();
  #own: Says;
  #attempt = 0;
  #present = -1;
  #failure: TunlError | undefined;

  constructor(options: MeetingOptions) {
    const {membership, size, rank, clock = systemClock} = options;
    this.#options = options;
    this.#clock = clock;
    this.#own = {id: newProcessId(), size, rank, epoch: 1};
    this.#leave = membership.onMembers(() => this.#look());
    this.#say({});
  }

  /** The start that this member waits for. */
  get epoch(): number {
    return this.#own.epoch;
  }

  get all(): readonly Seen[] {
    const {members, name} = this.#options.membership;
    return members.map((each) => ({
      name: each.name,
      address: each.address,
      serial: each.serial,
      // Its own words are known here before the relay has told them.
      says: each.name === name ? this.#own : readSays(each.state),
    }));
  }

  /** Resolves with a plan that has this member in it. @throws TunlError CLUSTER_INVALID; the signal's reason */
  async plan(signal: AbortSignal): Promise<Plan> {
    const plan = await this.#until(() => this.#currentPlan(), signal);
    this.#say({taken: plan.id});
    return plan;
  }

  /** True: all are ready for it. False: there is another plan now. */
  async ready(plan: Plan, signal: AbortSignal): Promise<boolean> {
    this.#ended.clear();
    this.#say({taken: undefined, ready: plan.id});
    const isBegun = await this.#until(() => {
      const leader = this.#leader();
      if (leader?.says?.go === plan.id) return true;
      return this.#currentPlan()?.id === plan.id ? undefined : false;
    }, signal);
    // The others may wait for a later start already.
    if (!isBegun) this.#say({ready: undefined});
    return isBegun;
  }

  /** Ranks that have not said that they are ready for the plan. */
  unready({id, members}: Plan): number[] {
    return members.flatMap((name, rank) => (this.#lastWords(name)?.ready === id ? [] : [rank]));
  }

  /** How the program of this member has ended. */
  report(exit: Exit): void {
    this.#say({exit});
  }

  /** The members of a plan that have ended, by rank. */
  exits({members, epoch}: Plan): {rank: number; exit: Exit}[] {
    return members.flatMap((name, rank) => {
      const last = this.#lastWords(name)?.exit;
      const exit = last?.epoch === epoch ? last : this.#ended.get(name);
      return exit?.epoch === epoch ? [{rank, exit}] : [];
    });
  }

  /** Ranks of a plan that has begun which are gone without a word about their end. */
  lost(plan: Plan): number[] {
    const ended = new Set(this.exits(plan).map(({rank}) => rank));
    const now = this.#clock.now();
    const isGone = (name: string) => {
      const since = this.#missingSince.get(name);
      if (since !== undefined) return now - since >= LOST_MS;
      // All were ready before it began, so this is another process in the place of the one that was.
      const says = this.#lastWords(name);
      return says !== undefined && says.ready !== plan.id;
    };
    return plan.members.flatMap((name, rank) => (!ended.has(rank) && isGone(name) ? [rank] : []));
  }

  /** Resolves when `holds` does, after each change of what members say. */
  until(holds: () => boolean, signal: AbortSignal): Promise<true> {
    return this.#until(() => holds() || undefined, signal);
  }

  /** This member waits for the next start. */
  again(): void {
    const {id, size, rank, epoch, exit} = this.#own;
    this.#own = {id, size, rank, epoch: epoch + 1, exit};
    this.#say({});
  }

  /** Waits for a moment until all members of the plan know how it has ended. */
  async leave({members}: Plan, withinMs: number): Promise<void> {
    this.#say({over: true});
    const {name: own} = this.#options.membership;
    const others = members.filter((name) => name !== own);
    const isThere = (name: string) => this.all.some((each) => each.name === name && each.says?.over !== true);
    const late = new AbortController();
    // Not `AbortSignal.timeout`, which does not keep the process alive.
    const timer = setTimeout(() => late.abort(), withinMs);
    await this.until(() => !others.some(isThere), late.signal).catch(() => {});
    clearTimeout(timer);
  }

  close(): void {
    this.#leave();
  }

  #lastWords(name: string): Says | undefined {
    return name === this.#options.membership.name ? this.#own : this.#known.get(name)?.says;
  }

  #leader(): Seen | undefined {
    return leaderOf(this.all, this.#own.size, this.#deaf);
  }

  #currentPlan(): Plan | undefined {
    const {plan, go} = this.#leader()?.says ?? {};
    if (plan?.epoch !== this.#own.epoch) return undefined;
    // It has begun with an earlier process in this place.
    if (go === plan.id && this.#own.ready !== plan.id) return undefined;
    return plan.members.includes(this.#options.membership.name) ? plan : undefined;
  }

  #say(more: Partial<Says>): void {
    this.#own = {...this.#own, ...more};
    this.#options.membership.setState({cluster: this.#own});
    this.#look();
  }

  #look(): void {
    const {all} = this;
    this.#remember(all);
    const {name} = this.#options.membership;
    this.#failure = conflict(all, name);
    this.#follow(all);
    if (this.#leader()?.name === name) this.#lead(all);
    this.#waiters.wake();
  }

  #remember(all: readonly Seen[]): void {
    const {ready, epoch} = this.#own;
    for (const seen of all) {
      const {name, says} = seen;
      // New words are those of a living member, or of another process that has come in its place.
      if (!isDeepStrictEqual(says, this.#known.get(name)?.says)) this.#deaf.delete(name);
      this.#known.set(name, seen);
      if (ready !== undefined && says?.ready === ready && says.exit?.epoch === epoch)
        this.#ended.set(name, says.exit);
    }
    for (const name of this.#known.keys()) {
      if (all.some((each) => each.name === name)) this.#missingSince.delete(name);
      else if (!this.#missingSince.has(name)) {
        this.#missingSince.set(name, this.#clock.now());
        this.#clock.after(LOST_MS, () => this.#look());
      }
    }
  }

  /** A member that came later, or that took the place of a lost one, waits for the same start as the others. */
  #follow(all: readonly Seen[]): void {
    const {size, epoch, ready, exit} = this.#own;
    if (ready !== undefined || exit?.epoch === epoch) return;
    const latest = Math.max(epoch, ...all.map(({says}) => (says?.size === size ? says.epoch : 0)));
    if (latest > epoch) {
      this.#own = {...this.#own, epoch: latest};
      this.#options.membership.setState({cluster: this.#own});
    }
    const present = waitingFor(all, {size, epoch: latest, deaf: this.#deaf}).length;
    if (present === this.#present) return;
    this.#present = present;
    if (present < size) this.#options.onWaiting(present);
    else this.#expect(latest);
  }

  /** All are there: a leader whose plan does not change, and does not begin either, has gone. */
  #expect(epoch: number, planned = this.#leader()?.says?.plan?.id): void {
    const leader = this.#leader();
    if (leader === undefined || leader.name === this.#options.membership.name) return;
    // The leader has its own patience with the members of a plan.
    const patienceMs = planned === undefined ? DEAF_MS : SEAL_MS + DEAF_MS;
    this.#clock.after(patienceMs, () => {
      const now = this.#leader();
      const {epoch: own, exit} = this.#own;
      if (own !== epoch || exit?.epoch === epoch || now?.name !== leader.name) return;
      const plan = now.says?.plan?.id;
      if (plan !== undefined && now.says?.go === plan) return;
      if (plan !== planned) return this.#expect(epoch, plan);
      this.#deaf.add(leader.name);
      this.#look();
    });
  }

  #lead(all: readonly Seen[]): void {
    const {id, size, epoch, plan, exit, go} = this.#own;
    if (exit?.epoch === epoch || (plan !== undefined && plan.id === go)) return;
    const waiting = waitingFor(all, {size, epoch, deaf: this.#deaf});
    const isWhole =
      plan?.epoch === epoch && plan.members.every((name) => waiting.some((each) => each.name === name));
    if (plan !== undefined && isWhole) {
      const isReady = ({says}: Seen) => says?.ready === plan.id;
      if (plan.members.every((name) => waiting.some((each) => each.name === name && isReady(each))))
        this.#say({go: plan.id});
      return;
    }
    const members = ranksOf(waiting, size);
    if (members === undefined) {
      if (plan !== undefined) this.#say({plan: undefined});
      return;
    }
    this.#attempt += 1;
    // An earlier process with the same name may have made plans, and others may be ready for them.
    const next = {id: `${epoch}.${id}.${this.#attempt}`, epoch, members};
    const isReady = ({ready}: Says) => ready === next.id;
    this.#clock.after(DEAF_MS, () => this.#leaveOut(next, (says) => says.taken === next.id || isReady(says)));
    this.#clock.after(SEAL_MS, () => this.#leaveOut(next, isReady));
    this.#say({plan: next});
  }

  /** Members of the plan whose words are not the expected ones in time. */
  #leaveOut(plan: Plan, isExpected: (says: Says) => boolean): void {
    if (this.#own.plan?.id !== plan.id || this.#own.go === plan.id) return;
    for (const name of plan.members) {
      const says = this.#lastWords(name);
      if (says === undefined || !isExpected(says)) this.#deaf.add(name);
    }
    this.#deaf.delete(this.#options.membership.name);
    this.#look();
  }

  #until<T>(look: () => T | undefined, signal: AbortSignal): Promise<T> {
    return this.#waiters.until(() => {
      const found = look();
      if (found === undefined && this.#failure !== undefined) throw this.#failure;
      return found;
    }, signal);
  }
}
