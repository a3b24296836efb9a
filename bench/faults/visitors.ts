// The three visitors of a cell, in a process on the near host; see visitor.js.

import {fileURLToPath} from 'node:url';
import type {Child} from '../../test/helpers/child.js';
import type {Host} from '../../test/helpers/net-ns.js';
import type {Scope} from '../../test/helpers/scope.js';
import {start, within} from '../machine/programs.js';
import type {PublicSide} from './peers/peer.js';

interface Connection {
  wrong: number;
  /** How it ended: an error code, or `FIN`. */
  closed?: string;
  /** When it ended, on the same clock as `now`. */
  closedAt?: number;
}

interface Words extends Connection {
  said: number;
  back: number;
}

export interface Snapshot {
  now: number;
  /** Before the fault a visitor ended its own direction and waited for 100,000 bytes. This many arrived. */
  halfClosedBytes: number;
  download: Connection & {
    bytes: number;
    longestStallMs: number;
    /** Sum of the silences of more than 150 ms. */
    stalledMs: number;
    /** Time since the last byte. */
    silentMs: number;
  };
  echo: Words;
  quiet: Words;
  /** Time from the end of the fault until a new visitor was served. */
  fresh: {servedMs?: number};
}

const ANSWER_TIMEOUT_MS = 10_000;

export class Visitors {
  readonly #child: Child;
  #asked = 0;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** Resolves when all three are served. */
  static async come(
    scope: Scope,
    near: Host,
    to: PublicSide,
    download: {seed: number; rate: number},
  ): Promise<Visitors> {
    const program = fileURLToPath(new URL('visitor.js', import.meta.url));
    const words = [to.host, to.port, download.seed, download.rate].map(String);
    const options = {name: 'the visitors', namespace: near.namespace, stdin: true};
    const child = start(scope, process.execPath, [program, ...words], options);
    await within(ANSWER_TIMEOUT_MS, 'answer to all three visitors', child.line());
    return new Visitors(child);
  }

  async ask(word: 'report' | 'begin' | 'ask'): Promise<Snapshot> {
    const start = `${++this.#asked} `;
    this.#child.stdin.write(`${word}\n`);
    const answer = this.#child.line((line) => line.startsWith(start));
    return JSON.parse((await within(ANSWER_TIMEOUT_MS, 'snapshot', answer)).slice(start.length));
  }
}
