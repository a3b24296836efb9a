// What a tunnel or a relay in the background answers on its control socket.

import type {TunnelEvent} from '../agent/events.js';
import type {ControlAnswer, ControlRequest} from '../launch/control.js';
import type {BackgroundStatus} from './events.js';
import {oneLine} from './words.js';

export interface ControlHooks {
  /** Undefined where nothing ends by itself. */
  readonly extend?: ((expiresMs: number) => void) | undefined;
  /** Of a relay; a tunnel's visitors are counted from its events. */
  readonly openVisitors?: (() => number) | undefined;
  readonly stop: (reason: string | undefined) => void;
}

/** Folds the events of a tunnel into its status. */
export class BackgroundState {
  #link: BackgroundStatus['link'] = 'up';
  #open = 0;
  #total = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  #lastVisitorAt: string | undefined;

  event(event: TunnelEvent): void {
    if (event.type === 'ready' || event.type === 'resumed') this.#link = 'up';
    if (event.type === 'reconnecting') this.#link = event.state;
    if (event.type === 'draining') this.#link = 'closing';
    if (event.type !== 'connection' || event.state === 'refused') return;
    this.#lastVisitorAt = new Date().toISOString();
    if (event.state === 'open') {
      this.#open += 1;
      this.#total += 1;
      return;
    }
    this.#open -= 1;
    this.#bytesIn += event.bytesIn;
    this.#bytesOut += event.bytesOut;
  }

  status(): BackgroundStatus {
    return {
      link: this.#link,
      visitors: {open: this.#open, total: this.#total},
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      ...(this.#lastVisitorAt !== undefined && {lastVisitorAt: this.#lastVisitorAt}),
    };
  }
}

export function answerControl(
  request: ControlRequest,
  state: BackgroundState,
  hooks: ControlHooks,
): ControlAnswer | undefined {
  switch (request.do) {
    case 'status': {
      const open = hooks.openVisitors?.();
      return {ok: true, status: open === undefined ? state.status() : {link: 'up', visitors: {open}}};
    }
    case 'extend':
      if (hooks.extend === undefined) return undefined;
      hooks.extend(request.expiresMs);
      return {ok: true, expiresAt: new Date(Date.now() + request.expiresMs).toISOString()};
    case 'stop': {
      const reason = request.reason === undefined ? '' : oneLine(request.reason);
      hooks.stop(reason === '' ? undefined : reason);
      return {ok: true};
    }
  }
}

const LINKS: readonly unknown[] = ['up', 'away', 'leaving', 'refused', 'closing'];

/** Another version may answer otherwise: what does not fit is none. */
export function readStatus(answer: ControlAnswer | undefined): BackgroundStatus | undefined {
  const status = answer?.status;
  if (typeof status !== 'object' || status === null) return undefined;
  const {link, visitors, bytesIn, bytesOut, lastVisitorAt} = status as Record<string, unknown>;
  const {open, total} = (visitors ?? {}) as Record<string, unknown>;
  const isCount = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0;
  const areCounts = [total, bytesIn, bytesOut].every((value) => value === undefined || isCount(value));
  const isTime = lastVisitorAt === undefined || typeof lastVisitorAt === 'string';
  return LINKS.includes(link) && isCount(open) && areCounts && isTime
    ? (status as BackgroundStatus)
    : undefined;
}
