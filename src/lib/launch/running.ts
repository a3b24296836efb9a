// A running program: waits for its first answer, watches it, and ends it with all its processes.

import {setTimeout as sleep} from 'node:timers/promises';
import {systemClock} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import {discoverPlaces, loopback} from './discover.js';
import type {Exit} from './exit.js';
import {tooOld} from './find.js';
import type {OutputTail} from './output.js';
import {portsOf} from './ports.js';
import {endFamily, membersOf} from './processes.js';
import type {LoginFact, NamedSite, Program, PublicSide, Site} from './program.js';
import {type Answer, ask, type Dial, type Place, untilReady} from './ready.js';
import type {Room} from './room.js';
import type {Spawned} from './spawn.js';
import {trustedPlaces} from './trusted-places.js';

export interface RunningParts {
  readonly program: Program;
  readonly site: Site;
  /** Rejects when there is no tunnel. */
  readonly side: Promise<PublicSide>;
  readonly spawned: Spawned;
  readonly tail: OutputTail;
  readonly readyTimeoutMs: number;
  readonly graceMs: number;
  readonly room?: Room | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onNotice: ((message: string) => void) | undefined;
  /** Closes the result of `prepare` and removes the program's folder. */
  readonly cleanUp: () => Promise<void>;
}

const LAST_LINES = 12;
// Long enough for a program that opens several ports one after the other.
const OTHER_PORT_AFTER_MS = 3_000;
const GONE_AFTER_KILL_MS = 2_000;
// When all its processes have ended, the last output is in the pipes. Only a lost child keeps them open, so the wait is
// short, ms.
const LAST_OUTPUT_MS = 500;

export class RunningProgram implements AsyncDisposable {
  readonly pid: number;
  /**
   * The place where it answers, when the tunnel also has its names. Rejects when there is no tunnel, or when the program
   * ended, did not answer in time or was stopped; then the program is being stopped.
   */
  readonly ready: Promise<Place>;
  /** Resolves when it and all its processes are gone, with their files. Never rejects. */
  readonly exited: Promise<Exit>;

  readonly #parts: RunningParts;
  readonly #ended = new AbortController();
  #named: NamedSite | undefined;
  #hasAnswered = false;
  #exit: Exit | undefined;
  #stopped = false;
  #closing: Promise<Exit> | undefined;
  /** Pids that still existed when the program itself had ended. */
  #leftBehind: readonly number[] = [];

  constructor(parts: RunningParts) {
    const {spawned, signal} = parts;
    this.#parts = parts;
    this.pid = spawned.family.group;
    this.exited = spawned.exit.then((exit) => {
      this.#exit = exit;
      this.#ended.abort();
      return this.#close();
    });
    const abort = () => void this.stop();
    signal?.addEventListener('abort', abort, {once: true});
    void this.exited.then(() => signal?.removeEventListener('abort', abort));
    this.ready = this.#untilReady().catch((error: unknown) => {
      void this.stop();
      throw error;
    });
    // A caller that ignores `ready` sees the end by `exited`.
    this.ready.catch(() => {});
    if (signal?.aborted) abort();
  }

  /** The line for stdout. Only set after `ready` has resolved. */
  get address(): string {
    return this.#parts.program.address(this.#site);
  }

  get login(): readonly LoginFact[] {
    return this.#parts.program.login(this.#site);
  }

  get #site(): NamedSite {
    if (this.#named === undefined) throw new TunlError('CLOSED');
    return this.#named;
  }

  /** The end of its output, without secrets. */
  lastLines(count = LAST_LINES): string[] {
    return this.#parts.tail.lines(count);
  }

  /** Idempotent. SIGTERM, the program's grace, SIGKILL; resolves like `exited`. */
  async stop(): Promise<Exit> {
    this.#stopped = true;
    this.#ended.abort();
    return this.#close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #close(): Promise<Exit> {
    this.#closing ??= this.#closeOnce();
    return this.#closing;
  }

  async #closeOnce(): Promise<Exit> {
    const {spawned, graceMs, cleanUp} = this.#parts;
    if (!this.#stopped) {
      const {group, strays} = await membersOf(spawned.family);
      this.#leftBehind = [...group, ...strays];
    }
    await endFamily(spawned.family, graceMs);
    const nothing = {code: null, signal: 'SIGKILL'} as const;
    const exit = await Promise.race([spawned.exit, sleep(GONE_AFTER_KILL_MS, nothing, {ref: false})]);
    await Promise.race([spawned.drained, sleep(LAST_OUTPUT_MS, undefined, {ref: false})]);
    spawned.release();
    await cleanUp();
    return exit;
  }

  async #untilReady(): Promise<Place> {
    const {program, site, tail, spawned, readyTimeoutMs, room} = this.#parts;
    const tooLate = AbortSignal.timeout(readyTimeoutMs);
    const signal = AbortSignal.any([tooLate, this.#ended.signal]);
    const otherPort = new OtherPort(this.#parts);
    let last: Answer | undefined;
    const onMissed = (answer: Answer) => {
      // Both loopback addresses are probed in one round: a listener says more than its absence. And an answer says more
      // than the probe that was under way at the deadline.
      const tellsLess = answer.kind === 'refused' || (signal.aborted && last?.kind === 'wrong');
      if (!tellsLess || last === undefined) last = answer;
      if (last.kind === 'refused' && !program.choosesPort) otherPort.look();
    };
    const named = program.anyLoopback ? loopback(site.port) : [{host: '127.0.0.1', port: site.port}];
    const places = program.choosesPort
      ? discoverPlaces({ports: () => portsOf(spawned.family), lines: () => tail.lines()})
      : async () => named;
    const trusted = async (all: readonly Place[]) => {
      // Nobody else listens in a room, and a dial tries both addresses.
      if (room !== undefined) return all.slice(0, 1);
      const some = await trustedPlaces(all, spawned.family);
      if (some.length < all.length) onMissed({kind: 'wrong', what: 'another user’s program listens there'});
      return some;
    };
    const place = await untilReady({
      readiness: program.ready(site),
      signal,
      places: async () => await trusted(await places()),
      confirms: async (answered) => (await trusted([answered])).length > 0,
      onMissed,
      dial: this.#dial,
    });
    if (place !== undefined) await this.#checkGuard(place, signal);
    // The program has answered, or never will. Without names there is no address yet.
    this.#hasAnswered = place !== undefined;
    const side = place && (await this.#whileItLives(this.#parts.side));
    if (side) this.#named = {...site, public: side};
    if (this.#stopped) throw new TunlError('ABORTED', {reason: `${program.title} was stopped.`});
    if (this.#exit) throw await this.#diedError(this.#exit);
    if (place) return place;
    throw await this.#lateError(last, otherPort.found);
  }

  get #dial(): Dial | undefined {
    const {room} = this.#parts;
    return room && ((port, until) => room.dial(port, until));
  }

  /** @throws TunlError PROGRAM_CONFIG when the program lets in somebody without its secret */
  async #checkGuard(place: Place, signal: AbortSignal): Promise<void> {
    const {program} = this.#parts;
    if (program.guard === undefined) return;
    const {path, next} = program.guard;
    const isClosed = (status: number) => status === 401 || status === 403;
    const answer = await ask({kind: 'http', path, accept: isClosed}, place, {signal, dial: this.#dial});
    // A program that has ended has an error of its own. One that gives no answer in time is not let through.
    if (answer.kind === 'ready' || this.#ended.signal.aborted) return;
    const how = answer.kind === 'wrong' ? `: ${answer.what}` : '';
    throw new TunlError('PROGRAM_CONFIG', {
      reason: `${program.title} does not refuse a visitor without its secret${how}.`,
      next,
    });
  }

  /** Undefined when the program ends first. */
  async #whileItLives<T>(value: Promise<T>): Promise<T | undefined> {
    const {signal} = this.#ended;
    const ended = new Promise<undefined>((resolve) => {
      if (signal.aborted) resolve(undefined);
      signal.addEventListener('abort', () => resolve(undefined), {once: true});
    });
    return await Promise.race([value, ended]);
  }

  async #diedError(exit: Exit): Promise<TunlError> {
    const {program, site} = this.#parts;
    await this.exited;
    if (exit.code === 0 && this.#leftBehind.length > 0) {
      return new TunlError('PROGRAM_BACKGROUND', {
        reason: `${program.title} went into the background, where it cannot be watched; it was stopped.`,
      });
    }
    const how = exit.signal === null ? `with exit code ${exit.code}` : `by ${exit.signal}`;
    return (
      (await tooOld(program, site.found, site.env)) ??
      new TunlError('PROGRAM_DIED', {
        ...this.#withLines(
          `${program.title} ended ${how} before ${this.#hasAnswered ? 'the tunnel was there' : 'it answered'}.`,
          `Run ${site.found.bin} by itself to see why.`,
        ),
      })
    );
  }

  async #lateError(last: Answer | undefined, otherPort: number | undefined): Promise<TunlError> {
    const {program, site, readyTimeoutMs} = this.#parts;
    if (otherPort !== undefined) {
      return new TunlError('PROGRAM_OTHER_PORT', {
        reason: `${program.title} listens on port ${otherPort}, not on ${site.port}.`,
      });
    }
    const old = await tooOld(program, site.found, site.env);
    if (old) return old;
    const where = describe(last, program.choosesPort ? undefined : site.port);
    return new TunlError('PROGRAM_NOT_READY', {
      ...this.#withLines(
        `${program.title} ${where} within ${readyTimeoutMs / 1_000} s.`,
        'Allow more time with --ready-timeout, or run it alone to see what it does.',
      ),
    });
  }

  /** `alone`: the next step when there are no lines of output. */
  #withLines(sentence: string, alone: string): {reason: string; next?: string} {
    const lines = this.lastLines();
    if (lines.length === 0) return {reason: `${sentence} It printed nothing.`, next: alone};
    return {reason: [`${sentence} Its last lines:`, ...lines.map((line) => `  ${line}`)].join('\n')};
  }
}

/** @param port undefined: tunl finds the port that the program opens */
function describe(last: Answer | undefined, port: number | undefined): string {
  const its = port === undefined ? 'its port' : `port ${port}`;
  switch (last?.kind) {
    case 'wrong':
      return `gave no good answer on ${its} (last: ${last.what})`;
    case 'silent':
      return `accepted connections on ${its}, but did not answer`;
    default:
      return port === undefined ? 'opened no port' : `opened no port ${port}`;
  }
}

/** Notices once that a program with a given port listens on other ports only. */
class OtherPort {
  /** The port it listens on instead. */
  found: number | undefined;
  readonly #parts: RunningParts;
  readonly #since = systemClock.now();
  #nextLookAt = this.#since + OTHER_PORT_AFTER_MS;
  #looking = false;

  constructor(parts: RunningParts) {
    this.#parts = parts;
  }

  look(): void {
    if (this.#looking || systemClock.now() < this.#nextLookAt) return;
    this.#looking = true;
    void this.#lookOnce().finally(() => {
      this.#looking = false;
      this.#nextLookAt = systemClock.now() + 1_000;
    });
  }

  async #lookOnce(): Promise<void> {
    const {program, site, spawned, onNotice} = this.#parts;
    const ports = await portsOf(spawned.family);
    const other = ports.includes(site.port) ? undefined : ports[0];
    if (other !== undefined && this.found === undefined) {
      onNotice?.(`${program.title} listens on port ${other}; the tunnel leads to ${site.port}.`);
    }
    this.found = other;
  }
}
