// What the relay says about visitors who fail before they reach this agent, for the tunnel's owner: each warning once, and
// after `ready`.

import type {ErrorCode} from '../core/errors.js';
import type {NoticeEvent} from './events.js';

/** A warning with another code comes from a newer relay and is ignored. */
const CODES: ReadonlySet<string> = new Set<ErrorCode>([
  'RELAY_CERTIFICATE',
  'CERTIFICATE_REFUSED',
  'VISITOR_NEEDS_H2',
  'VISITOR_NEEDS_HTTP1',
]);

/** The most warnings of one tunnel, whatever the relay sends. */
const MOST = 16;

export class RelayWarnings {
  readonly #onEvent: (event: NoticeEvent) => void;
  #isReady = false;
  /** By their text: a warning comes again with each new session. */
  readonly #said = new Map<string, NoticeEvent>();

  constructor(onEvent: (event: NoticeEvent) => void) {
    this.#onEvent = onEvent;
  }

  said(code: string, message: string): void {
    if (!CODES.has(code) || this.#said.has(message) || this.#said.size >= MOST) return;
    const event: NoticeEvent = {type: 'notice', code: code as ErrorCode, message};
    this.#said.set(message, event);
    if (this.#isReady) this.#onEvent(event);
  }

  ready(): void {
    this.#isReady = true;
    for (const event of this.#said.values()) this.#onEvent(event);
  }
}
