// The relay's warnings about visitors who fail before they reach this agent, for the tunnel's owner: each warning once, and
// after `ready`.

import type {ErrorCode} from '../core/errors.js';
import type {NoticeEvent} from './events.js';

/** A warning with another code comes from a newer relay and is ignored. */
const CODES: ReadonlySet<string> = new Set<ErrorCode>([
  'RELAY_CERTIFICATE',
  'CERTIFICATE_REFUSED',
  'ADDRESS_REFUSED',
  'VISITOR_NEEDS_H2',
  'VISITOR_NEEDS_HTTP1',
]);

/** The most warnings of one tunnel, whatever the relay sends. */
const MOST = 16;

export class RelayWarnings {
  readonly #onEvent: (event: NoticeEvent) => void;
  #isReady = false;
  /** A warning comes again with each new session. */
  readonly #said = new Map<string, NoticeEvent>();

  constructor(onEvent: (event: NoticeEvent) => void) {
    this.#onEvent = onEvent;
  }

  said(code: string, message: string): void {
    // The text about a refused address has the address of the first one, which differs in each session.
    const key = code === 'ADDRESS_REFUSED' ? code : message;
    if (!CODES.has(code) || this.#said.has(key) || this.#said.size >= MOST) return;
    const event: NoticeEvent = {type: 'notice', code: code as ErrorCode, message};
    this.#said.set(key, event);
    if (this.#isReady) this.#onEvent(event);
  }

  ready(): void {
    this.#isReady = true;
    for (const event of this.#said.values()) this.#onEvent(event);
  }
}
