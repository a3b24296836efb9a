// All connections and look-ups of one sealed network: each is judged by the rules of now.

import type {Socket as UdpSocket} from 'node:dgram';
import type {Server, Socket} from 'node:net';
import {systemCode} from '../core/errors.js';
import {isLoopbackAddress} from '../core/listening.js';
import type {Logger} from '../core/logger.js';
import {type ResolveName, Resolver} from '../net/name-lookup.js';
import {OwnAddresses} from '../net/own-addresses.js';
import {MAX_CONNECTIONS, originalDestination} from './doorway.js';
import {breakOff} from './join.js';
import type {MemberNames, MemberNetwork} from './member-network.js';
import {NameTable} from './name-table.js';
import {type DialOut, type MemberTarget, type OuterTarget, Passage, type Target} from './passage.js';
import {Policy, type RefusalReason} from './policy.js';
import {type Refusal, Refusals} from './refusals.js';
import {Answers} from './resolver-answers.js';
import type {SealRules} from './rules.js';
import {serveDnsOverTcp} from './tcp-questions.js';

export interface GatekeeperOptions {
  readonly rules: SealRules;
  readonly log: Logger;
  readonly onRefused: (refusal: Refusal) => void;
  readonly resolve?: ResolveName | undefined;
  readonly dialOut?: DialOut | undefined;
  /** A destination does not answer, or whoever dials has refused it. */
  readonly onUnreachable?: ((host: string, port: number, error: unknown) => void) | undefined;
  /** Ports of this machine's loopback that programs reach at their own loopback. The redirect must lead here. */
  readonly localPorts?: readonly number[] | undefined;
  readonly maxConnections?: number | undefined;
  /** A private network. Its addresses are subject to no rules. */
  readonly member?: {readonly names: MemberNames; readonly dial: MemberNetwork['dial']} | undefined;
}

const DNS_PORT = 53;

export class Gatekeeper {
  readonly #options: GatekeeperOptions;
  readonly #names = new NameTable();
  readonly #ownAddresses: OwnAddresses;
  readonly #resolver: Resolver;
  readonly #refusals: Refusals;
  readonly #answers: Answers;
  readonly #servers: Server[] = [];
  readonly #resolverSockets: UdpSocket[] = [];
  readonly #passages = new Set<Passage>();
  readonly #questions = new Set<Socket>();
  readonly #localPorts: ReadonlySet<number>;
  readonly #maxConnections: number;
  #waiting = 0;
  /** Of connections that are over. */
  #movedBytes = 0;
  #policy: Policy;
  #isClosed = false;

  constructor(options: GatekeeperOptions) {
    this.#options = options;
    this.#localPorts = new Set(options.localPorts);
    this.#maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
    const {log} = options;
    this.#ownAddresses = new OwnAddresses({
      onUnknown: (error) =>
        log.warn(
          'the addresses of this machine cannot be read: sealed programs reach no address of the internet',
          {
            reason: String(error),
          },
        ),
    });
    // Later there may be no free descriptor: then this list holds.
    this.#ownAddresses.find();
    this.#policy = new Policy(options.rules, this.#isOwnAddress);
    this.#resolver = new Resolver(options.resolve);
    this.#refusals = new Refusals(options.onRefused);
    this.#answers = new Answers({
      policy: () => this.#policy,
      names: this.#names,
      resolver: this.#resolver,
      refusals: this.#refusals,
      members: options.member?.names,
      ownAddresses: this.#ownAddresses,
    });
  }

  get rules(): SealRules {
    return this.#policy.rules;
  }

  /** Connections that are open or on their way. */
  get connections(): number {
    return this.#passages.size;
  }

  /** Bytes that connections have moved, as `Passage.movedBytes`. */
  get movedBytes(): number {
    return [...this.#passages].reduce((sum, {movedBytes}) => sum + movedBytes, this.#movedBytes);
  }

  /** One that comes after `close` is closed. */
  addDoor(server: Server): void {
    const door = server as Server & {allowHalfOpen: boolean; pauseOnConnect: boolean; noDelay: boolean};
    door.allowHalfOpen = true;
    door.pauseOnConnect = true;
    door.noDelay = true;
    server.on('connection', (socket) => this.#accept(socket));
    server.on('error', (error) => this.#options.log.warn('a listener failed', {error: error.message}));
    if (this.#isClosed) server.close();
    else this.#servers.push(server);
  }

  /** One that comes after `close` is closed. */
  addResolver(socket: UdpSocket): void {
    socket.on('message', (message, {address, port}) => {
      void this.#answers.to(message).then((answer) => {
        if (answer !== undefined && this.#resolverSockets.includes(socket))
          socket.send(answer, port, address, () => {});
      });
    });
    socket.on('error', (error) => this.#options.log.warn('the resolver failed', {error: error.message}));
    if (this.#isClosed) socket.close();
    else this.#resolverSockets.push(socket);
  }

  /** From now on only these rules hold; what they do not allow is cut at once. */
  setRules(rules: SealRules): void {
    this.#policy = new Policy(rules, this.#isOwnAddress);
    for (const passage of [...this.#passages]) passage.review();
  }

  /** Idempotent. Doors may still be on their way from their maker. */
  close(): void {
    this.#isClosed = true;
    for (const passage of [...this.#passages]) passage.leave();
    this.setRules({kind: 'none'});
    for (const server of this.#servers.splice(0)) server.close();
    for (const socket of this.#resolverSockets.splice(0)) socket.close();
    for (const socket of this.#questions) socket.destroy();
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {});
    const destination = originalDestination(socket);
    if (destination === undefined) {
      breakOff(socket);
      return;
    }
    const {address, port} = destination;
    const isQuestion = port === DNS_PORT;
    if (this.#isFull) {
      this.#refuse(socket, address, port, 'limit');
      return;
    }
    if (isQuestion) {
      this.#questions.add(socket);
      socket.once('close', () => this.#questions.delete(socket));
      serveDnsOverTcp(socket, this.#answers);
      return;
    }
    const target = this.#judge(address, port);
    if (typeof target === 'object') this.#pass(socket, target);
    else this.#refuse(socket, this.#shown(address), port, target);
  }

  /** Where a datagram to this address goes. Undefined: programs may not send there. */
  datagramTarget(address: string, port: number): OuterTarget | MemberTarget | undefined {
    const target = this.#judge(address, port);
    return typeof target === 'object' && target.kind !== 'local' ? target : undefined;
  }

  /** Services on this machine may trust connections that come from its own addresses. While those are unknown, each may be one. */
  readonly #isOwnAddress = (address: string): boolean => this.#ownAddresses.find()?.has(address) ?? true;

  get #isFull(): boolean {
    const most = this.#maxConnections;
    // Half of them may be on their way to their destinations.
    return this.#passages.size + this.#questions.size >= most || this.#waiting >= most / 2;
  }

  #judge(address: string, port: number): Target | RefusalReason {
    if (isLoopbackAddress(address)) return this.#localPorts.has(port) ? {kind: 'local', port} : 'not-allowed';
    if (this.#options.member?.names.has(address) === true) return {kind: 'member', address, port};
    const known = this.#names.nameOf(address);
    if (known === 'unknown') return 'address-unknown';
    if (known !== undefined) {
      if (!this.#policy.allowsName(known.name, port)) return 'not-allowed';
      return {kind: 'name', name: known.name, port};
    }
    return this.#policy.refuseLiteral(address, port) ?? {kind: 'address', address, port};
  }

  #shown(address: string): string {
    const known = this.#names.nameOf(address);
    return typeof known === 'object' ? known.name : address;
  }

  #refuse(socket: Socket, host: string, port: number, why: RefusalReason): void {
    this.#refusals.tell(host, port, why);
    breakOff(socket);
  }

  #pass(socket: Socket, target: Target): void {
    const {dialOut, member, log, onUnreachable} = this.#options;
    let waits = true;
    this.#waiting += 1;
    const settled = () => {
      if (waits) this.#waiting -= 1;
      waits = false;
    };
    const passage = new Passage({
      socket,
      target,
      policy: () => this.#policy,
      resolver: this.#resolver,
      dialOut,
      dialMember: member?.dial,
      onRefused: (host, port, why) => this.#refusals.tell(host, port, why),
      onUnreachable: (host, port, error) => {
        log.debug('a destination does not answer', {host, port, code: systemCode(error)});
        onUnreachable?.(host, port, error);
      },
      onJoined: settled,
      onDone: () => {
        settled();
        this.#movedBytes += passage.movedBytes;
        this.#passages.delete(passage);
      },
    });
    this.#passages.add(passage);
    void passage.run();
  }
}
