// The parts of docs/protocol.md that are generated from the code: the table of states, the worked proofs, the annotated
// bytes.
import {createPrivateKey, createPublicKey, sign} from 'node:crypto';
import type {Carrier, CarrierSink} from '../../../src/lib/mux/carrier.js';
import {FrameReader} from '../../../src/lib/mux/frame-reader.js';
import {Link} from '../../../src/lib/mux/link.js';
import {createPipe} from '../../../src/lib/mux/pipe.js';
import {agentProof, nextSecret, relayProof} from '../../../src/lib/mux/proof.js';
import {RecordReader} from '../../../src/lib/mux/record-reader.js';
import {AgentTicket} from '../../../src/lib/mux/resume-ticket.js';
import {Session, type SessionSink} from '../../../src/lib/mux/session.js';
import type {Stream, StreamSink} from '../../../src/lib/mux/stream.js';
import type {SessionRole} from '../../../src/lib/mux/stream-ids.js';
import {nextState, type StreamState} from '../../../src/lib/mux/stream-state.js';
import type {AgentMessage, RelayMessage, VisitorOpen} from '../../../src/lib/protocol/control-messages.js';
import {identityText} from '../../../src/lib/protocol/identity.js';
import type {LinkMessage} from '../../../src/lib/protocol/link-messages.js';
import {FRAME, KIND, PROTOCOL_VERSION, RECORD} from '../../../src/lib/protocol/wire.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {CountingPool} from '../../mux/counting-pool.js';
import {settle} from '../../mux/raw-peer.js';
import {frame, record} from '../../mux/wire-bytes.js';

const STATES: readonly StreamState[] = [
  'opening',
  'openingLocalEnded',
  'offered',
  'offeredRemoteEnded',
  'open',
  'localEnded',
  'remoteEnded',
  'closed',
];
const MOVES = ['Opened', 'Refused', 'Data', 'Fin', 'Reset'] as const;

export function statesTable(): string {
  const table = (verb: 'send' | 'receive', title: string) => [
    `| ${title} | ${MOVES.map((move) => move.toUpperCase()).join(' | ')} |`,
    `|---|${MOVES.map(() => '---|').join('')}`,
    ...STATES.map((state) => {
      const next = MOVES.map((move) => nextState(state, `${verb}${move}`) ?? '—');
      return `| \`${state}\` | ${next.join(' | ')} |`;
    }),
  ];
  return [...table('send', 'Sent in'), '', ...table('receive', 'Received in')].join('\n');
}

const id = '0123456789abcdef0123456789abcdef';
const relayNonce = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';
const agentNonce = 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb';
const secret = '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff';

export function workedProofs(): string {
  const facts = {id, epoch: 2, agentNonce, relayNonce};
  const rows = [
    ['secret', secret],
    ['session id', id],
    ['agent nonce', agentNonce],
    ['relay nonce', relayNonce],
    ['epoch', '2'],
    ['agent’s proof, 1,234 received', agentProof(secret, facts, 1_234)],
    ['relay’s proof, 567 received', relayProof(secret, facts, 567)],
    ['next secret', nextSecret(secret, facts)],
  ] as const;
  return ['| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | \`${value}\` |`)].join('\n');
}

/** The example of section 6, with the key of RFC 8032 §7.1, test 1. */
export function workedIdentity(): string {
  const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
  const der = Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex');
  const privateKey = createPrivateKey({key: der, format: 'der', type: 'pkcs8'});
  const spki = createPublicKey(privateKey).export({format: 'der', type: 'spki'});
  const exported = Buffer.from(secret, 'hex');
  const relay = 'r1.example';
  const text = identityText({relay, relayNonce, agentNonce, exported});
  const rows = [
    ['private key', seed],
    ['relay', relay],
    ['relay nonce', relayNonce],
    ['agent nonce', agentNonce],
    ['key material', secret],
    ['`key`', spki.toString('base64url')],
    ['`signature`', sign(null, text, privateKey).toString('base64url')],
  ] as const;
  return ['| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | \`${value}\` |`)].join('\n');
}

const NAMES = new Map<number, string>([
  ...Object.entries(RECORD).map(([name, type]) => [type, name.toUpperCase()] as const),
  ...Object.entries(FRAME).map(([name, type]) => [type, name.toUpperCase()] as const),
]);

const hex = (bytes: Buffer) => bytes.toString('hex').replace(/..(?=.)/g, '$& ');
const line = (bytes: Buffer, text: string) => `     ${hex(bytes).padEnd(36)}${text}`;

/** Records the writes of one side. */
class Writer implements Carrier {
  readonly label = 'example';
  readonly headroom = 0;
  readonly #inner: Carrier;
  readonly #direction: string;
  readonly #lines: string[];

  constructor(inner: Carrier, direction: string, lines: string[]) {
    this.#inner = inner;
    this.#direction = direction;
    this.#lines = lines;
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes;
  }

  start(sink: CarrierSink): void {
    this.#inner.start(sink);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  end(): void {
    this.#inner.end();
  }

  destroy(error?: Error): void {
    this.#inner.destroy(error);
  }

  write(block: Buffer, start: number, end: number, onWritten?: () => void): boolean {
    const told: string[] = [];
    let segment: Buffer[] = [];
    const finishSegment = () => {
      if (segment.length > 0) told.push(...describeSegment(Buffer.concat(segment)));
      segment = [];
    };
    const reader = new RecordReader({
      onSegmentBytes: (piece) => void segment.push(Buffer.from(piece)),
      onRecord: (type, payload) => {
        finishSegment();
        if (type !== RECORD.ping && type !== RECORD.pong) told.push(...describeRecord(type, payload));
      },
      onViolation: (reason) => {
        throw new Error(reason);
      },
    });
    reader.push(block.subarray(start, end));
    finishSegment();
    for (const [i, each] of told.entries())
      this.#lines.push(i === 0 ? each.replace(/^ {3}/, this.#direction) : each);
    return this.#inner.write(block, start, end, onWritten);
  }
}

function describeRecord(type: number, payload: Buffer): string[] {
  const name = NAMES.get(type);
  if (type === RECORD.ack) {
    const all = record(type, payload);
    return [line(all, `ACK of ${payload.readBigUInt64BE()} bytes`)];
  }
  return [line(record(type, '', payload.length), `${name}, ${payload.length} bytes`), `     ${payload}`];
}

function describeSegment(bytes: Buffer): string[] {
  const lines = [line(record(RECORD.segment, '', bytes.length), `SEGMENT, ${bytes.length} bytes`)];
  let data: {streamId: number; payload: Buffer[]; length: number} | undefined;
  const reader = new FrameReader({
    onDataStart(streamId, length) {
      data = {streamId, payload: [], length};
      return true;
    },
    onData(piece) {
      data?.payload.push(Buffer.from(piece));
      const payload = Buffer.concat(data?.payload ?? []);
      if (data === undefined || payload.length < data.length) return;
      lines.push(...describeFrame(FRAME.data, data.streamId, payload));
    },
    onFrame: (type, streamId, payload) => void lines.push(...describeFrame(type, streamId, payload)),
    onViolation: (reason) => {
      throw new Error(reason);
    },
  });
  reader.push(bytes);
  return lines;
}

function describeFrame(type: number, streamId: number, payload: Buffer): string[] {
  const head = (what: string) => line(frame(type, streamId, '', payload.length), `${NAMES.get(type)}${what}`);
  const on = ` on stream ${streamId}`;
  if (type === FRAME.control) return [head(`, ${payload.length} bytes`), `     ${payload}`];
  if (type === FRAME.open)
    return [head(on), line(payload.subarray(0, 1), `kind ${payload[0]}`), `     ${payload.subarray(1)}`];
  if (type === FRAME.data)
    return [head(`${on}, ${payload.length} bytes`), line(payload, JSON.stringify(`${payload}`))];
  if (type === FRAME.credit) return [head(on), line(payload, `${payload.readUInt32BE()} bytes`)];
  return [head(on)];
}

const NO_STREAM: StreamSink = {onData() {}, onEnd() {}, onWritable() {}, onReset() {}};

/** A new session, a tunnel, a visitor with a request and an answer; then the carrier breaks and the session is resumed. */
export async function example(): Promise<string> {
  const lines: string[] = [];
  const clock = new ManualClock();
  const pool = new CountingPool();
  const carriers = () => {
    const [a, b] = createPipe();
    const ends = {agent: new Writer(a, 'A→R', lines), relay: new Writer(b, 'R→A', lines)};
    const links = {agent: new Link(ends.agent, {clock}), relay: new Link(ends.relay, {clock})};
    const nobody = {onSegmentBytes() {}, onAck() {}, onMessage() {}, onDrain() {}, onClose() {}};
    links.agent.start(nobody);
    links.relay.start(nobody);
    return links;
  };
  const say = async (link: Link, message: LinkMessage) => {
    link.sendMessage(message);
    await settle();
  };
  const note = (text: string) => lines.push('', text, '');
  let offered: Stream | undefined;
  const session = (role: SessionRole, sink: Partial<SessionSink> = {}) =>
    new Session({role, pool, clock, sink: {onOpen() {}, onControl() {}, onEnded() {}, ...sink}});
  const agent = session('agent', {
    onOpen: (stream) => {
      offered = stream;
      stream.sink = {...NO_STREAM, onData: (piece) => stream.consumed(piece.length)};
    },
  });
  const relay = session('relay');

  const first = carriers();
  await settle();
  await say(first.relay, {
    type: 'challenge',
    protocol: PROTOCOL_VERSION,
    software: 'tunl/0.1.0',
    nonce: relayNonce,
  });
  await say(first.agent, {type: 'hello', software: 'tunl/0.1.0', nonce: agentNonce});
  await say(first.relay, {type: 'welcome', id, epoch: 1, received: 0, resumeWindowMs: 60_000, secret});
  relay.attach(first.relay, 0);
  agent.attach(first.agent, 0);
  const bind: AgentMessage = {type: 'bind', request: 1, wish: {kind: 'tls', h2: false, name: 'demo'}};
  agent.sendControl(bind);
  await settle();
  const bound: RelayMessage = {
    type: 'bound',
    request: 1,
    tunnel: 1,
    epoch: 1,
    host: 'demo.r1.example',
    port: 443,
  };
  relay.sendControl(bound);
  await settle();

  note('A visitor connects, sends `ping` and ends its direction.');
  const about: VisitorOpen = {tunnel: 1, via: 'tls', address: '203.0.113.7', port: 51_234};
  const visitor = relay.open(KIND.visitor, about);
  if (visitor === undefined) throw new Error('no stream');
  visitor.sink = {...NO_STREAM, onData: (piece) => visitor.consumed(piece.length)};
  visitor.write(Buffer.from('ping'));
  visitor.end();
  await settle();
  if (offered === undefined) throw new Error('no open');
  offered.accept();
  await settle();

  note('Here the carrier breaks. The upstream’s `pong` and its end wait for the next carrier.');
  const received = {agent: agent.receivedBytes, relay: relay.receivedBytes};
  first.agent.destroy();
  await settle();
  offered.write(Buffer.from('pong'));
  offered.end();
  const second = carriers();
  await settle();
  const nonces = {relay: 'c'.repeat(32), agent: 'd'.repeat(32)};
  await say(second.relay, {
    type: 'challenge',
    protocol: PROTOCOL_VERSION,
    software: 'tunl/0.1.0',
    nonce: nonces.relay,
  });
  const resume = new AgentTicket(id, secret, 1).ask(nonces.agent, nonces.relay, received.agent);
  await say(second.agent, {type: 'hello', software: 'tunl/0.1.0', nonce: nonces.agent, resume});
  const facts = {id, epoch: resume.epoch, agentNonce: nonces.agent, relayNonce: nonces.relay};
  const proof = relayProof(secret, facts, received.relay);
  const welcome = {
    type: 'welcome',
    id,
    epoch: resume.epoch,
    received: received.relay,
    resumeWindowMs: 60_000,
  } as const;
  await say(second.relay, {...welcome, proof});
  relay.attach(second.relay, received.agent);
  agent.attach(second.agent, received.relay);
  await settle();
  clock.advance(50);
  await settle();

  note('The agent leaves.');
  agent.close();
  await settle();
  relay.close();
  return ['```', ...lines, '```'].join('\n');
}
