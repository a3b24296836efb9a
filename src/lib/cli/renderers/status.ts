// What the block at the bottom says about a tunnel: only what is known. Nobody has asked the upstream before a visitor did.

import type {ReadyEvent} from '../../agent/events.js';
import type {CliEvent} from '../events.js';
import {time} from '../format.js';

export class Status {
  #ready: ReadyEvent | undefined;
  #link: 'up' | {lostAt: number; kept: number} = 'up';
  #upstream: 'unknown' | 'answers' | 'silent' = 'unknown';
  #closing = false;
  #open = 0;
  #total = 0;

  event(event: CliEvent): void {
    switch (event.type) {
      case 'ready':
        this.#ready = event;
        // A program was waited for until it answered.
        if (event.program !== undefined) this.#upstream = 'answers';
        break;
      case 'reconnecting':
        if (this.#link === 'up') this.#link = {lostAt: performance.now(), kept: event.connections};
        break;
      case 'resumed':
        this.#link = 'up';
        break;
      case 'connection':
        if (event.state === 'refused') this.#upstream = 'silent';
        if (event.state === 'open') {
          this.#upstream = 'answers';
          this.#open += 1;
          this.#total += 1;
        }
        if (event.state === 'closed') this.#open -= 1;
        break;
      case 'draining':
        this.#closing = true;
        break;
      case 'exited':
      case 'closed':
        this.#ready = undefined;
        break;
    }
  }

  /** Nothing before the tunnel is up, and after its end. */
  rows(): string[] {
    const ready = this.#ready;
    if (ready === undefined || ready.id !== undefined) return [];
    return [
      `  ${ready.address} → ${ready.upstream}`,
      `  ${this.#state()} · ${this.#open} open · ${this.#total} so far`,
    ];
  }

  #state(): string {
    if (this.#closing) return '◌ closing';
    if (this.#link !== 'up') {
      const kept = this.#link.kept === 0 ? '' : `, ${this.#link.kept} kept`;
      return `↻ link lost ${time(performance.now() - this.#link.lostAt)}${kept}`;
    }
    if (this.#upstream === 'silent') return '✗ upstream does not answer';
    return this.#upstream === 'answers' ? '● live' : '● link up';
  }
}
