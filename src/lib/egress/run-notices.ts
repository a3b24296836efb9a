// Tells what a command behind an egress could not do: each thing once in a while, and never more than a few at a time.

import {type ErrorCode, toTunlError} from '../core/errors.js';
import {isListening} from '../core/listening.js';
import {Seldom} from '../core/seldom.js';
import {formatHostPort} from '../protocol/targets.js';
import type {UdpState} from '../seal/udp/seal-udp.js';

export interface Notice {
  readonly code: ErrorCode;
  readonly message: string;
}

const RATE = {burst: 20, perSecond: 2};

export class RunNotices {
  readonly #tell: (notice: Notice) => void;
  readonly #localPorts: ReadonlySet<number>;
  readonly #seldom = new Seldom(RATE);
  #saidUdp = false;
  #udp: UdpState | undefined;

  constructor(tell: (notice: Notice) => void, localPorts: readonly number[] = []) {
    this.#tell = tell;
    this.#localPorts = new Set(localPorts);
  }

  /** Whether UDP leaves by the egress, or why not. */
  setUdp(udp: UdpState): void {
    this.#udp = udp;
  }

  /** A destination could not be reached. The command itself sees a reset. */
  failed(host: string, port: number, error: unknown): void {
    if (this.#localPorts.has(port) && host === 'localhost') {
      const message = `Nothing answers on port ${port} of this machine’s loopback.`;
      this.#once({code: 'EGRESS_LOCAL', message}, `local ${port}`);
      return;
    }
    this.failedAt(formatHostPort(host, port), error);
  }

  failedAt(destination: string, error: unknown): void {
    const {code, message} = toTunlError(error);
    this.#once({code, message}, `${destination} ${code}`);
  }

  /** Too many connections. */
  full(host: string, most: number): void {
    const message = `The command has ${most} connections open, or half as many on their way: one to ${host} was refused.`;
    this.#once({code: 'EGRESS_UNREACHABLE', message}, 'full');
  }

  async missed({kind, port}: {kind: 'udp' | 'local'; port: number}): Promise<void> {
    if (kind === 'udp') {
      if (this.#saidUdp) return;
      this.#saidUdp = true;
      const udp = this.#udp;
      // Broadcasts and multicasts are refused there as well, and nothing mends that.
      if (udp === 'carried') return;
      const why = udp === undefined ? '' : ` ${udp.why} To mend it: ${udp.mend}`;
      const message = `UDP does not leave here: what the command sent to port ${port} was refused. Programs with HTTP/3 go on by TCP.${why}`;
      this.#once({code: 'EGRESS_UDP', message}, 'udp');
      return;
    }
    // A program often tries its own port until it is open. Only a service of the machine is worth a word.
    if (this.#localPorts.has(port) || !(await isListening(['127.0.0.1', '::1'], port))) return;
    const message = `Loopback inside is the command’s own, and it has nothing on port ${port}; this machine has.`;
    this.#once({code: 'EGRESS_LOCAL', message}, `local ${port}`);
  }

  #once(notice: Notice, key: string): void {
    if (this.#seldom.mayTell(key)) this.#tell(notice);
  }
}
