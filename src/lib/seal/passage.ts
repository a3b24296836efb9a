// One connection from a sealed network to its destination: judged, dialled and joined.

import {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {StreamDuplex} from '../bytes/stream-duplex.js';
import {systemCode} from '../core/errors.js';
import {LOCAL_HOST} from '../core/localhost.js';
import {dial, openSocket} from '../net/dial.js';
import type {Resolver} from '../net/name-lookup.js';
import {breakOff, join} from './join.js';
import {movedOut} from './last-bytes.js';
import {dialLocalPort} from './local-port.js';
import type {MemberNetwork} from './member-network.js';
import type {Policy, RefusalReason} from './policy.js';
import {readHello} from './read-hello.js';

/** Where a connection goes. A name is resolved when it is dialled. */
export type Target =
  | {readonly kind: 'name'; readonly name: string; readonly port: number}
  | {readonly kind: 'address'; readonly address: string; readonly port: number}
  /** A port of this machine's loopback that the user has named. */
  | {readonly kind: 'local'; readonly port: number}
  /** Another member of the private network. */
  | {readonly kind: 'member'; readonly address: string; readonly port: number};

/** A destination outside of this machine and of the private network. */
export type OuterTarget = Exclude<Target, {kind: 'local' | 'member'}>;

export type MemberTarget = Extract<Target, {kind: 'member'}>;

/** Dials in place of this machine's own network. The socket must allow half-open connections. */
export type DialOut = (target: OuterTarget, signal: AbortSignal) => Promise<Duplex>;

export interface PassageOptions {
  readonly socket: Socket;
  readonly target: Target;
  readonly policy: () => Policy;
  readonly resolver: Resolver;
  readonly dialOut?: DialOut | undefined;
  readonly dialMember?: MemberNetwork['dial'] | undefined;
  readonly onRefused: (host: string, port: number, why: RefusalReason) => void;
  /** The destination does not answer. */
  readonly onUnreachable: (host: string, port: number, error: unknown) => void;
  /** It is joined: it counts no longer as one that waits. */
  readonly onJoined: () => void;
  /** Called once. */
  readonly onDone: () => void;
}

const TLS_PORT = 443;
const HELLO_TIMEOUT_MS = 10_000;
const DIAL_TIMEOUT_MS = 20_000;

export class Passage {
  readonly #options: PassageOptions;
  readonly #abort = new AbortController();
  /** The address that was dialled, for rules that change. */
  #address: string | undefined;
  #outside: Duplex | undefined;
  #cutJoined: (() => void) | undefined;
  #isDone = false;

  constructor(options: PassageOptions) {
    this.#options = options;
    if (options.target.kind === 'address') this.#address = options.target.address;
  }

  async run(): Promise<void> {
    const {socket, target} = this.#options;
    socket.on('error', this.#end);
    socket.on('close', this.#end);
    try {
      const saysName = this.#checksServerName && target.port === TLS_PORT;
      const head = saysName ? await this.#readHello() : undefined;
      if (this.#isDone || head === 'refused') return;
      const outside = await this.#dial();
      if (this.#isDone || outside === undefined) {
        outside?.destroy();
        return;
      }
      // Its `close` may have passed, and `join` would wait for it.
      if (outside.destroyed) throw outside.errored ?? new Error('the connection has broken');
      this.#join(outside, head);
    } catch (error) {
      const {host, port} = this.#shown();
      if (!this.#isDone) this.#options.onUnreachable(host, port, error);
      this.cut();
    }
  }

  /** Grows while bytes of the program go out, and while the other side of a stream reads. */
  get movedBytes(): number {
    const {socket} = this.#options;
    const outside = this.#outside;
    const waiting = socket.readableLength + (outside?.writableLength ?? 0);
    return socket.bytesRead - waiting + (outside instanceof StreamDuplex ? movedOut(outside.stream) : 0);
  }

  /** Ends it if the rules of now do not allow it. */
  review(): void {
    if (!this.#isAllowed()) this.cut();
  }

  /** Resets both sides. Idempotent. */
  cut(): void {
    this.#cutJoined?.();
    breakOff(this.#options.socket);
    this.#end();
  }

  /** The end of the seal. The kernel still sends what it has from a program that has ended its side, as without a seal. */
  leave(): void {
    const outside = this.#outside;
    if (outside instanceof Socket && outside.writableFinished) outside.destroy();
    this.cut();
  }

  #isAllowed(): boolean {
    const {target} = this.#options;
    // The rules are about the outside.
    if (target.kind === 'member' || target.kind === 'local') return true;
    const policy = this.#options.policy();
    if (target.kind === 'address') return policy.refuseLiteral(target.address, target.port) === undefined;
    if (!policy.allowsName(target.name, target.port)) return false;
    return this.#address === undefined || policy.mayDial(this.#address, target.port);
  }

  get #checksServerName(): boolean {
    return this.#options.target.kind === 'name' && this.#options.policy().checksServerNames;
  }

  #shown(): {host: string; port: number} {
    const {target} = this.#options;
    if (target.kind === 'local') return {host: LOCAL_HOST, port: target.port};
    return {host: target.kind === 'name' ? target.name : target.address, port: target.port};
  }

  #refuse(why: RefusalReason): void {
    if (this.#isDone) return;
    const {host, port} = this.#shown();
    this.#options.onRefused(host, port, why);
    this.cut();
  }

  /** The bytes of a ClientHello whose name is the connection's. Nothing goes out before. */
  async #readHello(): Promise<Buffer | 'refused'> {
    const {socket} = this.#options;
    const hello = await readHello(socket, {timeoutMs: HELLO_TIMEOUT_MS});
    if (hello?.answer.state === 'hello' && hello.answer.serverName === this.#shown().host) return hello.bytes;
    this.#refuse('server-name');
    return 'refused';
  }

  /** On other ports there may be no TLS at all, and the destination may have to speak first. */
  readonly #checkFirst = (outside: Duplex): void => {
    const {socket} = this.#options;
    void readHello(socket, {passOthers: true}).then((hello) => {
      const {answer, bytes} = hello ?? {};
      const name = answer?.state === 'hello' ? answer.serverName : undefined;
      if (name !== undefined && name !== this.#shown().host) {
        this.#refuse('server-name');
        return;
      }
      if (bytes !== undefined && bytes.length > 0 && !outside.destroyed) outside.write(bytes);
      socket.pipe(outside);
    });
  };

  async #dial(): Promise<Duplex | undefined> {
    const {target, dialOut, dialMember} = this.#options;
    const {signal} = this.#abort;
    if (target.kind === 'local') return dialLocalPort(target.port, signal);
    if (target.kind === 'member') return dialMember?.(target, signal);
    if (dialOut !== undefined) return dialOut(target, signal);
    const {host, port} = this.#shown();
    return new Promise((resolve, reject) => {
      const end = dial({
        host,
        port,
        timeoutMs: DIAL_TIMEOUT_MS,
        resolve: (name, done) => {
          const failed = (error: Error) => done(error, []);
          this.#options.resolver.find(name).then((found) => done(null, found), failed);
        },
        // Classified here, after resolution, and dialled as it is.
        accepts: (address) => target.kind === 'address' || this.#options.policy().mayDial(address, port),
        open: (address, at) => openSocket(address, at, {allowHalfOpen: true}),
        onOpen: (socket, address) => {
          this.#address = address;
          resolve(socket);
        },
        onFailed: (error) => {
          if (systemCode(error) !== 'ADDRESS_REFUSED') reject(error);
          else {
            this.#refuse('not-public');
            resolve(undefined);
          }
        },
      });
      signal.addEventListener('abort', () => {
        end();
        resolve(undefined);
      });
    });
  }

  #join(outside: Duplex, head: Buffer | undefined): void {
    // The rules may have changed while it was dialled.
    if (!this.#isAllowed()) {
      breakOff(outside);
      this.cut();
      return;
    }
    const {socket} = this.#options;
    socket.off('error', this.#end);
    socket.off('close', this.#end);
    if (head !== undefined) outside.write(head);
    const isChecked = head !== undefined || !this.#checksServerName;
    const first = isChecked ? undefined : () => this.#checkFirst(outside);
    this.#outside = outside;
    this.#cutJoined = join(socket, outside, {first, onDone: this.#end});
    this.#options.onJoined();
  }

  readonly #end = (): void => {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#abort.abort();
    this.#options.onDone();
  };
}
