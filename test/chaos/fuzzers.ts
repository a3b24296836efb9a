// Attackers of a relay: each connects as a visitor, a browser or an agent, sends random bytes from a seed, and leaves at a random
// moment. Each attempt is short.
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {connect, type Socket} from 'node:net';
import {connect as connectTls, TLSSocket} from 'node:tls';
import {frame, frameBytes, nextTicket, RawAgent, type Ticket} from '../helpers/raw-agent.js';
import {Scope} from '../helpers/scope.js';
import type {Random} from '../mux/fuzz.js';
import {anyFrame, anyRecord, junk, linkMessage, mutated, request} from './fuzz-bytes.js';

export interface FuzzTarget {
  port: number;
  /** Where plain HTTP is redirected. */
  httpPort: number;
  domain: string;
  /** A tunnel's name, and the port of a tunnel with an echo behind it. */
  host: string;
  tcpPort: number;
  caFile: string;
  token: string;
  /** ClientHellos of real programs. */
  hellos: readonly Buffer[];
  /** Attempts of each kind, and what they reached. */
  counts: Record<string, number>;
}

export type Fuzzer = (random: Random, target: FuzzTarget) => Promise<void>;

/** The longest wait of an attempt for an answer. */
const PATIENCE_MS = 300;

/** Waits for `what`, for a random time at most. */
async function soon(random: Random, what: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, random.below(PATIENCE_MS));
  });
  await Promise.race([what, late]).catch(() => {});
  clearTimeout(timer);
}

/** Node cannot reset a TLS socket on request. The kernel does when unread bytes are left. */
function leave(random: Random, socket: Socket): void {
  const way = random.below(3);
  if (way === 0 && !(socket instanceof TLSSocket)) socket.resetAndDestroy();
  else if (way === 1) socket.destroy();
  else socket.end();
}

/** Sends the bytes in pieces, reads what comes, and ends, closes or resets the connection. */
async function converse(random: Random, socket: Socket, bytes: Buffer): Promise<void> {
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => {});
  socket.on('data', () => {});
  for (let at = 0; at < bytes.length && !socket.destroyed; ) {
    const upTo = random.oneIn(3) ? bytes.length : at + 1 + random.below(bytes.length - at);
    socket.write(bytes.subarray(at, upTo));
    at = upTo;
    if (random.oneIn(4)) await new Promise((resolve) => setImmediate(resolve));
  }
  if (random.oneIn(2)) await soon(random, closed);
  leave(random, socket);
  if (!random.oneIn(4)) await soon(random, closed);
  socket.destroy();
}

const dial = (port: number) => connect({port, host: '127.0.0.1', noDelay: true});

export const hello: Fuzzer = async (random, {port, hellos}) => {
  let bytes = random.of(hellos);
  while (random.oneIn(2)) bytes = mutated(random, bytes);
  await converse(
    random,
    dial(port),
    Buffer.concat([bytes, random.oneIn(3) ? junk(random, 20_000) : Buffer.alloc(0)]),
  );
};

export const noise: Fuzzer = async (random, {port, httpPort, tcpPort}) => {
  await converse(random, dial(random.of([port, httpPort, tcpPort])), junk(random, 100_000));
};

export const http: Fuzzer = async (random, target) => {
  const bytes = Buffer.concat(Array.from({length: 1 + random.below(3)}, () => request(random, target)));
  if (random.oneIn(3)) return await converse(random, dial(target.httpPort), bytes);
  const socket = connectTls({
    port: target.port,
    host: '127.0.0.1',
    servername: random.of([target.domain, target.host]),
    ca: readFileSync(target.caFile),
    ...(random.oneIn(3) && {
      ALPNProtocols: random.of([['h2'], ['http/1.1'], ['postgresql'], ['h2', 'http/1.1']]),
    }),
  });
  socket.on('error', () => {});
  await soon(random, once(socket, 'secureConnect'));
  await converse(random, socket, bytes);
};

/** One link of an agent with a session: binds, random frames and records, and visits that are reset. */
async function talk(random: Random, raw: RawAgent, nextId: () => number, tcpPort: number): Promise<void> {
  const mostlyRight = random.oneIn(2);
  const bind = (request: number) => JSON.stringify({type: 'bind', request, wish: {kind: 'tcp'}});
  const batches = 1 + random.below(10);
  for (let batch = 0; batch < batches; batch += 1) {
    if (mostlyRight && !random.oneIn(20)) raw.segment(frameBytes(frame.control, 0, bind(batch + 1)));
    else raw.segment(...Array.from({length: 1 + random.below(5)}, () => anyFrame(random, nextId)));
    if (random.oneIn(5)) raw.send(anyRecord(random, raw.received));
    if (random.oneIn(5)) {
      const socket = dial(tcpPort);
      socket.on('error', () => {});
      setTimeout(() => socket.resetAndDestroy(), 20);
    }
    if (random.oneIn(3)) await new Promise((resolve) => setImmediate(resolve));
  }
  await soon(random, raw.closed);
  raw.socket.terminate();
}

/** An agent with the right token: it sends random frames, is cut off, and resumes with a right or a wrong proof. */
export const agent: Fuzzer = async (random, {port, domain, caFile, token, tcpPort, counts}) => {
  await using scope = new Scope();
  const open = async (of?: Ticket) => {
    const raw = await RawAgent.connect(scope, {port, domain, caFile, token, ...(of && {of})});
    raw.keeps = false;
    raw.acks = !random.oneIn(4);
    return raw;
  };
  let raw = await open();
  if (random.oneIn(3)) {
    while (!random.oneIn(3)) raw.send(linkMessage(random));
    return await soon(random, raw.closed);
  }
  await raw.hello();
  const {id, secret, epoch, worker} = await raw.message('welcome');
  counts.sessions = (counts.sessions ?? 0) + 1;
  let ticket: Ticket = {
    ...{id: String(id), secret: String(secret), epoch: Number(epoch)},
    ...(typeof worker === 'number' && {worker}),
  };
  let streamId = 0;
  const nextId = () => {
    streamId += 2 * (1 + random.below(2));
    return streamId;
  };
  for (;;) {
    await talk(random, raw, nextId, tcpPort);
    if (random.oneIn(3)) return;
    const next = await open(ticket);
    ticket = {...ticket, epoch: ticket.epoch + 1};
    await next.resume(ticket, raw.received, random.oneIn(4) ? {received: random.below(2 ** 31)} : {});
    const {nonce} = await next.message('challenge');
    if ((await next.answer()) !== 'welcome') return;
    counts.resumes = (counts.resumes ?? 0) + 1;
    ticket = nextTicket(ticket, next.nonce, String(nonce));
    raw = next;
  }
};

/** A visitor of the echo that may leave before its answer is complete. */
export const visitor: Fuzzer = async (random, {tcpPort}) => {
  await converse(random, dial(tcpPort), junk(random, random.oneIn(5) ? 500_000 : 5_000));
};

export const fuzzers: Readonly<Record<string, Fuzzer>> = {hello, noise, http, agent, visitor};
