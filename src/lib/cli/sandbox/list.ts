// The sandboxes of this user, as `tunl sandbox ps` shows them.

import {atMost, systemClock} from '../../core/clock.js';
import {stateDir} from '../../core/state-dir.js';
import {RemoteSandbox} from '../../sandbox/remote.js';
import {type ListedSandbox, SandboxRoster} from '../../sandbox/roster.js';
import type {SandboxEvent} from './events.js';
import {listedSandbox, sandboxEvent} from './facts.js';

/** An owner that was stopped must not delay the list. */
const ANSWER_MS = 1_000;

export interface Listing {
  readonly listed: readonly SandboxEvent[];
  /** How many have ended and are left out. */
  readonly hidden: number;
}

/** @throws TunlError STATE_DIR */
export async function listSandboxes(all: boolean): Promise<Listing> {
  const roster = new SandboxRoster(stateDir());
  const found = (await roster.all()).filter(({life}) => life !== 'unknown');
  const running = found.filter(({life}) => life === 'running');
  const shown = all ? found : running;
  const listed = await Promise.all(shown.map((each) => eventOf(roster, each)));
  return {listed, hidden: found.length - running.length};
}

async function eventOf(roster: SandboxRoster, each: ListedSandbox): Promise<SandboxEvent> {
  if (each.life === 'ended') return listedSandbox(each);
  const event = await atMost(systemClock, ANSWER_MS, ask(roster, each)).catch(() => undefined);
  return event ?? listedSandbox(each);
}

async function ask(roster: SandboxRoster, each: ListedSandbox): Promise<SandboxEvent> {
  using sandbox = await RemoteSandbox.open(roster, each);
  return sandboxEvent(await sandbox.info());
}
