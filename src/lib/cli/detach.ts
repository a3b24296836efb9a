// `--detach`: the command in the foreground starts the one in the background and waits for its first message.

import type {ErrorEvent, ReadyEvent} from '../agent/events.js';
import {EXIT, isErrorCode, TunlError} from '../core/errors.js';
import {stateDir} from '../core/state-dir.js';
import {sayFirst, startInBackground, takeBackgroundId} from '../launch/background.js';
import type {End, EndCause, ListedAddress} from '../launch/journal.js';
import {type OwnEntry, Roster} from '../launch/roster.js';
import {randomSecret} from '../launch/secret.js';
import {answerControl, BackgroundState, type ControlHooks, type Traffic} from './background-control.js';
import type {ListeningEvent} from './relay-start-events.js';
import {listenForSignals} from './signals.js';
import {boundStderr} from './stderr-log.js';
import type {TunnelState} from './tunnel-state.js';

/** The event of a tunnel or a relay that is up. */
export type UpEvent = ReadyEvent | ListeningEvent;

/** The command in the background is up. */
export interface Detached<T extends UpEvent> {
  /** One for each target. */
  ups: readonly T[];
  facts: string[];
}

/** The first message of the command in the background. */
interface FirstWord {
  event: UpEvent | ErrorEvent;
  /** The events of the other targets. */
  more?: readonly UpEvent[];
  /** Login data, as lines for people. */
  facts: string[];
}

/** Starts the same command in the background and waits until it is up. @throws TunlError when it does not come up */
export async function detach<T extends UpEvent>(type: T['type']): Promise<Detached<T>> {
  const roster = new Roster(stateDir());
  await roster.prepare();
  const id = randomSecret().slice(0, 6);
  const {child, first, release} = await startInBackground(id, spokenWords(), roster.logPath(id));
  using _signals = listenForSignals({
    onStop: () => child.kill('SIGTERM'),
    onLeave: () => {
      child.kill('SIGKILL');
      return undefined;
    },
  });
  const word = (await first) as FirstWord | undefined;
  if (word?.event.type === type) {
    release();
    return {ups: [word.event, ...(word.more ?? [])] as T[], facts: word.facts};
  }
  if (word?.event.type !== 'error') {
    throw new TunlError('UNEXPECTED', {
      reason: 'The command in the background ended without a message.',
      next: `See ${roster.logPath(id)}.`,
    });
  }
  await roster.remove(id);
  const {code, message, next} = word.event;
  throw new TunlError(isErrorCode(code) ? code : 'UNEXPECTED', {reason: message, next});
}

/** The words of this command, without flags that would keep events out of the log. */
function spokenWords(): string[] {
  const words = process.argv.slice(2);
  const end = words.includes('--') ? words.indexOf('--') : words.length;
  return words.filter((word, at) => at >= end || !['-q', '--quiet', '--json'].includes(word));
}

export interface UpOptions extends Omit<ControlHooks, 'stop' | 'onExtended'> {
  drainTimeoutMs: number;
  traffic?: () => Traffic;
  /** The tunnels of the command; absent for a relay. */
  tunnels?: readonly ListedAddress[];
}

/** The cause of an end without a reason. */
function causeOf(exitCode: number): EndCause {
  if (exitCode === 0) return 'stopped';
  return exitCode === EXIT.interrupted ? 'left' : 'failed';
}

/** The part of a command that runs in the background. */
export class InBackground {
  readonly id: string;
  readonly #roster = new Roster(stateDir());
  readonly #state = new BackgroundState();
  #entry: OwnEntry | undefined;
  #end: Pick<End, 'why' | 'code' | 'message'> | undefined;

  constructor(id: string) {
    this.id = id;
    boundStderr(this.#roster.logPath(id));
  }

  /** Undefined in the foreground. */
  static here(): InBackground | undefined {
    const id = takeBackgroundId();
    return id === undefined ? undefined : new InBackground(id);
  }

  /**
   * All tunnels of the command are up. The process enters the roster before an address is printed, so that the reader of the
   * address can stop it.
   */
  async up(
    [event, ...more]: readonly [UpEvent, ...UpEvent[]],
    facts: string[],
    {drainTimeoutMs, traffic, tunnels, ...hooks}: UpOptions,
  ): Promise<void> {
    if (traffic !== undefined) this.#state.watch(traffic);
    const expiresAt = event.type === 'ready' ? event.expiresAt : undefined;
    const entry = await this.#roster.enter({
      id: this.id,
      startedAt: new Date().toISOString(),
      command: process.argv.slice(2),
      address: event.type === 'ready' ? event.address : event.url,
      drainTimeoutMs,
      ...(tunnels !== undefined && {tunnels}),
      ...(expiresAt !== undefined && {expiresAt}),
    });
    this.#entry = entry;
    const control = await this.#roster.serve(this.id, (request, gone) =>
      answerControl(request, gone, this.#state, {
        ...hooks,
        onExtended: (expiresAt) => entry.change({expiresAt}),
        stop: (message) => {
          this.endsBecause('stopped', {...(message !== undefined && {message})});
          process.kill(process.pid, 'SIGTERM');
        },
      }),
    );
    // Every end of the process runs this, except SIGKILL and a crash of the machine.
    process.once('exit', (exitCode) => {
      const {why, ...more} = this.#end ?? {why: causeOf(exitCode)};
      entry.end({why, at: new Date().toISOString(), exitCode, ...more});
      control?.closeSync();
    });
    await sayFirst({event, more, facts} satisfies FirstWord);
  }

  /** The process is about to end for this reason. Only the first reason counts; the log shows the consequences. */
  endsBecause(why: End['why'], more: {code?: string; message?: string} = {}): void {
    this.#end ??= {why, ...more};
  }

  /** Tunnels were added or have ended. When the last one has ended, the entry keeps it: the command ends as well. */
  tunnelsAre(tunnels: readonly ListedAddress[]): void {
    const [first] = tunnels;
    if (first !== undefined) this.#entry?.change({tunnels, address: first.address});
  }

  /** Called after every event. */
  see(state: TunnelState): void {
    this.#state.see(state);
  }

  async failed(event: ErrorEvent): Promise<void> {
    const {code, message} = event;
    if (code !== 'ABORTED') this.endsBecause('failed', {code, message});
    await sayFirst({event, facts: []} satisfies FirstWord);
  }
}
