// Invalid resumes by a hostile peer: each is refused with its own code, and nobody else notices.
import {generateKeyPairSync, randomBytes} from 'node:crypto';
import {expect} from 'vitest';
import {atLeast} from '../helpers/metric.js';
import {frame, nextTicket, RawAgent, type RawAgentOptions, type Ticket} from '../helpers/raw-agent.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {record} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import {domain, type Rig, startRig} from './rig.js';
import {startWitness} from './witness.js';

interface Victim {
  agent: RawAgent;
  ticket: Ticket;
  /** Bytes that the agent had received when its link was cut. */
  received: number;
  visitor: ReturnType<typeof record>;
}

/** @param of the session that the agent will resume */
const optionsOf = (rig: Rig, of?: Ticket): RawAgentOptions => ({
  port: rig.relay.port,
  domain,
  caFile: rig.caFile,
  token: rig.relay.token,
  ...(of && {of}),
});

/** A session with an open visitor whose link has just been lost. */
async function victimOf(scope: Scope, options: RawAgentOptions): Promise<Victim> {
  const {agent, ticket} = await RawAgent.begin(scope, options);
  const port = await agent.bindTcp();
  const visitor = await tcpVisitor(scope, port);
  visitor.write('hello');
  await agent.frame(({type}) => type === frame.data);
  agent.socket.terminate();
  await agent.closed;
  return {agent, ticket, received: agent.received, visitor: record(visitor)};
}

const next = (ticket: Ticket, by = 1): Ticket => ({...ticket, epoch: ticket.epoch + by});

const zeros = '0'.repeat(64);

/** Each case sends something for a victim, and names the expected code. */
const cases: Record<string, {code: string; attack: (agent: RawAgent, victim: Victim) => Promise<unknown>}> = {
  'an unknown session': {
    code: 'SESSION_UNKNOWN',
    attack: (agent, {ticket, received}) =>
      agent.resume({...next(ticket), id: randomBytes(16).toString('hex')}, received),
  },
  'a wrong proof': {
    code: 'SESSION_PROOF',
    attack: (agent, {ticket, received}) => agent.resume(next(ticket), received, {proof: zeros}),
  },
  'the proof of another secret': {
    code: 'SESSION_PROOF',
    attack: (agent, {ticket, received}) => agent.resume({...next(ticket), secret: zeros}, received),
  },
  'a proof of another count': {
    code: 'SESSION_PROOF',
    attack: (agent, {ticket, received}) => agent.resume(next(ticket), received, {received: received - 1}),
  },
  'a proof of another epoch': {
    code: 'SESSION_PROOF',
    attack: (agent, {ticket, received}) => agent.resume(next(ticket), received, {epoch: ticket.epoch + 7}),
  },
  'an old epoch': {
    code: 'SESSION_STALE',
    attack: (agent, {ticket, received}) => agent.resume(ticket, received),
  },
};

test('forged, stale and unknown resumes are refused, and the attacked session goes on', async ({scope}) => {
  const rig = await startRig(scope);
  const witness = await startWitness(scope, rig);
  let right = 0;
  for (const [name, {code, attack}] of Object.entries(cases)) {
    await using inner = new Scope();
    const victim = await victimOf(inner, optionsOf(rig));
    const attacker = await RawAgent.connect(inner, optionsOf(rig, victim.ticket));
    await attack(attacker, victim);
    const word = await attacker.lastWord();
    expect.soft(word, name).toBe(code);
    if (word === code) right += 1;
    // The owner of the secret still has the session, with its visitor.
    const owner = await RawAgent.connect(inner, optionsOf(rig, victim.ticket));
    await owner.resume(next(victim.ticket), victim.received);
    expect(await owner.message('welcome'), name).toMatchObject({
      id: victim.ticket.id,
      received: victim.agent.sent,
    });
    expect(victim.visitor.socket.destroyed, name).toBe(false);
  }
  const all = Object.keys(cases).length;
  expect(atLeast('resume abuse', 'refused by their own code', right, all)).toBe(true);
  await witness.undisturbed();
});

test('a recorded resume does not work again, and neither does an old secret after the next resume', async ({
  scope,
}) => {
  const rig = await startRig(scope);
  const {ticket, received} = await victimOf(scope, optionsOf(rig));
  const owner = await RawAgent.connect(scope, optionsOf(rig, ticket));
  const recorded = await owner.resume(next(ticket), received);
  expect(await owner.answer()).toBe('welcome');
  const replayer = await RawAgent.connect(scope, optionsOf(rig, ticket));
  await replayer.message('challenge');
  replayer.say(recorded);
  expect(await replayer.lastWord()).toBe('SESSION_PROOF');

  const {nonce} = await owner.message('challenge');
  const second = nextTicket(next(ticket), owner.nonce, String(nonce));
  const again = await RawAgent.connect(scope, optionsOf(rig, ticket));
  await again.resume(next(second), received);
  expect(await again.answer()).toBe('welcome');
  const late = await RawAgent.connect(scope, optionsOf(rig, ticket));
  await late.resume(next(ticket, 9), received);
  expect(await late.lastWord()).toBe('SESSION_PROOF');
});

test('two resumes at once: one gets the session', async ({scope}) => {
  const rig = await startRig(scope);
  const victim = await victimOf(scope, optionsOf(rig));
  const two = await Promise.all([0, 1].map(() => RawAgent.connect(scope, optionsOf(rig, victim.ticket))));
  await Promise.all(two.map((agent) => agent.resume(next(victim.ticket), victim.received)));
  const results = await Promise.all(two.map((agent) => agent.answer()));
  expect(results.sort()).toEqual(['SESSION_STALE', 'welcome']);
  expect(victim.visitor.socket.destroyed).toBe(false);
});

test('a valid proof by another owner', async ({scope}) => {
  const rig = await startRig(scope, {withToken: false});
  const {token: _, ...options} = optionsOf(rig);
  const [mine, foreign] = [0, 1].map(() => generateKeyPairSync('ed25519').privateKey);
  const nobody = await RawAgent.connect(scope, options);
  await nobody.hello();
  expect(await nobody.lastWord()).toBe('TOKEN_WRONG');
  const victim = await victimOf(scope, {...options, ...(mine && {key: mine})});
  const attacker = await RawAgent.connect(scope, {
    ...options,
    of: victim.ticket,
    ...(foreign && {key: foreign}),
  });
  await attacker.resume(next(victim.ticket), victim.received);
  expect(await attacker.lastWord()).toBe('SESSION_UNKNOWN');
  const owner = await RawAgent.connect(scope, {...options, of: victim.ticket, ...(mine && {key: mine})});
  await owner.resume(next(victim.ticket), victim.received);
  expect(await owner.answer()).toBe('welcome');
  expect(victim.visitor.socket.destroyed).toBe(false);
});

test.for([
  ['in the future', 1_000_000_000],
  ['already dropped', 0],
] as const)('a count %s ends that session alone', async ([, count], {scope}) => {
  const rig = await startRig(scope);
  const witness = await startWitness(scope, rig);
  const victim = await victimOf(scope, optionsOf(rig));
  const agent = await RawAgent.connect(scope, optionsOf(rig, victim.ticket));
  await agent.resume(next(victim.ticket), count);
  expect(await agent.lastWord()).toBe('SESSION_RANGE');
  expect(await victim.visitor.closed).toBe('ECONNRESET');
  const again = await RawAgent.connect(scope, optionsOf(rig, victim.ticket));
  await again.resume(next(victim.ticket, 2), victim.received);
  expect(await again.lastWord()).toBe('SESSION_UNKNOWN');
  await witness.undisturbed();
});

test('bytes of a live carrier are ignored after the next resume', async ({scope}) => {
  const rig = await startRig(scope);
  const {agent, ticket} = await RawAgent.begin(scope, optionsOf(rig));
  const port = await agent.bindTcp();
  const visitor = await tcpVisitor(scope, port);
  record(visitor);
  visitor.write('x');
  await agent.frame(({type}) => type === frame.data);
  const later = await RawAgent.connect(scope, optionsOf(rig, ticket));
  await later.resume(next(ticket), agent.received);
  await later.message('welcome');
  await agent.closed;
  visitor.end('y');
  await later.frame(({type}) => type === frame.fin);
  expect(later.frames.map(({type}) => type)).toEqual([frame.data, frame.fin]);
});
