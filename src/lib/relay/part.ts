// The parts of a relay: each knows how to start and end, and the relay has them in one list.

import type {RelaySettings} from './settings.js';

/**
 * A subsystem of a relay. Its constructor may set a timer, but opens nothing and cannot fail: `start` does that. Parts start
 * in the order of the list and end in reverse: first all drain, then all close.
 */
export interface Part {
  /** Begins. The parts before it have started. */
  start?(): void | Promise<void>;
  /** Reads files that new settings name, to see whether the part can use them. Changes nothing. @throws TunlError */
  checkReload?(settings: RelaySettings): void | Promise<void>;
  /**
   * Takes new values of the settings that can change while the relay runs (`reloads` in the table). All parts have checked
   * the settings, so this must not fail.
   */
  reload?(settings: RelaySettings): void | Promise<void>;
  /**
   * Accepts nothing new, and lets open connections finish until this time (ms of the clock). The parts after it have drained.
   * `until` is not later than now when there is no time.
   */
  drain?(until: number): void | Promise<void>;
  /** Frees everything, also when the part has not started or has not drained. The parts after it have closed. */
  close?(until: number): void | Promise<void>;
}

export interface PartsOptions {
  /** In order: a part that needs others, or ends before them, comes after them. Undefined: a part that the settings leave out. */
  parts: readonly (Part | undefined)[];
  now: () => number;
  /** A part could not be ended or reloaded. The others are nevertheless. */
  onFailed: (error: unknown) => void;
}

export class Parts {
  readonly #options: PartsOptions;
  readonly #parts: readonly Part[];

  constructor(options: PartsOptions) {
    this.#options = options;
    this.#parts = options.parts.filter((part) => part !== undefined);
  }

  /** Starts one after the other. When one fails, all are closed. @throws the error of the part that failed. */
  async start(): Promise<void> {
    try {
      for (const part of this.#parts) await part.start?.();
    } catch (error) {
      await this.#close(this.#options.now());
      throw error;
    }
  }

  /** @throws the error of the first part that cannot use these settings. */
  async checkReload(settings: RelaySettings): Promise<void> {
    for (const part of this.#parts) await part.checkReload?.(settings);
  }

  /** In the order of the list. Never rejects. */
  async reload(settings: RelaySettings): Promise<void> {
    for (const part of this.#parts) await this.#try(() => part.reload?.(settings));
  }

  /** Never rejects. Parts that drain without waiting have done so when this returns, up to the first one that waits. */
  async end(until: number): Promise<void> {
    await this.#eachOf((part) => part.drain?.(until));
    await this.#close(until);
  }

  async #close(until: number): Promise<void> {
    await this.#eachOf((part) => part.close?.(until));
  }

  async #eachOf(step: (part: Part) => void | Promise<void>): Promise<void> {
    for (const part of this.#parts.toReversed()) {
      const waiting = this.#try(() => step(part));
      if (waiting !== undefined) await waiting;
    }
  }

  #try(step: () => void | Promise<void>): void | Promise<void> {
    try {
      return step()?.catch(this.#options.onFailed);
    } catch (error) {
      this.#options.onFailed(error);
    }
  }
}
