// A worker, as its own process sees it: a relay whose doors, names and limits are in the first process.

import type {Socket} from 'node:net';
import {systemClock, type Timer} from '../../core/clock.js';
import {toTunlError} from '../../core/errors.js';
import type {LogSink} from '../../core/logger.js';
import {randomBytes} from '../../core/node-crypto.js';
import type {HostPort} from '../../protocol/targets.js';
import type {LocalOperations} from '../admin/local-operations.js';
import {NO_COUNTS} from '../admin/report.js';
import {SessionCounts} from '../agents/session-counts.js';
import type {Peer} from '../doors/peer.js';
import {VisitorCounts} from '../limits/visitor-counts.js';
import type {RelayStats} from '../options.js';
import {openRelay} from '../relay.js';
import type {RunningRelay} from '../running-relay.js';
import type {
  Begin,
  FromWorker,
  HandedOver,
  QuestionsOfWorker,
  QuestionsToWorker,
  ToWorker,
} from './messages.js';
import {RemoteDesk} from './remote-desk.js';
import {RemoteLeases} from './remote-leases.js';
import type {Seat, WorkerParts} from './seat.js';
import {type Channel, Talk} from './talk.js';

/** The least time between two messages with counts, ms. */
const STATS_EVERY_MS = 50;
/** The last characters of a session's id: the number of its worker, in hex. */
const NUMBER_DIGITS = 4;

export class Worker {
  readonly #talk: Talk<FromWorker, ToWorker, QuestionsOfWorker, QuestionsToWorker>;
  readonly #clock = systemClock;
  readonly #sessionCounts = new SessionCounts();
  readonly #visitorCounts = new VisitorCounts();
  readonly #leave: () => void;
  #number = 0;
  /** The workers that are up. */
  #crew: ReadonlySet<number> = new Set();
  #door: HostPort = {host: '127.0.0.1', port: 0};
  #parts: WorkerParts | undefined;
  #relay: RunningRelay | undefined;
  /** Resolves when the relay is open, or cannot be opened. */
  #opened: Promise<RunningRelay | undefined> | undefined;
  #statsTimer: Timer | undefined;
  #hasNewStats = false;

  /** @param leave ends this process. */
  constructor(channel: Channel, leave: () => void) {
    this.#leave = leave;
    this.#talk = new Talk<FromWorker, ToWorker, QuestionsOfWorker, QuestionsToWorker>({
      channel,
      onMessage: (message, socket) => this.#onMessage(message, socket),
      answers: {
        lose: ({key, epoch}) =>
          new Promise((resolve) => {
            // The answer to the claim that is lost may be in the same batch of messages, and not used yet.
            this.#clock.soon(() => {
              this.#parts?.tunnels.lose(key, epoch);
              resolve(undefined);
            });
          }),
        inUse: ({key}) => Promise.resolve(this.#parts?.tunnels.isInUse(key) ?? false),
        stats: () => Promise.resolve(this.#stats),
        counts: async () => (await this.#operations?.counts()) ?? NO_COUNTS,
        sessions: async ({most}) => (await this.#operations?.sessions(most)) ?? [],
        egresses: async () => (await this.#operations?.egresses()) ?? [],
        memberTraffic: async ({most}) => this.#operations?.memberTraffic(most) ?? [],
        endSessions: async ({names, reason}) => (await this.#operations?.endSessions(names, reason)) ?? 0,
        applyBlocks: async ({entries}) => (await this.#operations?.applyBlocks(entries)) ?? 0,
        endTunnel: async ({key, reason}) => (await this.#operations?.endTunnel(key, reason)) ?? 0,
        reload: async ({settings}) => void (await (await this.#opened)?.take({...settings, log: this.#log})),
      },
    });
    this.#sessionCounts.onChange = (owner, count) => {
      this.#talk.tell({type: 'sessions', owner, count});
      this.#tellStats();
    };
  }

  readonly #log: LogSink = (record) => this.#talk.tell({type: 'log', record});

  #onMessage(message: ToWorker, socket: Socket | undefined): void {
    switch (message.type) {
      case 'socket':
        // Undefined: its time was over before it could be sent.
        if (socket !== undefined) this.#take(message, socket);
        return;
      case 'spent':
        this.#parts?.pending.spentElsewhere(message.limit, message.source, message.cost);
        return;
      case 'proved':
        this.#parts?.pending.provedElsewhere(message.source);
        return;
      case 'elsewhere':
        for (const [owner, count] of message.counts) this.#sessionCounts.setElsewhere(owner, count);
        return;
      case 'visitors-elsewhere':
        this.#visitorCounts.setElsewhere(message.counts);
        return;
      case 'roster':
        this.#parts?.networks.roster(message.network, message.line);
        return;
      case 'member-replaced':
        this.#parts?.networks.replaced(message.member);
        return;
      case 'listening':
        this.#door = {host: message.host, port: message.port};
        return;
      case 'crew':
        this.#crew = new Set(message.numbers);
        return;
      case 'begin':
        void this.#begin(message);
        return;
      case 'end':
        void this.#end(message.drainTimeoutMs);
        return;
    }
  }

  async #begin({number, workers, settings, peersFolder, ...secrets}: Begin): Promise<void> {
    this.#number = number;
    const ticketSecret = Buffer.from(secrets.ticketSecret, 'base64');
    const namesKey = Buffer.from(secrets.namesKey, 'base64');
    const seat = this.#seat({workers, ticketSecret, namesKey, peersFolder});
    const opening = openRelay({...settings, log: this.#log}, {seat});
    this.#opened = opening.catch(() => undefined);
    try {
      this.#relay = await opening;
      this.#talk.tell({type: 'ready'});
    } catch (error) {
      const {code, message, next} = toTunlError(error);
      this.#talk.tell({type: 'failed', code, message, next}, undefined, this.#leave);
    }
  }

  async #end(drainTimeoutMs: number): Promise<void> {
    await this.#relay?.close({drainTimeoutMs});
    // Messages leave in order: all earlier ones have left with this one.
    this.#talk.tell({type: 'stats', stats: this.#stats}, undefined, this.#leave);
  }

  #seat(given: Pick<Seat, 'workers' | 'ticketSecret' | 'namesKey' | 'peersFolder'>): Seat {
    const talk = this.#talk;
    const self = this;
    return {
      ...given,
      number: this.#number,
      door: {
        get address() {
          return self.#door;
        },
      },
      leases: new RemoteLeases((question, about) => talk.ask(question, about)),
      elsewhere: {
        inUse: (key) => talk.ask('inUse', {key}),
        holds: (key) => talk.ask('holds', {key}),
      },
      limits: {
        spent: (limit, source, cost) => talk.tell({type: 'spent', limit, source, cost}),
        proved: (source) => talk.tell({type: 'proved', source}),
        noted: (what, address) => talk.tell({type: 'noted', what, address}),
      },
      sessionCounts: this.#sessionCounts,
      visitorCounts: this.#visitorCounts,
      tellVisitorCounts: (counts) => talk.tell({type: 'visitor-counts', counts}),
      takeEgress: (owner) => talk.ask('takeEgress', {owner}),
      networkDesk: new RemoteDesk(this.#number, talk),
      newSessionId: () => newSessionId(this.#number),
      workerOf: (sessionId) => {
        const worker = Number.parseInt(sessionId.slice(-NUMBER_DIGITS), 16);
        return worker !== this.#number && this.#crew.has(worker) ? worker : undefined;
      },
      statsOfAll: () => talk.ask('stats', {}),
      onStrayed: (source, worker) => talk.tell({type: 'strayed', source, worker}),
      onEvent: (event) => talk.tell({type: 'event', event}),
      onBound: (key) => talk.tell({type: 'bound', key}),
      onProbe: (state) => talk.tell({type: 'probe', state}),
      onCount: () => this.#tellStats(),
      onMade: (parts) => {
        this.#parts = parts;
      },
    };
  }

  #take(message: HandedOver, socket: Socket): void {
    const {peer} = message;
    const head = Buffer.from(message.head, 'base64');
    // Node makes a socket that ends with its peer.
    socket.allowHalfOpen = true;
    if (message.to === 'port') {
      if (head.length > 0) socket.unshift(head);
      this.#parts?.tcpDoor.accept(socket, message.port);
    } else if (peer === undefined || this.#parts === undefined) socket.destroy();
    else this.#enter(message, {socket, head, peer}, this.#parts);
  }

  #enter(
    message: HandedOver & {to: 'own' | 'tunnel' | 'rendezvous'},
    {socket, head, peer}: {socket: Socket; head: Buffer; peer: Peer},
    {pending, secureDoor, tunnels}: WorkerParts,
  ): void {
    const connection = pending.adopt(socket, peer, message.ageMs);
    if (connection === undefined) return;
    if (message.to === 'rendezvous') {
      secureDoor.enterRendezvous({connection, head, name: message.name, alpn: []}, message);
      return;
    }
    const {name, alpn} = message;
    const arrival = {connection, head, name, alpn};
    if (message.to === 'own') secureDoor.enterOwn(arrival);
    else if (tunnels.named(message.label) !== undefined) secureDoor.enterTunnel(arrival, message.label);
    // The answer to the claim may be in the same batch of messages, and not used yet.
    else this.#clock.soon(() => secureDoor.enterTunnel(arrival, message.label));
  }

  get #operations(): LocalOperations | undefined {
    return this.#parts?.operations;
  }

  get #stats(): RelayStats {
    return this.#parts?.stats() ?? {agents: 0, tunnels: 0, visitors: 0};
  }

  /** Tells the counts at the end of this turn, and later changes a little later. */
  #tellStats(): void {
    this.#hasNewStats = true;
    if (this.#statsTimer !== undefined) return;
    const tell = () => {
      this.#statsTimer = undefined;
      if (!this.#hasNewStats) return;
      this.#hasNewStats = false;
      this.#talk.tell({type: 'stats', stats: this.#stats});
      this.#statsTimer = this.#clock.after(STATS_EVERY_MS, tell);
    };
    this.#statsTimer = this.#clock.after(0, tell);
  }
}

/** All processes can read the number of the worker from the id. The other 112 bits are random. */
function newSessionId(worker: number): string {
  return randomBytes(14).toString('hex') + worker.toString(16).padStart(NUMBER_DIGITS, '0');
}
