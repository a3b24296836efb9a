// What the relay says about a tunnel's certificate, for its owner: told once, and after `ready`.

import type {NoticeEvent} from './events.js';

export class RelayWarning {
  readonly #onEvent: (event: NoticeEvent) => void;
  #isReady = false;
  /** The same warning comes again with each new session. */
  #last: string | undefined;

  constructor(onEvent: (event: NoticeEvent) => void) {
    this.#onEvent = onEvent;
  }

  said(message: string): void {
    if (message === this.#last) return;
    this.#last = message;
    if (this.#isReady) this.#onEvent({type: 'notice', code: 'RELAY_CERTIFICATE', message});
  }

  ready(): void {
    this.#isReady = true;
    if (this.#last !== undefined)
      this.#onEvent({type: 'notice', code: 'RELAY_CERTIFICATE', message: this.#last});
  }
}
