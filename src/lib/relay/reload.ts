// Reads the settings of a running relay again. All that can change without a restart changes together, or nothing does.

import {toTunlError} from '../core/errors.js';
import type {Setting} from '../core/settings.js';
import type {RelayEvents} from './events.js';
import type {RelayReload} from './options.js';
import type {Parts} from './part.js';
import {checkReach, type RelaySettings} from './settings.js';
import {RELAY_SETTINGS} from './settings-table.js';

/** Settings of the program around the relay. */
export interface OtherSettings extends Pick<RelayReload, 'changed' | 'needRestart'> {
  /** Uses the new values. Not called when the reload fails. */
  take(): void;
}

export interface Reread {
  settings: RelaySettings;
  others?: OtherSettings;
}

export interface ReloadsOptions {
  settings: RelaySettings;
  /** The settings as they are now outside of the relay. @throws TunlError */
  reread: () => Promise<Reread>;
  parts: Pick<Parts, 'checkReload' | 'reload'>;
  events: Pick<RelayEvents, 'emit'>;
}

export class Reloads {
  readonly #options: ReloadsOptions;
  #settings: RelaySettings;
  /** The reload that runs. */
  #running: Promise<unknown> = Promise.resolve();
  /** The one after it, for everybody who asks meanwhile. */
  #next: Promise<RelayReload> | undefined;

  constructor(options: ReloadsOptions) {
    this.#options = options;
    this.#settings = options.settings;
  }

  /** Reloads run one after the other, so that the last one has the newest values. Never rejects. */
  reload(): Promise<RelayReload> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      const running = this.#reload();
      this.#running = running;
      return running;
    });
    return this.#next;
  }

  async #reload(): Promise<RelayReload> {
    const {reread, parts, events} = this.#options;
    try {
      const {settings, others} = await reread();
      const {next, ...about} = afterReload(this.#settings, settings);
      await parts.checkReload(next);
      this.#settings = next;
      await parts.reload(next);
      others?.take();
      const changed = [...about.changed, ...(others?.changed ?? [])];
      const needRestart = [...about.needRestart, ...(others?.needRestart ?? [])];
      events.emit({type: 'reloaded', changed, needRestart});
      return {changed, needRestart};
    } catch (error) {
      const {code, message, next} = toTunlError(error);
      events.emit({type: 'reload-failed', code, reason: message});
      return {changed: [], needRestart: [], failed: {code, message, next}};
    }
  }
}

export interface AfterReload extends Pick<RelayReload, 'changed' | 'needRestart'> {
  /** The settings from now on: new values where they can change while the relay runs, else the old ones. */
  next: RelaySettings;
}

/** @throws TunlError TOKEN_NEEDED when the new values would leave the relay without a token where it listens now */
export function afterReload(now: RelaySettings, read: RelaySettings): AfterReload {
  const next = {...now, hasTokens: read.hasTokens};
  const changed: string[] = [];
  const needRestart: string[] = [];
  for (const [name, {reloads, flag, key: inFile}] of Object.entries<Setting<unknown>>(RELAY_SETTINGS)) {
    const key = name as keyof RelaySettings;
    if (JSON.stringify(now[key]) === JSON.stringify(read[key])) continue;
    const can = typeof reloads === 'function' ? reloads(now[key], read[key]) : reloads === true;
    (can ? changed : needRestart).push(inFile ?? flag ?? name);
    if (can) Object.assign(next, {[key]: read[key]});
  }
  checkReach(next);
  return {next, changed, needRestart};
}
