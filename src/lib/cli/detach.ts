// `--detach`: what the command in the foreground and the one in the background have to do with each other.

import {rm} from 'node:fs/promises';
import type {ErrorEvent, ReadyEvent} from '../agent/events.js';
import {isErrorCode, TunlError} from '../core/errors.js';
import {stateDir} from '../core/state-dir.js';
import {sayFirst, startInBackground, takeBackgroundId} from '../launch/background.js';
import {Roster} from '../launch/roster.js';
import {randomSecret} from '../launch/secret.js';
import {listenForSignals} from './signals.js';

/** What the one in the background says first. */
interface Word {
  event: ReadyEvent | ErrorEvent;
  /** Login facts, for people. */
  facts: string[];
}

/** Starts the same command in the background and waits until it is up. @throws TunlError why it is not */
export async function detach(): Promise<{ready: ReadyEvent; facts: string[]}> {
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
  const word = (await first) as Word | undefined;
  if (word?.event.type === 'ready') {
    release();
    return {ready: word.event, facts: word.facts};
  }
  const log = roster.logPath(id);
  if (word === undefined) {
    throw new TunlError('UNEXPECTED', {
      reason: 'The command in the background ended without a word.',
      next: `See ${log}.`,
    });
  }
  await rm(log, {force: true});
  const {code, message, next} = word.event;
  throw new TunlError(isErrorCode(code) ? code : 'UNEXPECTED', {reason: message, next});
}

/** The words of this command, without those that would keep it from telling its log what happens. */
function spokenWords(): string[] {
  const words = process.argv.slice(2);
  const end = words.includes('--') ? words.indexOf('--') : words.length;
  return words.filter((word, at) => at >= end || !['-q', '--quiet', '--json'].includes(word));
}

/** The side of the command that runs in the background. */
export class InBackground {
  readonly id: string;
  readonly #roster = new Roster(stateDir());

  constructor(id: string) {
    this.id = id;
  }

  /** Undefined in the foreground. */
  static here(): InBackground | undefined {
    const id = takeBackgroundId();
    return id === undefined ? undefined : new InBackground(id);
  }

  /** It is up: entered in the roster first, so that whoever has the address can stop it. */
  async up(ready: ReadyEvent, facts: string[]): Promise<void> {
    const {address, expiresAt} = ready;
    await this.#roster.enter({
      id: this.id,
      startedAt: new Date().toISOString(),
      command: process.argv.slice(2),
      address,
      ...(expiresAt !== undefined && {expiresAt}),
    });
    await sayFirst({event: ready, facts} satisfies Word);
  }

  async failed(event: ErrorEvent): Promise<void> {
    await sayFirst({event, facts: []} satisfies Word);
  }

  async over(): Promise<void> {
    await this.#roster.remove(this.id);
  }
}
