// One flow of datagrams by egress: the guard, the look-up, a socket that knows one destination, and then datagrams in both
// directions.

import type {DatagramRoom} from '../../bytes/datagram-room.js';
import {DatagramStream} from '../../bytes/datagram-stream.js';
import type {DatagramTurns} from '../../bytes/datagram-turns.js';
import {EarlyDatagrams} from '../../bytes/early-datagrams.js';
import {systemCode} from '../../core/errors.js';
import type {Stream} from '../../mux/stream.js';
import type {DatagramOpen} from '../../protocol/egress-messages.js';
import {formatHostPort} from '../../protocol/targets.js';
import type {StreamCode} from '../../protocol/wire.js';
import type {Opener} from '../agents/opened-streams.js';
import {sessionName} from '../events.js';
import type {Bandwidth} from '../limits/bandwidth.js';
import {type DatagramSocket, openDatagramSocket} from './datagram-socket.js';
import {findDestination, forbiddenNow, type Refusal} from './destination.js';
import {NO_PORT, NO_SOURCE} from './egress-dial.js';
import {type EgressSet, familyOf} from './egress-set.js';
import {isAddressLost} from './source-health.js';
import type {WayOptions} from './way-options.js';

export interface DatagramFlowOptions extends WayOptions {
  asked: DatagramOpen;
  turns: DatagramTurns;
  room: DatagramRoom;
}

export class DatagramFlow {
  readonly stream: Stream;
  readonly #options: DatagramFlowOptions;
  readonly #datagrams: DatagramStream;
  /** Datagrams that wait for the look-up and the socket. */
  readonly #early = new EarlyDatagrams();
  #socket: DatagramSocket | undefined;
  #opened: {address: string; source: string; at: number} | undefined;
  #refusal: Refusal | undefined;
  /** The last datagram in either direction. */
  lastAt: number;

  constructor(options: DatagramFlowOptions) {
    this.#options = options;
    this.stream = options.stream;
    this.lastAt = options.clock.now();
    this.#datagrams = new DatagramStream(options.stream, {
      turns: options.turns,
      room: options.room,
      onDatagram: this.#sendOut,
      onOver: (code) => this.#over(code),
    });
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
    if (refusal !== undefined) this.cut(refusal[0]);
  }

  cut(code: StreamCode): void {
    this.#datagrams.reset(code);
  }

  /** Nothing has moved for a long time. */
  end(): void {
    this.#datagrams.end();
  }

  /** Never rejects. */
  async run(): Promise<void> {
    const found = await findDestination(this.#options, () => this.#datagrams.isOver);
    if (found === undefined) return;
    if ('turnedAway' in found) {
      this.#options.stream.refuse('TOO_MANY_STREAMS', found.turnedAway);
      this.#datagrams.onReset('TOO_MANY_STREAMS');
      return;
    }
    if ('refusal' in found) {
      this.#refuse(found.refusal);
      return;
    }
    const {asked, ports, sourceFor, onSourceLost} = this.#options;
    const fitting = found.addresses.filter((each) => [undefined, familyOf(each)].includes(asked.family));
    const address = fitting.find((each) => sourceFor(familyOf(each)) !== undefined) ?? fitting[0];
    if (address === undefined) {
      this.#refuse(['UNREACHABLE', `${asked.host} has no IPv${asked.family} address that may be reached.`]);
      return;
    }
    try {
      const socket = await openDatagramSocket({
        ...{address, port: asked.port, ports, onSourceLost},
        sourceFor: () => sourceFor(familyOf(address)),
        onDatagram: this.#sendIn,
        onBroken: (code) => this.#broken(code),
      });
      this.#joined(socket, address);
    } catch (error) {
      if (!this.#datagrams.isOver) this.#refuse(this.#failed(systemCode(error), error as Error));
    }
  }

  #joined(socket: DatagramSocket, address: string): void {
    const {stream, clock, onOpened, onSource, events, asked, opener, setNow} = this.#options;
    const {source} = socket;
    // The settings may have changed meanwhile.
    const refusal = forbiddenNow(this.#options, setNow(), {address, source});
    if (this.#datagrams.isOver || refusal !== undefined) {
      socket.close();
      if (!this.#datagrams.isOver && refusal !== undefined) this.#refuse(refusal);
      return;
    }
    this.#socket = socket;
    this.#opened = {address, source, at: clock.now()};
    onSource(source, 1);
    onOpened();
    events.emit({
      type: 'egress-opened',
      ...this.#whose(opener),
      ...{egress: this.egress, host: asked.host, port: asked.port, udp: true, address, source},
    });
    stream.accept();
    for (const datagram of this.#early.take()) this.#sendOut(datagram);
  }

  readonly #sendOut = (datagram: Buffer): void => {
    const {clock, bandwidth} = this.#options;
    this.lastAt = clock.now();
    if (this.#socket === undefined) {
      this.#early.add(datagram);
      return;
    }
    if (mayPass(bandwidth, datagram)) this.#socket.send(datagram);
  };

  readonly #sendIn = (datagram: Buffer): void => {
    const {clock, bandwidth} = this.#options;
    this.lastAt = clock.now();
    if (mayPass(bandwidth, datagram)) this.#datagrams.send(datagram);
  };

  #broken(code: string): void {
    const [reason] = this.#failed(code, Object.assign(new Error(code), {code}));
    this.#datagrams.reset(reason);
  }

  #failed(code: string, error: Error): Refusal {
    const {asked, set} = this.#options;
    const place = formatHostPort(asked.host, asked.port);
    const unhealthy: Refusal = ['EGRESS_UNHEALTHY', `No address of the egress ${set.name} can be used now.`];
    if (isAddressLost(error)) return unhealthy;
    switch (code) {
      case NO_SOURCE:
        return unhealthy;
      case NO_PORT:
        return ['TOO_MANY_STREAMS', 'All local ports of the egress are in use.'];
      case 'EMFILE':
      case 'ENFILE':
        return ['TOO_MANY_STREAMS', 'The relay has no room for another flow now.'];
      case 'ECONNREFUSED':
        return ['UPSTREAM_REFUSED', `${place} does not take datagrams.`];
      default:
        return ['UNREACHABLE', `There is no way to ${place} (${code || 'unknown reason'}).`];
    }
  }

  #refuse(refusal: Refusal): void {
    const [code, message] = refusal;
    this.#refusal = refusal;
    this.#options.stream.refuse(code, message);
    this.#datagrams.onReset(code);
  }

  #over(code: StreamCode | undefined): void {
    const {stream, asked, opener, clock, events, bandwidth, onSource, onOver} = this.#options;
    this.#socket?.close();
    this.#early.take();
    bandwidth?.release();
    const target = {egress: this.egress, host: asked.host, port: asked.port, udp: true as const};
    const about = {...this.#whose(opener), ...target};
    if (this.#opened !== undefined) {
      const {address, source, at} = this.#opened;
      onSource(source, -1);
      const ms = Math.round(clock.now() - at);
      // The stream is seen from the relay: it sends what comes from the destination.
      const bytes = {bytesIn: stream.bytesOut, bytesOut: stream.bytesIn};
      events.emit({type: 'egress-closed', ...about, address, source, ms, ...bytes, code});
    } else if (this.#refusal !== undefined) {
      const [why, reason] = this.#refusal;
      events.emit({type: 'egress-refused', ...about, code: why, reason});
    } else stream.refuse('CANCELLED');
    onOver();
  }

  #whose({session, principal: {owner, tokenId}}: Opener) {
    return {session: sessionName(session), owner, tokenId};
  }
}

/** A datagram beyond a limit of bandwidth is lost: its sender notices, and slows down. */
function mayPass(bandwidth: Bandwidth | undefined, datagram: Buffer): boolean {
  if (bandwidth === undefined) return true;
  if (!bandwidth.rates.every((rate) => rate.open)) return false;
  for (const rate of bandwidth.rates) rate.spend(datagram.length);
  return true;
}
