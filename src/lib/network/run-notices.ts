// Tells what a program in a private network could not do: each thing once in a while, and never more than a few at a time.

import {type ErrorCode, toTunlError} from '../core/errors.js';
import {Seldom} from '../core/seldom.js';
import type {RefusalReason} from '../seal/policy.js';
import type {UdpState} from '../seal/udp/seal-udp.js';

export interface Notice {
  readonly code: ErrorCode;
  readonly message: string;
}

const RATE = {burst: 20, perSecond: 2};

export class RunNotices {
  readonly #tell: (notice: Notice) => unknown;
  readonly #seldom = new Seldom(RATE);
  #udp: UdpState | undefined;
  #saidUdp = false;

  constructor(tell: (notice: Notice) => unknown) {
    this.#tell = tell;
  }

  /** A member, or a host outside of the network, could not be reached. The program itself sees a reset. */
  failed(host: string, port: number, error: unknown, now?: number): void {
    const {code, message} = toTunlError(error);
    this.#once({code, message: `${host} port ${port}: ${message}`}, now);
  }

  /** The seal has not let a connection or a look-up out. */
  refused(host: string, port: number | undefined, why: RefusalReason, now?: number): void {
    // A look-up that finds nothing is the program's to report.
    if (port === undefined) return;
    const message = `${host} port ${port}: ${REASONS[why]}`;
    this.#once({code: 'NOT_ALLOWED', message}, now);
  }

  /** Whether the command has UDP with other members, or why not. */
  setUdp(udp: UdpState | undefined): void {
    this.#udp = udp;
  }

  /** UDP was refused without a look at its destination. */
  missedUdp(port: number): void {
    const udp = this.#udp;
    // Where members have it, nothing mends the rest.
    if (this.#saidUdp || udp === undefined || udp === 'carried') return;
    this.#saidUdp = true;
    const message = `UDP does not leave here: what the command sent to port ${port} was refused. Between members it needs a TUN device. ${udp.why} To mend it: ${udp.mend}`;
    this.#once({code: 'MEMBER_UDP', message});
  }

  #once(notice: Notice, now?: number): void {
    if (this.#seldom.mayTell(`${notice.code} ${notice.message}`, now)) this.#tell(notice);
  }
}

const REASONS: Readonly<Record<RefusalReason, string>> = {
  'not-allowed': 'there is no way out of this network.',
  'not-public': 'it is neither a member of the network nor a public address.',
  'address-unknown': 'no look-up has given this address.',
  'server-name': 'the first bytes name another host.',
  limit: 'too many connections are open.',
};
