// What happens in a relay, as values: the log, an audit, a page for operators and tests listen to the same ones.

import type {ErrorCode} from '../core/errors.js';
import type {LeaseKey} from './leases/lease-store.js';

/** What strangers can cause at will is told once at once, and as a count after that. */
interface Repeated {
  /** The address; undefined: the sum of many. */
  from?: string;
  /** How often since the last event about it, where not once. */
  times?: number;
}

/** `session` is the beginning of the session's id, the same in all events about it. No field is a secret. */
export type RelayEvent =
  | {type: 'agent-connected'; session: string; owner: string; from: string}
  /** The link is gone; the session waits for another. */
  | {type: 'agent-away'; session: string; reason: string | undefined}
  | {type: 'agent-resumed'; session: string; epoch: number}
  | {type: 'agent-gone'; session: string; code: ErrorCode | undefined}
  /** It came to no session. */
  | {type: 'handshake-failed'; from: string; reason: string | undefined}
  | {type: 'tunnel-bound'; session: string; key: LeaseKey; epoch: number; takeover: boolean}
  /** Another agent of the same owner has taken it over. */
  | {type: 'tunnel-lost'; session: string; key: LeaseKey; epoch: number}
  /** Its agent gave it up, or is gone. */
  | {type: 'tunnel-released'; session: string; key: LeaseKey; epoch: number}
  | {type: 'bind-refused'; session: string; code: ErrorCode}
  | ({type: 'token-refused'} & Repeated)
  /** `failures`: too many connections of this source came to nothing. `no-room`: no descriptors or memory are left. */
  | ({type: 'turned-away'; because: 'failures' | 'no-room'} & Repeated);

/** How events name a session. */
export const sessionName = (id: string): string => id.slice(0, 8);

/** Runs in the middle of what has happened: it must not wait, and it must not change the relay. */
export type RelayListener = (event: RelayEvent) => void;

export class RelayEvents {
  readonly #listeners: RelayListener[] = [];
  readonly #onFailed: (error: unknown) => void;

  /** @param onFailed a listener has thrown. The others hear of the event all the same. */
  constructor(onFailed: (error: unknown) => void) {
    this.#onFailed = onFailed;
  }

  listen(listener: RelayListener): void {
    this.#listeners.push(listener);
  }

  emit(event: RelayEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#onFailed(error);
      }
    }
  }
}
