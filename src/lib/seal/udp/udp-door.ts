// Where the packets of UDP of a sealed network arrive in the process that holds the seal.

import type {Duplex} from 'node:stream';
import {atMost, systemClock} from '../../core/clock.js';
import {DatagramReader, encodeDatagram} from '../../protocol/datagrams.js';
import {MARK4} from './device.js';
import {UdpFlows, type UdpFlowsOptions} from './flows.js';
import {IncomingFlows} from './incoming-flows.js';
import {flowKey, MAX_PACKET, readRefusedFlow, reversed} from './packets.js';

/** Packets for programs that the helper has not taken. Later ones are lost. */
const MOST_UNWRITTEN_BYTES = 1024 * 1024;
const LOOK_EVERY_MS = 5_000;
/** A mark may be lost where very many packets are. */
const MARK_MS = 250;
/** The last datagrams of a command that has ended may wait so long for their way out. */
const OPENING_MS = 3_000;
/** And so long for the answer that they have been taken. */
const FINISH_MS = 2_000;
const NOTHING = Buffer.alloc(0);

/** An empty datagram. */
const MARK_BYTES = 28;
const MARK: Readonly<Buffer> = Buffer.from(MARK4.split('.').map(Number));

export interface UdpDoorOptions extends Omit<UdpFlowsOptions, 'onPacket' | 'incoming'> {
  /** The address of a member of a private network, to which others send. */
  readonly own?: string | undefined;
}

export class UdpDoor {
  readonly flows: UdpFlows;
  /** Flows that other members have begun. */
  readonly incoming: IncomingFlows;
  /** The first word of the helper: `ready`, or why there is no device. */
  readonly status: Promise<string>;
  readonly #pipe: Duplex;
  readonly #timer: NodeJS.Timeout;
  #onMark = (): void => {};

  constructor(pipe: Duplex, {own, ...options}: UdpDoorOptions) {
    this.#pipe = pipe;
    const onPacket = (packet: Buffer) => this.#write(packet);
    this.incoming = new IncomingFlows({own, onPacket, now: options.now});
    this.flows = new UdpFlows({...options, onPacket, incoming: this.incoming});
    const status = Promise.withResolvers<string>();
    this.status = status.promise;
    const reader = new DatagramReader(MAX_PACKET);
    let hasStatus = false;
    pipe.on('data', (piece: Buffer) => {
      reader.push(piece);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        if (hasStatus) this.#take(frame);
        else status.resolve(String(frame));
        hasStatus = true;
      }
    });
    pipe.on('error', () => {});
    pipe.once('close', () => status.resolve('its helper has ended'));
    this.#timer = setInterval(() => this.#sweep(), LOOK_EVERY_MS).unref();
  }

  /**
   * Resolves when what programs have sent so far has been taken at the other ends, or after a limited time. Nothing more is
   * sent in the flows of now.
   */
  async lastDatagrams(): Promise<void> {
    await atMost(
      systemClock,
      MARK_MS,
      new Promise<void>((resolve) => {
        this.#onMark = resolve;
        this.#write(NOTHING);
      }),
    );
    await atMost(systemClock, OPENING_MS, this.flows.allOpened());
    await atMost(systemClock, FINISH_MS, Promise.all([this.flows.finish(), this.incoming.finish()]));
  }

  close(): void {
    clearInterval(this.#timer);
    this.flows.close();
    this.incoming.close();
    this.#pipe.destroy();
  }

  #take(packet: Buffer): void {
    if (isMark(packet)) {
      this.#onMark();
      return;
    }
    const refused = readRefusedFlow(packet);
    if (refused === undefined) this.flows.take(packet);
    else this.#refuse(flowKey(reversed(refused)));
  }

  /** The kernel answers a datagram that has come in: nobody listens at its destination. */
  #refuse(key: string): void {
    this.incoming.refuse(key);
    this.flows.refuse(key);
  }

  #sweep(): void {
    this.flows.sweep();
    this.incoming.sweep();
  }

  #write(packet: Buffer): void {
    if (this.#pipe.destroyed || this.#pipe.writableLength > MOST_UNWRITTEN_BYTES) return;
    this.#pipe.write(encodeDatagram(packet));
  }
}

function isMark(packet: Buffer): boolean {
  return packet.length === MARK_BYTES && MARK.equals(packet.subarray(16, 20));
}
