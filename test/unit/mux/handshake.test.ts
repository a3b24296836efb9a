import {describe, expect, test} from 'vitest';
import {TunlError} from '../../../src/lib/core/errors.js';
import type {Carrier} from '../../../src/lib/mux/carrier.js';
import {type AgentHandshake, greetAgent, greetRelay, refuseHello} from '../../../src/lib/mux/handshake.js';
import {Link} from '../../../src/lib/mux/link.js';
import {createPipe} from '../../../src/lib/mux/pipe.js';
import {newNonce, newSecret, newSessionId} from '../../../src/lib/mux/proof.js';
import {AgentTicket, RelayTicket} from '../../../src/lib/mux/resume-ticket.js';
import type {Hello, Welcome} from '../../../src/lib/protocol/link-messages.js';
import {PROTOCOL_VERSION} from '../../../src/lib/protocol/wire.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {RawPeer, settle} from '../../mux/raw-peer.js';
import {ack, message, segment} from '../../mux/wire-bytes.js';

/** An agent with a relay made of bytes. */
async function agent(options: Partial<AgentHandshake> = {}) {
  const clock = new ManualClock();
  const [mine, theirs] = createPipe();
  const link = new Link(mine, {clock});
  const attached: Welcome[] = [];
  const greeted = greetRelay(
    link,
    {software: 'agent/test', clock, timeoutMs: 10_000, ...options},
    (welcome) => attached.push(welcome),
  );
  const outcome = greeted.then(
    (welcome) => ({welcome}),
    (error: unknown) => ({error}),
  );
  const peer = new RawPeer(theirs);
  const say = async (...values: unknown[]) => {
    peer.send(...values.map(message));
    await settle();
  };
  await settle();
  return {clock, link, peer, attached, outcome, say, carrier: mine};
}

const challenge = {type: 'challenge', protocol: PROTOCOL_VERSION, software: 'relay/test', nonce: newNonce()};
const welcome = {
  type: 'welcome',
  id: newSessionId(),
  epoch: 1,
  received: 0,
  resumeWindowMs: 60_000,
  secret: newSecret(),
};

describe('an agent', () => {
  test('waits for the challenge, sends hello with its own nonce, and accepts the welcome', async () => {
    const {peer, attached, outcome, say} = await agent();
    expect(peer.messages).toEqual([]);
    await say(challenge);
    expect(peer.messages).toEqual([
      {type: 'hello', software: 'agent/test', nonce: expect.stringMatching(/^[0-9a-f]{32}$/)},
    ]);
    await say(welcome);
    expect(attached).toEqual([welcome]);
    expect(await outcome).toEqual({welcome});
  });

  test('closes a session that the relay may have begun when the agent ends during the handshake', async () => {
    const leaving = new AbortController();
    const {peer, outcome, say} = await agent({leaving: leaving.signal});
    await say(challenge);
    leaving.abort();
    await settle();
    expect(await outcome).toMatchObject({error: {code: 'ABORTED'}});
    expect(peer.messages.map(({type}) => type)).toEqual(['hello', 'close']);
    // A welcome that crosses with the close is ignored.
    await say(welcome);
    expect(peer.messages).toHaveLength(2);
  });

  test('sends no close to a relay that does not know a session yet', async () => {
    const leaving = new AbortController();
    const {peer, outcome} = await agent({leaving: leaving.signal});
    leaving.abort();
    await settle();
    expect(await outcome).toMatchObject({error: {code: 'ABORTED'}});
    expect(peer.messages).toEqual([]);
  });

  const identify: AgentHandshake['identify'] = ({carrier, relayNonce, agentNonce}) => ({
    key: carrier.label,
    signature: `${relayNonce} ${agentNonce}`,
  });

  test('proves its identity, on this link and with both nonces, on request', async () => {
    const {peer, say, carrier} = await agent({identify});
    await say({...challenge, identify: 'r1.example'});
    const [hello] = peer.messages as [Hello];
    expect(hello.identity).toEqual({key: carrier.label, signature: `${challenge.nonce} ${hello.nonce}`});
  });

  test('signs nothing without a request', async () => {
    const {peer, say} = await agent({identify});
    await say(challenge);
    expect(peer.messages).toMatchObject([{type: 'hello', software: 'agent/test'}]);
    expect(peer.messages[0]).not.toHaveProperty('identity');
  });

  test('proves its key beside a token when the relay notes keys, and continues without when it cannot', async () => {
    const noting = {...challenge, features: ['identity', 'of-next-year']};
    const able = await agent({identify});
    await able.say(noting);
    expect(able.peer.messages).toMatchObject([{type: 'hello', identity: {key: able.carrier.label}}]);
    const unable = await agent({
      identify: () => {
        throw new TunlError('STATE_DIR');
      },
    });
    await unable.say(noting);
    expect(unable.peer.messages).toMatchObject([{type: 'hello'}]);
    expect(unable.peer.messages[0]).not.toHaveProperty('identity');
  });

  test('ends the attempt with the reason when its key proves nothing on this link', async () => {
    const refuse = () => {
      throw new TunlError('STATE_DIR', {reason: 'no key'});
    };
    const {say, outcome, link} = await agent({identify: refuse});
    await say({...challenge, identify: 'r1.example'});
    expect(await outcome).toMatchObject({error: {code: 'STATE_DIR'}});
    expect(link.closed).toBe(true);
  });

  test('attaches before any later byte of the same chunk is read', async () => {
    const seen: string[] = [];
    const [mine, theirs] = createPipe();
    const clock = new ManualClock();
    const link = new Link(mine, {clock});
    void greetRelay(link, {software: 'x', clock, timeoutMs: 10_000}, () => {
      seen.push('attach');
      link.handTo({
        onSegmentBytes: () => void seen.push('bytes'),
        onAck: () => void seen.push('ack'),
        onMessage: () => void seen.push('message'),
        onDrain() {},
        onClose() {},
      });
    });
    new RawPeer(theirs).send(message(challenge), message(welcome), segment(Buffer.from('x')), ack(0));
    await settle();
    expect(seen).toEqual(['attach', 'bytes', 'ack']);
  });

  test.each([
    ['challenge', []],
    ['welcome', [challenge]],
  ])('waits for the %s at most for its time, however alive the relay is', async (due, said) => {
    const clock = new ManualClock();
    const {outcome, say, peer} = await agent({clock, timeoutMs: 10_000});
    await say(...said);
    clock.advance(9_999);
    await settle();
    expect(peer.closed).toBe(false);
    clock.advance(1);
    expect(await outcome).toMatchObject({
      error: {code: 'RELAY_TIMEOUT', retryable: true, message: `No ${due} from the relay within 10 s.`},
    });
    await settle();
    expect(peer.closed).toBe(true);
  });

  test('recognises a relay of a later version', async () => {
    const {outcome, say, peer} = await agent();
    await say({...challenge, protocol: PROTOCOL_VERSION + 1});
    expect(await outcome).toMatchObject({error: {code: 'RELAY_TOO_NEW'}});
    expect([peer.messages, peer.closed]).toEqual([[], true]);
  });

  test.each([
    [
      'the relay’s refusal',
      {type: 'refused', code: 'NAME_TAKEN', message: 'by somebody'},
      'NAME_TAKEN',
      undefined,
    ],
    [
      'the wait before the next attempt',
      {type: 'refused', code: 'RELAY_BUSY', message: 'full', retryAfterMs: 7_000},
      'RELAY_BUSY',
      7_000,
    ],
    [
      'a code that it does not know',
      {type: 'refused', code: 'NEW_CODE', message: 'why'},
      'RELAY_LOST',
      undefined,
    ],
    [
      'a close instead of an answer',
      {type: 'close', code: 'PROTOCOL', message: 'why'},
      'PROTOCOL',
      undefined,
    ],
  ])('passes on %s', async (_what, value, code, retryAfterMs) => {
    const {outcome, say, peer} = await agent();
    await say(challenge, value);
    expect(await outcome).toMatchObject({error: {code, message: value.message, retryAfterMs}});
    expect(peer.closed).toBe(true);
  });

  test('reports a link that closes as lost', async () => {
    const {outcome, carrier} = await agent();
    carrier.destroy(new Error('cut'));
    expect(await outcome).toMatchObject({error: {code: 'RELAY_LOST'}});
  });

  test('notices a relay that sends nothing at all at the same time', async () => {
    const {outcome, clock} = await agent();
    clock.advance(10_000);
    expect(await outcome).toMatchObject({error: {code: 'RELAY_TIMEOUT'}});
  });

  test('stops at its signal, before or during a wait, and leaves nothing behind', async () => {
    const before = await agent({signal: AbortSignal.abort()});
    expect(await before.outcome).toMatchObject({error: {code: 'ABORTED'}});
    const stop = new AbortController();
    const during = await agent({signal: stop.signal});
    await during.say(challenge);
    stop.abort();
    expect(await during.outcome).toMatchObject({error: {code: 'ABORTED'}});
    await settle();
    expect([before.peer.closed, during.peer.closed, during.clock.pending]).toEqual([true, true, 0]);
    const after = new AbortController();
    const done = await agent({signal: after.signal});
    await done.say(challenge, welcome);
    after.abort();
    expect(await done.outcome).toEqual({welcome});
    expect(done.link.closed).toBe(false);
  });

  test.each<[string, (peer: RawPeer) => void, RegExp]>([
    ['session bytes', (peer) => peer.send(segment(Buffer.from('x'))), /before the handshake/],
    ['an ack', (peer) => peer.send(ack(0)), /before the handshake/],
    [
      'a welcome before its hello',
      (peer) => peer.send(message(welcome)),
      /welcome message during the handshake/,
    ],
    [
      'a second challenge',
      (peer) => peer.send(message(challenge), message(challenge)),
      /challenge message during/,
    ],
    [
      'a hello',
      (peer) => peer.send(message({type: 'hello', software: 'x', nonce: newNonce()})),
      /hello message during/,
    ],
    [
      'a goaway',
      (peer) => peer.send(message({type: 'goaway', message: '', afterMs: 0, relays: []})),
      /goaway message/,
    ],
    [
      'a new session without a secret',
      (peer) => peer.send(message(challenge), message({...welcome, secret: undefined})),
      /secret/,
    ],
    ['a malformed message', (peer) => peer.send(message({type: 'nonsense'})), /malformed/],
  ])('treats %s as a violation', async (_what, attack, reason) => {
    const {peer, outcome, attached} = await agent();
    attack(peer);
    await settle();
    expect(await outcome).toMatchObject({error: {code: 'PROTOCOL', message: expect.stringMatching(reason)}});
    expect(peer.farewell).toMatchObject({type: 'close', code: 'PROTOCOL'});
    expect(attached).toEqual([]);
  });

  describe('that resumes', () => {
    const setUp = async () => {
      const ticket = new RelayTicket();
      const mine = new AgentTicket(ticket.id, ticket.firstSecret, ticket.epoch);
      const world = await agent({resume: {ticket: mine, received: 1_234}});
      await world.say(challenge);
      const hello = world.peer.messages[0] as Hello;
      const facts = {epoch: hello.resume?.epoch ?? 0, agentNonce: hello.nonce, relayNonce: challenge.nonce};
      return {...world, ticket, hello, facts};
    };

    test('proves itself, and accepts a relay that proves itself', async () => {
      const {ticket, hello, facts, say, outcome} = await setUp();
      expect(hello.resume).toMatchObject({id: ticket.id, received: 1_234});
      const verdict = ticket.check(facts, 1_234, hello.resume?.proof ?? '');
      if (!verdict.ok) return expect.unreachable();
      const {secret: _, ...rest} = welcome;
      await say({...rest, id: ticket.id, epoch: verdict.epoch, received: 99, proof: verdict.answer(99)});
      expect(await outcome).toMatchObject({welcome: {received: 99}});
    });

    test('asks a session with a live old link as late as possible, and tells it the result', async () => {
      const ways: [string, (world: Awaited<ReturnType<typeof agent>>) => void | Promise<void>][] = [
        ['refused', ({say}) => say({type: 'refused', code: 'SESSION_UNKNOWN', message: ''})],
        ['violation', ({peer}) => peer.send(ack(0))],
        ['lost', ({carrier}) => carrier.destroy()],
        ['silent', ({clock}) => clock.advance(15_000)],
      ];
      for (const [, end] of ways) {
        const events: string[] = [];
        let received = 1;
        const offer = {
          offerResume: () => {
            events.push('offer');
            return received;
          },
          settleResume: () => void events.push('settle'),
        };
        const ticket = new AgentTicket(newSessionId(), newSecret(), 1);
        const world = await agent({resume: {ticket, received: offer}});
        received = 2_000;
        expect(events).toEqual([]);
        await world.say(challenge);
        expect(world.peer.messages).toMatchObject([{resume: {received: 2_000}}]);
        expect([events, world.link.told]).toEqual([['offer'], 2_000]);
        await end(world);
        await settle();
        expect(await world.outcome).toHaveProperty('error');
        expect(events).toEqual(['offer', 'settle']);
      }
    });

    test.each<[string, (right: string) => object]>([
      ['another count', (proof) => ({proof, received: 100})],
      ['another epoch', (proof) => ({proof, epoch: 77})],
      ['no proof', () => ({})],
      ['a made-up proof', () => ({proof: newSecret()})],
    ])('does not accept a welcome with %s', async (_what, change) => {
      const {ticket, hello, facts, say, outcome, attached} = await setUp();
      const verdict = ticket.check(facts, 1_234, hello.resume?.proof ?? '');
      if (!verdict.ok) return expect.unreachable();
      const {secret: _, ...rest} = welcome;
      await say({...rest, epoch: verdict.epoch, received: 99, ...change(verdict.answer(99))});
      expect(await outcome).toMatchObject({error: {code: 'SESSION_PROOF'}});
      expect(attached).toEqual([]);
    });
  });
});

describe('a relay', () => {
  function relay(onHello: (link: Link, hello: Hello, nonce: string) => void = () => {}) {
    const clock = new ManualClock();
    const [mine, theirs] = createPipe();
    const link = new Link(mine, {clock});
    const hellos: Hello[] = [];
    const failed: (Error | undefined)[] = [];
    greetAgent(link, {
      software: 'relay/test',
      clock,
      timeoutMs: 10_000,
      onHello: (hello, nonce) => {
        hellos.push(hello);
        onHello(link, hello, nonce);
      },
      onFailed: (error) => failed.push(error),
    });
    return {clock, link, peer: new RawPeer(theirs), hellos, failed, carrier: mine as Carrier};
  }

  const hello = {type: 'hello', software: 'agent/test', nonce: newNonce()};

  test('challenges at once, with a unique nonce', async () => {
    const both = [relay(), relay()];
    await settle();
    const nonces = both.map(({peer}) => {
      expect(peer.messages).toMatchObject([
        {type: 'challenge', protocol: PROTOCOL_VERSION, software: 'relay/test'},
      ]);
      return (peer.messages[0] as {nonce: string}).nonce;
    });
    expect(nonces[0]).not.toBe(nonces[1]);
  });

  test('passes on the hello with the nonce that it answers', async () => {
    let seen = '';
    const {peer, hellos} = relay((_link, _hello, nonce) => {
      seen = nonce;
    });
    await settle();
    peer.send(message(hello));
    await settle();
    expect(hellos).toEqual([hello]);
    expect(peer.messages).toMatchObject([{nonce: seen}]);
  });

  test('gives up in time when the agent sends nothing', async () => {
    const {clock, peer, failed} = relay();
    await settle();
    clock.advance(9_999);
    await settle();
    expect(failed).toEqual([]);
    clock.advance(1);
    await settle();
    expect(failed).toMatchObject([{code: 'RELAY_TIMEOUT', message: 'no hello within 10 s'}]);
    expect(peer.messages.at(-1)).toEqual({
      type: 'close',
      code: 'RELAY_TIMEOUT',
      message: 'no hello within 10 s',
    });
    expect([peer.closed, clock.pending]).toEqual([true, 0]);
  });

  test('is told about a link that closes, once', async () => {
    const {carrier, failed, clock} = relay();
    carrier.destroy(new Error('cut'));
    await settle();
    expect(failed).toMatchObject([{message: 'cut'}]);
    expect(clock.pending).toBe(0);
  });

  test('refuses with a code, and with a text that is short enough for the agent', async () => {
    const {peer} = relay((link) => refuseHello(link, 'RELAY_BUSY', 'x'.repeat(1_000), 5_000));
    await settle();
    peer.send(message(hello));
    await settle();
    expect(peer.farewell).toEqual({
      type: 'refused',
      code: 'RELAY_BUSY',
      message: 'x'.repeat(500),
      retryAfterMs: 5_000,
    });
    expect([peer.closed, peer.violation]).toEqual([true, undefined]);
  });

  test.each<[string, (peer: RawPeer) => void]>([
    ['session bytes', (peer) => peer.send(segment(Buffer.from('x')))],
    ['an ack', (peer) => peer.send(ack(0))],
    ['a second hello before the answer to the first', (peer) => peer.send(message(hello), message(hello))],
    ['a welcome', (peer) => peer.send(message(welcome))],
    ['a close', (peer) => peer.send(message({type: 'close', code: 'CLOSED', message: ''}))],
    ['a malformed message', (peer) => peer.send(message([]))],
  ])('treats %s as a violation', async (_what, attack) => {
    const {peer, failed, hellos} = relay();
    await settle();
    attack(peer);
    await settle();
    expect(failed).toMatchObject([{code: 'PROTOCOL'}]);
    expect(peer.farewell).toMatchObject({type: 'close', code: 'PROTOCOL'});
    expect(hellos.length).toBeLessThanOrEqual(1);
    expect(peer.closed).toBe(true);
  });
});
