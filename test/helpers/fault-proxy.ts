// A TCP proxy with faults on request: slow, late, cut after exactly n bytes, silent, half-open, reset, refusing.
// Bytes and calls alone decide what it does, so a failing test fails again.
import {createConnection, createServer, type Server, type Socket} from 'node:net';
import {type Direction, DirectionPlan, directions} from './fault-plan.js';
import {FaultPump} from './fault-pump.js';
import {portOf, type Scope} from './scope.js';

export type {Direction} from './fault-plan.js';

export interface FaultProxyOptions {
  target: {host?: string; port: number};
  host?: string;
  /** Default 0: a free port. */
  port?: number;
}

export type CutKind = 'reset' | 'fin';

/** One connection through the proxy. `near` is the side that connected, `far` the target. */
export interface FaultLink {
  readonly id: number;
  readonly near: Socket;
  readonly far: Socket;
}

interface Link extends FaultLink {
  readonly pumps: Record<Direction, FaultPump>;
  open: boolean;
}

export class FaultProxy implements AsyncDisposable {
  /** Connections accepted, cut by a plan, and bytes passed on in each direction, since the start. */
  readonly counters = {accepted: 0, cuts: 0, up: 0, down: 0};
  readonly host: string;
  #port = 0;
  #target: {host: string; port: number};
  readonly #plans: Record<Direction, DirectionPlan> = {up: new DirectionPlan(), down: new DirectionPlan()};
  readonly #links = new Set<Link>();
  readonly #finishing = new Set<Socket>();
  readonly #waiting = new Set<() => void>();
  #server: Server | undefined;

  private constructor(options: FaultProxyOptions) {
    this.host = options.host ?? '127.0.0.1';
    this.#target = {host: options.target.host ?? '127.0.0.1', port: options.target.port};
  }

  static async start(scope: Scope, options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = scope.own(new FaultProxy(options));
    await proxy.#listen(options.port ?? 0);
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  /** Connections that are open now. */
  get links(): readonly FaultLink[] {
    return [...this.#links];
  }

  /** At most this many bytes a second; undefined: no limit. */
  setRate(direction: Direction | 'both', bytesPerSecond: number | undefined): void {
    this.#change(direction, (plan) => plan.setRate(bytesPerSecond));
  }

  /** Delays every byte by so much, in order. */
  setDelay(direction: Direction | 'both', ms: number): void {
    this.#change(direction, (plan) => plan.setDelay(ms));
  }

  /**
   * Passes on exactly `bytes` more bytes in this direction, over any connections, and then cuts the
   * connection that carried the last one. Resolves when it is cut.
   */
  cutAfter(direction: Direction, bytes: number, kind: CutKind = 'reset'): Promise<FaultLink> {
    return new Promise((resolve) => {
      this.#change(direction, (plan) =>
        plan.cutAfter(bytes, (owner) => {
          const link = [...this.#links].find((candidate) => Object.values(candidate.pumps).includes(owner));
          if (link === undefined) throw new Error('a cut of a connection that is gone');
          this.counters.cuts += 1;
          this.#end(link, kind);
          resolve(link);
        }),
      );
    });
  }

  /**
   * The link becomes silent: sockets stay open, and ends are not passed on. `hold` keeps every byte for `restore()`,
   * like a network that comes back in time; `drop` loses them, so `restore()` resets the connections that were open
   * meanwhile.
   */
  blackhole(kind: 'hold' | 'drop' = 'hold', direction: Direction | 'both' = 'both'): void {
    this.#change(direction, (plan) => plan.silence(kind));
  }

  /** Ends a blackhole. */
  restore(): void {
    for (const link of [...this.#links]) {
      if (directions.some((direction) => link.pumps[direction].lost)) this.#end(link, 'reset');
    }
    this.#change('both', (plan) => plan.silence(undefined));
  }

  /** Resets one side's sockets; the other side's stay open and get nothing more. */
  halfOpen(reset: 'near' | 'far'): void {
    for (const link of this.#links) {
      for (const direction of directions) link.pumps[direction].silenceForGood();
      (reset === 'near' ? link.near : link.far).resetAndDestroy();
    }
  }

  /** New connections go to another port; open ones stay. */
  leadTo(port: number): void {
    this.#target = {...this.#target, port};
  }

  /** Resets every open connection on both sides. */
  reset(): void {
    for (const link of [...this.#links]) this.#end(link, 'reset');
  }

  /** The kernel refuses new connections; open ones stay. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server?.listening) {
      // close() calls back when the last connection has ended, but the port is free at once.
      server.close();
    }
  }

  /** Accepts connections again, on the same port. */
  async accept(): Promise<void> {
    if (this.#server === undefined) await this.#listen(this.#port);
  }

  /** Resolves when `count` connections have been accepted since the start. */
  accepted(count: number): Promise<void> {
    return this.#until(() => this.counters.accepted >= count);
  }

  /** Resolves when so many bytes have passed in this direction since the start. */
  passed(direction: Direction, bytes: number): Promise<void> {
    return this.#until(() => this.counters[direction] >= bytes);
  }

  /** Resolves when no connection is open. */
  idle(): Promise<void> {
    return this.#until(() => this.#links.size === 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse();
    for (const link of [...this.#links]) this.#end(link, 'destroy');
    for (const socket of this.#finishing) socket.destroy();
    this.#waiting.clear();
  }

  async #listen(port: number): Promise<void> {
    const server = createServer({allowHalfOpen: true, pauseOnConnect: true, noDelay: true}, (near) =>
      this.#connect(near),
    );
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, this.host, resolve);
    });
    this.#server = server;
    this.#port = portOf(server);
  }

  #connect(near: Socket): void {
    const far = createConnection({...this.#target, allowHalfOpen: true, noDelay: true});
    const handedOn = (direction: Direction) => (bytes: number) => {
      this.counters[direction] += bytes;
      this.#notify();
    };
    const link: Link = {
      id: ++this.counters.accepted,
      near,
      far,
      open: true,
      pumps: {
        up: new FaultPump({from: near, to: far, plan: this.#plans.up, onBytes: handedOn('up')}),
        down: new FaultPump({from: far, to: near, plan: this.#plans.down, onBytes: handedOn('down')}),
      },
    };
    this.#links.add(link);
    for (const [socket, direction] of [
      [near, 'up'],
      [far, 'down'],
    ] as const) {
      socket.on('error', () => {
        // A reset is passed on as a reset, unless the link is silent: then it is not passed on.
        link.pumps[direction].fail(() => this.#end(link, 'reset'));
      });
      socket.on('close', () => {
        if (near.destroyed && far.destroyed) this.#end(link, 'destroy');
      });
    }
    this.#notify();
  }

  #end(link: Link, kind: CutKind | 'destroy'): void {
    if (!link.open) return;
    link.open = false;
    for (const direction of directions) link.pumps[direction].stop();
    for (const socket of [link.near, link.far]) {
      if (kind === 'reset') socket.resetAndDestroy();
      else if (kind === 'fin') this.#finish(socket);
      else socket.destroy();
    }
    this.#links.delete(link);
    this.#notify();
  }

  /** Closing a socket with unread bytes sends a reset. So this reads and discards the rest until the peer ends too. */
  #finish(socket: Socket): void {
    this.#finishing.add(socket);
    socket.once('close', () => this.#finishing.delete(socket));
    socket.end();
    socket.resume();
  }

  #change(which: Direction | 'both', change: (plan: DirectionPlan) => void): void {
    for (const direction of directions) {
      if (which !== 'both' && which !== direction) continue;
      change(this.#plans[direction]);
      for (const link of [...this.#links]) link.pumps[direction].wake();
    }
  }

  #until(reached: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!reached()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  #notify(): void {
    for (const check of [...this.#waiting]) check();
  }
}
