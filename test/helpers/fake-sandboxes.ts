// Sandboxes in memory, for the hub: each has a program of the test's own, which answers HTTP inside.

import {once} from 'node:events';
import {createServer, type Server} from 'node:http';
import type {AddressInfo} from 'node:net';
import {connect, createServer as createTcpServer, type Server as TcpServer} from 'node:net';
import type {Duplex} from 'node:stream';
import {setImmediate} from 'node:timers/promises';
import {TunlError} from '../../src/lib/core/errors.js';
import type {HubSandboxes, SandboxWish} from '../../src/lib/hub/sandboxes.ts';
import type {LogPiece, SandboxControl, SandboxEnd, SandboxInfo} from '../../src/lib/sandbox/control.ts';

export class FakeSandbox {
  readonly id: string;
  readonly wish: SandboxWish;
  isListening = false;
  /** False: its port gets no address at the relay. */
  hasAddress = true;
  answer: (path: string) => {status: number; body?: string} = () => ({status: 200});
  activity: SandboxInfo['activity'];
  output = '';
  /** A follower waits for more output. */
  goesOn = false;
  stopsAt: number | undefined;
  isTerminated = false;
  readonly #end = Promise.withResolvers<SandboxEnd>();
  #server: Server | undefined;
  #raw: TcpServer | undefined;

  constructor(id: string, wish: SandboxWish) {
    this.id = id;
    this.wish = wish;
  }

  get ended(): Promise<SandboxEnd> {
    return this.#end.promise;
  }

  async listen(): Promise<void> {
    this.#server = createServer((req, res) => {
      const {status, body = ''} = this.answer(req.url ?? '/');
      res.writeHead(status).end(body);
    }).listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.isListening = true;
  }

  end_: SandboxEnd | undefined;
  /** It does not end when it is asked to. */
  isStubborn = false;

  /** Answers every connection with these bytes. */
  async listenRaw(bytes: string): Promise<void> {
    const server = createTcpServer((socket) => void socket.on('error', () => {}).end(bytes));
    this.#raw = server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.isListening = true;
  }

  /** From now on nothing listens. */
  deafen(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  end(end: SandboxEnd): void {
    this.end_ = end;
    this.#raw?.close();
    this.#server?.close();
    this.#server?.closeAllConnections();
    this.#end.resolve(end);
  }

  async terminate(): Promise<SandboxEnd> {
    if (this.isStubborn) return await this.ended;
    this.isTerminated = true;
    this.end({reason: 'terminated'});
    return {reason: 'terminated'};
  }

  control(): SandboxControl {
    const fake = this;
    return {
      id: fake.id,
      ended: fake.ended,
      info: async () => ({activity: fake.activity, stopsAt: fake.stopsAt}) as unknown as SandboxInfo,
      async tunnels() {
        if (!fake.hasAddress) throw new TunlError('SANDBOX_TUNNELS');
        return [{port: fake.wish.port, url: `https://${fake.wish.label}.relay.test`}];
      },
      async dial(): Promise<Duplex> {
        if (!fake.isListening) throw Object.assign(new Error('refused'), {code: 'ECONNREFUSED'});
        const socket = connect(
          ((fake.#raw ?? fake.#server)?.address() as AddressInfo | undefined)?.port ?? 1,
          '127.0.0.1',
        );
        await once(socket, 'connect');
        return socket;
      },
      async *logs({follow = false, signal}: {follow?: boolean; signal?: AbortSignal} = {}) {
        yield {from: 'stderr' as const, bytes: Buffer.from(fake.output)};
        if (follow && fake.goesOn && signal?.aborted === false) await once(signal, 'abort');
      },
      extend: async (ms: number) => {
        // Another process answers.
        await setImmediate();
        fake.stopsAt = (fake.stopsAt ?? 0) + ms;
        return fake.stopsAt;
      },
      // A connection that has ended reaches no owner.
      terminate: async () => fake.end_ ?? (await fake.terminate()),
    } as unknown as SandboxControl;
  }
}

export class FakeSandboxes implements HubSandboxes {
  readonly all: FakeSandbox[] = [];
  /** Ids of those whose owner does not answer. */
  readonly silent = new Set<string>();
  /** Called for each new sandbox. */
  onStart: (sandbox: FakeSandbox) => void | Promise<void> = (sandbox) => sandbox.listen();
  failure: Error | undefined;
  #count = 0;

  newId(): string {
    this.#count += 1;
    return `sb_${this.#count - 1}`;
  }

  async endOf(id: string): Promise<SandboxEnd | undefined> {
    return this.all.find((each) => each.id === id)?.end_;
  }

  async start(wish: SandboxWish): Promise<SandboxControl> {
    if (this.failure !== undefined) throw this.failure;
    const sandbox = new FakeSandbox(wish.id, wish);
    this.all.push(sandbox);
    await this.onStart(sandbox);
    return sandbox.control();
  }

  async open(id: string): Promise<SandboxControl | undefined> {
    if (this.silent.has(id)) throw new Error('no answer');
    const found = this.all.find((each) => each.id === id && each.isListening && !each.isTerminated);
    return found?.control();
  }

  /** A silent one is killed. */
  async end(id: string): Promise<void> {
    await this.all.find((each) => each.id === id)?.terminate();
  }

  async outputOf(id: string): Promise<readonly LogPiece[]> {
    const found = this.all.find((each) => each.id === id);
    return found === undefined ? [] : [{from: 'stderr', bytes: Buffer.from(found.output)}];
  }

  closeAll(): void {
    for (const sandbox of this.all) sandbox.end({reason: 'terminated'});
  }
}
