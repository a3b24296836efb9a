// An agent written from the protocol document, without code of src/: it can send what no real agent would.
import {createHmac, createPublicKey, type KeyObject, randomBytes, sign} from 'node:crypto';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import type {TLSSocket} from 'node:tls';
import {WebSocket} from 'ws';
import type {Scope} from './scope.js';

export const record = {segment: 1, ack: 2, ping: 3, pong: 4, message: 5} as const;
export const frame = {
  open: 0x10,
  opened: 0x11,
  refused: 0x12,
  data: 0x13,
  fin: 0x14,
  reset: 0x15,
  credit: 0x16,
  control: 0x17,
} as const;

export interface RawAgentOptions {
  port: number;
  domain: string;
  caFile: string;
  token?: string;
  /** The id of a session that it names at the upgrade, instead of a token. */
  session?: string;
  /** An Ed25519 key that identifies this agent when there is no token. */
  key?: KeyObject;
  /** More fields for its hello. */
  hello?: object;
  /** The session that the agent will resume: it names the process that has the session, as an agent does. */
  of?: Ticket;
  /** The local address that it connects from. */
  from?: string;
}

export interface Message {
  type: string;
  [field: string]: unknown;
}

export interface Frame {
  type: number;
  stream: number;
  payload: Buffer;
}

/** What the proof of a resume needs. */
export interface Ticket {
  id: string;
  secret: string;
  epoch: number;
  /** The process of the relay that has the session. */
  worker?: number;
}

export function recordBytes(type: number, payload: Uint8Array, claimedLength = payload.length): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(((type << 24) | claimedLength) >>> 0);
  return Buffer.concat([head, payload]);
}

export function frameBytes(
  type: number,
  stream: number,
  payload: Uint8Array | string = '',
  claimed?: number,
): Buffer {
  const body = Buffer.from(payload as string);
  const head = Buffer.alloc(10);
  head.writeUInt32BE(((type << 24) | (claimed ?? body.length)) >>> 0);
  head.writeUIntBE(stream, 4, 6);
  return Buffer.concat([head, body]);
}

export function count8(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

export function count4(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function proofOf(ticket: Ticket, agentNonce: string, relayNonce: string, received: number): string {
  const text = ['tunl agent', ticket.id, ticket.epoch, agentNonce, relayNonce, received].join('\n');
  return createHmac('sha256', Buffer.from(ticket.secret, 'hex')).update(text).digest('hex');
}

/** The ticket after a successful resume. */
export function nextTicket(ticket: Ticket, agentNonce: string, relayNonce: string): Ticket {
  const text = ['tunl next', ticket.id, ticket.epoch, agentNonce, relayNonce, 0].join('\n');
  const secret = createHmac('sha256', Buffer.from(ticket.secret, 'hex')).update(text).digest('hex');
  return {...ticket, secret};
}

export class RawAgent {
  readonly messages: Message[] = [];
  readonly frames: Frame[] = [];
  /** The counts of session bytes received and sent. */
  received = 0;
  sent = 0;
  /** Acknowledges everything that it receives, at once. */
  acks = true;
  /** Keeps frames for the test to read. */
  keeps = true;
  readonly nonce = randomBytes(16).toString('hex');
  readonly socket: WebSocket;
  /** Resolves when the carrier is closed. */
  readonly closed: Promise<void>;
  #over = false;
  #records: Buffer = Buffer.alloc(0);
  #bytes: Buffer = Buffer.alloc(0);
  readonly #checks = new Set<() => void>();

  readonly #key: KeyObject | undefined;
  readonly #domain: string;

  private constructor(socket: WebSocket, {key, domain}: RawAgentOptions) {
    this.socket = socket;
    this.#key = key;
    this.#domain = domain;
    socket.on('error', () => {});
    socket.on('message', (data: Buffer) => this.#onBytes(data));
    this.closed = new Promise((resolve) =>
      socket.on('close', () => {
        this.#over = true;
        this.#notify();
        resolve();
      }),
    );
  }

  /** After the upgrade, before the first message. */
  static async connect(scope: Scope, options: RawAgentOptions): Promise<RawAgent> {
    const {port, domain, caFile, token, session, of, from} = options;
    // The types of ws do not list the options that it passes on to tls.connect.
    const tls: object = {
      ca: readFileSync(caFile),
      servername: domain,
      ...(from !== undefined && {localAddress: from}),
      ...(of?.worker !== undefined && {ALPNProtocols: ['http/1.1', `tunl-worker-${of.worker}`]}),
    };
    const socket = new WebSocket(`wss://127.0.0.1:${port}/agent`, 'tunl.v1', {
      ...tls,
      perMessageDeflate: false,
      headers: {
        ...(session === undefined && token !== undefined && {authorization: `Bearer ${token}`}),
        ...(session !== undefined && {'tunl-session': session}),
      },
    });
    const agent = new RawAgent(socket, options);
    scope.onEnd(() => void socket.terminate());
    await once(socket, 'open');
    return agent;
  }

  /** Begins a new session. */
  static async begin(scope: Scope, options: RawAgentOptions): Promise<{agent: RawAgent; ticket: Ticket}> {
    const agent = await RawAgent.connect(scope, options);
    await agent.hello(options.hello);
    const {id, secret, epoch, worker} = await agent.message('welcome');
    const ticket = {id: String(id), secret: String(secret), epoch: Number(epoch)};
    return {agent, ticket: typeof worker === 'number' ? {...ticket, worker} : ticket};
  }

  send(bytes: Buffer): void {
    this.socket.send(bytes);
  }

  say(message: object): void {
    this.send(recordBytes(record.message, Buffer.from(JSON.stringify(message))));
  }

  /** Session bytes. */
  segment(...parts: readonly Buffer[]): void {
    const bytes = Buffer.concat(parts);
    this.sent += bytes.length;
    for (let at = 0; at < bytes.length; at += 200_000) {
      this.send(recordBytes(record.segment, bytes.subarray(at, at + 200_000)));
    }
  }

  ack(count: number | bigint): void {
    this.send(recordBytes(record.ack, count8(count)));
  }

  async hello(more: object = {}): Promise<object> {
    const {nonce} = await this.message('challenge');
    const hello = {type: 'hello', software: 'by hand', nonce: this.nonce, ...this.#identity(nonce), ...more};
    this.say(hello);
    return hello;
  }

  /** Asks to resume a session, with a valid proof. `change`: fields to replace in the hello. */
  async resume(ticket: Ticket, received: number, change: object = {}): Promise<object> {
    const {nonce} = await this.message('challenge');
    const proof = proofOf(ticket, this.nonce, String(nonce), received);
    const resume = {id: ticket.id, epoch: ticket.epoch, received, proof, ...change};
    // From now on it counts and acknowledges from this position.
    this.received = received;
    return await this.hello({resume});
  }

  /** The relay's answer to a hello: `welcome`, or the code of its refusal. */
  async answer(): Promise<string> {
    const answers = ['welcome', 'refused', 'close'];
    const {type, code} = await this.#find('an answer', () =>
      this.messages.find((each) => answers.includes(each.type)),
    );
    return type === 'welcome' ? type : String(code);
  }

  /** Binds a TCP tunnel and returns its port. */
  async bindTcp(): Promise<number> {
    this.segment(
      frameBytes(frame.control, 0, JSON.stringify({type: 'bind', request: 1, wish: {kind: 'tcp'}})),
    );
    const {payload} = await this.frame((each) => each.type === frame.control);
    const {type, port} = JSON.parse(payload.toString()) as {type: string; port: number};
    if (type !== 'bound') throw new Error(payload.toString());
    return port;
  }

  /** Asks for a tunnel. */
  bind(wish: object, request = 1): void {
    this.segment(frameBytes(frame.control, 0, JSON.stringify({type: 'bind', request, wish})));
  }

  /** The control messages of the type so far. */
  controlMessages(type: string): Message[] {
    const all = this.frames.filter((each) => each.type === frame.control);
    return all
      .map(({payload}) => JSON.parse(payload.toString()) as Message)
      .filter((each) => each.type === type);
  }

  /** The first control message of the type for which `wanted` holds, now or later. */
  controlMessage(type: string, wanted: (each: Message) => boolean = () => true): Promise<Message> {
    return this.#find(`a control message ${type}`, () => this.controlMessages(type).find(wanted));
  }

  /** The first message of the type, now or later. */
  message(type: string): Promise<Message> {
    return this.#find(`a message ${type}`, () => this.messages.find((each) => each.type === type));
  }

  /** The code of the relay's last message: a refusal or a close. */
  async lastWord(): Promise<string> {
    const last = await this.#find('a last word', () =>
      this.messages.find((each) => each.type === 'close' || each.type === 'refused'),
    );
    await this.closed;
    return String(last.code);
  }

  frame(wanted: (each: Frame) => boolean): Promise<Frame> {
    return this.#find('a frame', () => this.frames.find(wanted));
  }

  async until(holds: () => boolean): Promise<void> {
    await this.#find('what was waited for', () => holds() || undefined);
  }

  #identity(relayNonce: unknown): object {
    if (this.#key === undefined) return {};
    const key = createPublicKey(this.#key).export({type: 'spki', format: 'der'}).toString('base64url');
    const {_socket: tls} = this.socket as unknown as {_socket: TLSSocket};
    const exported = tls.exportKeyingMaterial(32, 'EXPORTER-tunl-identity', Buffer.alloc(0)).toString('hex');
    const text = Buffer.from(['tunl identity', this.#domain, relayNonce, this.nonce, exported].join('\n'));
    return {identity: {key, signature: sign(null, text, this.#key).toString('base64url')}};
  }

  #find<T>(what: string, look: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = look();
        if (found === undefined && !this.#over) return;
        this.#checks.delete(check);
        if (found !== undefined) resolve(found);
        else reject(new Error(`the carrier closed before ${what}: ${JSON.stringify(this.messages)}`));
      };
      this.#checks.add(check);
      check();
    });
  }

  #onBytes(data: Buffer): void {
    this.#records = Buffer.concat([this.#records, data]);
    for (;;) {
      if (this.#records.length < 4) break;
      const length = this.#records.readUIntBE(1, 3);
      if (this.#records.length < 4 + length) break;
      const type = this.#records[0];
      const payload = this.#records.subarray(4, 4 + length);
      this.#records = this.#records.subarray(4 + length);
      if (type === record.message) this.messages.push(JSON.parse(payload.toString()) as Message);
      else if (type === record.ping) this.send(recordBytes(record.pong, payload));
      else if (type === record.segment) this.#onSegment(payload);
    }
    this.#notify();
  }

  #onSegment(payload: Buffer): void {
    this.received += payload.length;
    if (this.acks) this.ack(this.received);
    if (!this.keeps) return;
    this.#bytes = Buffer.concat([this.#bytes, payload]);
    for (;;) {
      if (this.#bytes.length < 10) break;
      const word = this.#bytes.readUInt32BE(0);
      const length = word & 0xff_ffff;
      if (this.#bytes.length < 10 + length) break;
      const stream = this.#bytes.readUIntBE(4, 6);
      this.frames.push({type: word >>> 24, stream, payload: this.#bytes.subarray(10, 10 + length)});
      this.#bytes = this.#bytes.subarray(10 + length);
    }
  }

  #notify(): void {
    for (const check of [...this.#checks]) check();
  }
}
