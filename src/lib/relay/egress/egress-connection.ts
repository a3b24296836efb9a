// One connection by egress: the guard, the look-up, the dial, and then the splice with its stream.

import type {Socket} from 'node:net';
import {PacedSplice} from '../../bytes/paced-splice.js';
import {resetSocket} from '../../bytes/reset.js';
import type {SocketReads} from '../../bytes/socket-reads.js';
import {Splice, type SpliceOptions} from '../../bytes/splice.js';
import {systemCode} from '../../core/errors.js';
import type {Stream} from '../../mux/stream.js';
import type {KeepAlive} from '../../net/keep-alive.js';
import {formatHostPort} from '../../protocol/targets.js';
import type {StreamCode} from '../../protocol/wire.js';
import type {Opener} from '../agents/opened-streams.js';
import {sessionName} from '../events.js';
import {findDestination, forbiddenNow, type Refusal} from './destination.js';
import {dialFrom, NO_PORT, NO_SOURCE} from './egress-dial.js';
import type {EgressSet} from './egress-set.js';
import {isAddressLost} from './source-health.js';
import type {WayOptions} from './way-options.js';

export interface EgressConnectionOptions extends WayOptions {
  reads: SocketReads;
  keepAlive: KeepAlive;
  timeoutMs: number;
}

export class EgressConnection {
  readonly stream: Stream;
  readonly #options: EgressConnectionOptions;
  readonly #splice: Splice;
  #socket: Socket | undefined;
  #stopDial = () => {};
  #alive: ReturnType<KeepAlive['add']> | undefined;
  /** When the destination has answered, and from where. */
  #opened: {address: string; source: string; at: number} | undefined;
  #refusal: Refusal | undefined;

  constructor(options: EgressConnectionOptions) {
    this.#options = options;
    const {stream, bandwidth} = options;
    this.stream = stream;
    const splice: SpliceOptions = {
      stream,
      brokenCode: 'UPSTREAM_RESET',
      reset: () => this.#socket && resetSocket(this.#socket),
      connects: () => this.#opened === undefined && this.#refusal === undefined,
      onDone: (code) => this.#over(code),
    };
    this.#splice = bandwidth === undefined ? new Splice(splice) : new PacedSplice(splice, bandwidth.rates);
  }

  get owner(): string {
    return this.#options.opener.principal.owner;
  }

  get egress(): string {
    return this.#options.set.name;
  }

  /** The settings have changed. @param set as for `forbiddenNow` */
  recheck(set: EgressSet | undefined): void {
    const refusal = forbiddenNow(this.#options, set, this.#opened);
    if (refusal !== undefined) this.#splice.cut(refusal[0]);
  }

  /** Never rejects. */
  async run(): Promise<void> {
    const found = await findDestination(this.#options, () => this.#splice.done);
    if (found === undefined) return;
    if ('turnedAway' in found) this.#turnAway(found.turnedAway);
    else if ('refusal' in found) this.#refuse(found.refusal);
    else this.#dial(found.addresses);
  }

  #dial(addresses: readonly string[]): void {
    const {asked, timeoutMs, sourceFor, onSourceLost, onSource, ports, reads, bandwidth} = this.#options;
    this.#stopDial = dialFrom({
      host: asked.host,
      ...{addresses, port: asked.port, timeoutMs, sourceFor, onSourceLost, onSource, ports},
      // A limit of bandwidth stops the reading of a socket, which works with `data` events only.
      reader: bandwidth === undefined ? () => reads.for(this.#splice) : undefined,
      onOpen: (socket, ends) => this.#joined(socket, ends),
      onFailed: (error) => this.#refuse(this.#failed(error)),
    });
  }

  #joined(socket: Socket, {address, source}: {address: string; source: string}): void {
    const {stream, keepAlive, bandwidth, clock, onOpened, events, asked, opener, setNow} = this.#options;
    // The settings may have changed while it was dialled.
    const refusal = forbiddenNow(this.#options, setNow(), {address, source});
    if (refusal !== undefined) {
      resetSocket(socket);
      this.#refuse(refusal);
      return;
    }
    this.#socket = socket;
    this.#opened = {address, source, at: clock.now()};
    onOpened();
    this.#alive = keepAlive.add(socket);
    events.emit({
      type: 'egress-opened',
      ...this.#whose(opener),
      ...{egress: this.egress, host: asked.host, port: asked.port, address, source},
    });
    stream.accept();
    this.#splice.join(socket, bandwidth === undefined ? 'onread' : 'events');
  }

  #failed(error: Error): Refusal {
    const {asked, set} = this.#options;
    const place = formatHostPort(asked.host, asked.port);
    const unhealthy: Refusal = ['EGRESS_UNHEALTHY', `No address of the egress ${set.name} can be used now.`];
    if (isAddressLost(error)) return unhealthy;
    switch (systemCode(error)) {
      case NO_SOURCE:
        return unhealthy;
      case NO_PORT:
        return ['TOO_MANY_STREAMS', `All local ports of the egress are in use for ${place}.`];
      case 'EMFILE':
      case 'ENFILE':
        return ['TOO_MANY_STREAMS', 'The relay has no room for another connection now.'];
      case 'ECONNREFUSED':
        return ['UPSTREAM_REFUSED', `${place} does not accept connections.`];
      case 'ETIMEDOUT':
        return ['UPSTREAM_TIMEOUT', `${place} did not answer in time.`];
      case 'ECONNRESET':
        return ['UPSTREAM_RESET', `${place} broke the connection.`];
      default:
        return ['UNREACHABLE', `There is no way to ${place} (${systemCode(error) || 'unknown reason'}).`];
    }
  }

  #refuse(refusal: Refusal): void {
    const [code, message] = refusal;
    this.#refusal = refusal;
    this.#options.stream.refuse(code, message);
    this.#splice.onReset(code);
  }

  /** Without an event: there may be very many. */
  #turnAway(message: string): void {
    this.#options.stream.refuse('TOO_MANY_STREAMS', message);
    this.#splice.onReset('TOO_MANY_STREAMS');
  }

  #over(code: StreamCode | undefined): void {
    const {stream, asked, opener, clock, events, keepAlive, bandwidth, onOver} = this.#options;
    this.#stopDial();
    bandwidth?.release();
    if (this.#alive !== undefined) keepAlive.delete(this.#alive);
    const about = {...this.#whose(opener), egress: this.egress, host: asked.host, port: asked.port};
    if (this.#opened !== undefined) {
      const {address, source, at} = this.#opened;
      const ms = Math.round(clock.now() - at);
      // The stream is seen from the relay: it sends what comes from the destination.
      const bytes = {bytesIn: stream.bytesOut, bytesOut: stream.bytesIn};
      events.emit({type: 'egress-closed', ...about, address, source, ms, ...bytes, code});
    } else if (this.#refusal !== undefined) {
      const [code, reason] = this.#refusal;
      events.emit({type: 'egress-refused', ...about, code, reason});
    }
    onOver();
  }

  #whose({session, principal: {owner, tokenId}}: Opener) {
    return {session: sessionName(session), owner, tokenId};
  }
}
