// An egress of a relay with real sockets, and an agent that opens streams to it, in one process. DNS is a script.

import {text} from 'node:stream/consumers';
import {FixedRoom} from '../../src/lib/bytes/datagram-room.js';
import {DatagramStream} from '../../src/lib/bytes/datagram-stream.js';
import {DatagramTurns} from '../../src/lib/bytes/datagram-turns.js';
import {StreamDuplex} from '../../src/lib/bytes/stream-duplex.js';
import {type UnreadHolder, UnreadLimit} from '../../src/lib/bytes/unread-limit.js';
import {systemClock} from '../../src/lib/core/clock.js';
import {createLogger} from '../../src/lib/core/logger.js';
import {settle} from '../../src/lib/core/settings.js';
import {BlockPool} from '../../src/lib/mux/blocks.js';
import {createPipe} from '../../src/lib/mux/pipe.js';
import type {Stream} from '../../src/lib/mux/stream.js';
import {KIND} from '../../src/lib/protocol/wire.js';
import {type Principal, unlimitedPrincipal} from '../../src/lib/relay/access/principal.js';
import {OpenedStreams} from '../../src/lib/relay/agents/opened-streams.js';
import {services} from '../../src/lib/relay/agents/services.js';
import {Egress} from '../../src/lib/relay/egress/egress.js';
import type {EgressOptions, EgressSettings} from '../../src/lib/relay/egress/egress-options.js';
import type {RelayEvent} from '../../src/lib/relay/events.js';
import {Bandwidths} from '../../src/lib/relay/limits/bandwidth.js';
import {RELAY_SETTINGS} from '../../src/lib/relay/settings-table.js';
import {Peers} from '../mux/peers.js';
import type {ManualClock} from './manual-clock.js';
import type {Scope} from './scope.js';

export interface EgressRigOptions extends Partial<Omit<EgressOptions, 'settings' | 'resolver'>> {
  settings?: Partial<EgressSettings>;
  /** The addresses of names. A name that is missing does not exist. */
  names?: Record<string, readonly string[] | (() => readonly string[] | Promise<readonly string[]>)>;
  principal?: Principal;
}

/** The addresses of loopback that the tests' egresses have. Destinations are at 127.0.0.1. */
export const SOURCES = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6'];

export interface Asked {
  egress?: string;
  host?: string;
  port: number;
  spread?: boolean;
}

/** The code and the message of a refusal or reset. */
export class StreamError extends Error {
  readonly code: string;
  constructor(code: string, message = '') {
    super(message);
    this.code = code;
  }
}

/** The agent's end of a flow. */
export class TestFlow {
  readonly datagrams: DatagramStream;
  readonly opened: Promise<void>;
  /** The code of the end; undefined: an orderly one. */
  readonly over: Promise<string | undefined>;
  /** The message of a refusal. */
  message: string | undefined;
  readonly #got: Buffer[] = [];
  readonly #waiting: ((datagram: Buffer) => void)[] = [];

  constructor(stream: Stream) {
    const opened = Promise.withResolvers<void>();
    const over = Promise.withResolvers<string | undefined>();
    this.opened = opened.promise;
    this.over = over.promise;
    this.datagrams = new DatagramStream(stream, {
      turns: new DatagramTurns(systemClock),
      room: new FixedRoom(1_000_000),
      onDatagram: (datagram) => {
        const kept = Buffer.from(datagram);
        const next = this.#waiting.shift();
        if (next === undefined) this.#got.push(kept);
        else next(kept);
      },
      onOpened: opened.resolve,
      onOver: (code, message) => {
        this.message = message;
        over.resolve(code);
      },
    });
  }

  send(text: string | Buffer): void {
    this.datagrams.send(Buffer.from(text));
  }

  next(): Promise<Buffer> {
    const got = this.#got.shift();
    return got === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(got);
  }
}

export class EgressRig {
  readonly egress: Egress;
  readonly streams: OpenedStreams;
  readonly events: RelayEvent[] = [];
  readonly limits: string[] = [];
  readonly lookedUp: string[] = [];
  readonly settings: EgressSettings;
  readonly peers: Peers;
  principal: Principal;
  session = 'session-a';
  readonly #waiting: {type: RelayEvent['type']; resolve: (event: RelayEvent) => void}[] = [];

  static async start(scope: Scope, options: EgressRigOptions = {}): Promise<EgressRig> {
    const rig = new EgressRig(options);
    scope.onEnd(async () => {
      rig.peers.agent?.close();
      rig.peers.relay?.close();
      rig.egress.close();
    });
    await rig.egress.start();
    const [agent, relay] = createPipe();
    await rig.peers.connect({agent, relay});
    return rig;
  }

  constructor({settings, names = {}, principal, ...more}: EgressRigOptions) {
    this.principal = principal ?? {...unlimitedPrincipal('ana'), tokenId: 'aaaaaaaaaa'};
    this.settings = {
      ...settle(RELAY_SETTINGS, {}, {}),
      egress: [`my-proxy=${SOURCES.join(',')}`],
      egressAllowPrivate: ['127.0.0.0/8'],
      ...settings,
    };
    const clock = systemClock;
    const unread = new UnreadLimit({limitBytes: 2 ** 30, clock, log: createLogger('test', undefined)});
    this.streams = new OpenedStreams({
      clock,
      unread: {
        add: (holder: UnreadHolder) => unread.add(holder),
        delete: (handle) => unread.delete(handle),
        leave: (handle, keepsBytes) => unread.leave(handle, keepsBytes),
        full: false,
      },
    });
    this.egress = new Egress({
      settings: this.settings,
      domain: 'r1.example',
      own: {isDoor: () => false, isTunnel: () => false},
      pool: new BlockPool(),
      bandwidths: new Bandwidths({clock, settings: {} as never}),
      reports: {note: (limit, by, of) => void this.limits.push(`${limit} ${by} ${of}`)},
      load: {add: () => {}},
      events: {emit: (event) => this.#heard(event)},
      log: createLogger('test', undefined),
      clock,
      ownAddresses: () => [],
      ...more,
      resolver: {
        find: async (name) => {
          // The relay looks up its own name as well.
          if (name !== 'r1.example') this.lookedUp.push(name);
          const found = Object.hasOwn(names, name) ? names[name] : [];
          return typeof found === 'function' ? await found() : (found ?? []);
        },
      },
    });
    this.streams.take(
      KIND.service,
      services(() => ({}) as never, new Map(this.egress.services)),
    );
    this.egress.serve(this.streams);
    this.peers = new Peers({
      // A link takes much input in several turns, which time has to bring.
      clock: systemClock as unknown as ManualClock,
      onOpen: (_side, stream, about) => {
        const {session, principal: by} = this;
        this.streams.offer(stream, about, {session, principal: by, features: []});
      },
    });
  }

  /** Resolves when the destination has answered. @throws StreamError */
  async open({egress = 'my-proxy', host = '127.0.0.1', port, spread}: Asked): Promise<StreamDuplex> {
    return await this.openAbout({egress, host, port, spread});
  }

  async openAbout(about: object): Promise<StreamDuplex> {
    const stream = this.peers.session('agent').open(KIND.egress, about);
    if (stream === undefined) throw new Error('no more streams');
    return await new Promise((resolve, reject) => {
      const duplex = new StreamDuplex(stream, {
        toError: (code, message) => new StreamError(code, message),
        onOpened: () => resolve(duplex),
      });
      duplex.once('error', reject);
    });
  }

  /** A flow of datagrams. They may be sent before the relay has answered. */
  flow(asked: Asked & {family?: 4 | 6}): TestFlow {
    const about = {egress: 'my-proxy', host: '127.0.0.1', ...asked};
    const stream = this.peers.session('agent').open(KIND.datagram, about);
    if (stream === undefined) throw new Error('no more streams');
    return new TestFlow(stream);
  }

  /** The code of the refusal, or `opened`. */
  async outcome(asked: Asked): Promise<string> {
    try {
      (await this.open(asked)).destroy();
      return 'opened';
    } catch (error) {
      return (error as StreamError).code;
    }
  }

  /** The answer of a service, as JSON. @throws StreamError */
  async ask(about: {service: string; [field: string]: unknown}): Promise<unknown> {
    const stream = this.peers.session('agent').open(KIND.service, about);
    if (stream === undefined) throw new Error('no more streams');
    const duplex = new StreamDuplex(stream, {toError: (code, message) => new StreamError(code, message)});
    return JSON.parse(await text(duplex)) as unknown;
  }

  of<T extends RelayEvent['type']>(type: T): Extract<RelayEvent, {type: T}>[] {
    return this.events.filter((event): event is Extract<RelayEvent, {type: T}> => event.type === type);
  }

  /** The next event of this type. */
  next(type: RelayEvent['type']): Promise<RelayEvent> {
    return new Promise((resolve) => this.#waiting.push({type, resolve}));
  }

  #heard(event: RelayEvent): void {
    this.events.push(event);
    for (const waiting of this.#waiting.filter(({type}) => type === event.type)) {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.resolve(event);
    }
  }
}
