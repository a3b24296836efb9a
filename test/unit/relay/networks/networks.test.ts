// Private networks at a relay: who may join, what members see of each other, and streams between them.

import {once} from 'node:events';
import {performance} from 'node:perf_hooks';
import {text} from 'node:stream/consumers';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {streamCodeOf} from '../../../../src/lib/agent/refused-stream.js';
import type {Stream} from '../../../../src/lib/mux/stream.js';
import {memberAddress, memberText, networkPrefix} from '../../../../src/lib/protocol/network-messages.js';
import {KIND} from '../../../../src/lib/protocol/wire.js';
import {TokenCommands} from '../../../../src/lib/relay/access/token-commands.js';
import type {RunningRelay} from '../../../../src/lib/relay/running-relay.js';
import {startRunningRelay} from '../../../../src/lib/relay/start.js';
import {MemberAgent, newMemberKey, type TestMember} from '../../../helpers/members.js';
import {atMost} from '../../../helpers/metric.js';
import {RelayEar} from '../../../helpers/relay-events.js';
import {Scope} from '../../../helpers/scope.js';

const DOMAIN = 'r1.localhost';

describe.each([1, 2])('a relay with workers: %i', (workers) => {
  const scope = new Scope();
  const ear = new RelayEar();
  let relay: RunningRelay;
  let tokens: TokenCommands;
  let all: string;
  let stateDir: string;
  let count = 0;

  beforeAll(async () => {
    stateDir = await scope.tempDir('relay');
    tokens = new TokenCommands(stateDir);
    all = (await tokens.create({name: 'all', scopes: ['net:*', 'cluster:*']})).token;
    relay = scope.own(
      await startRunningRelay(
        {domain: DOMAIN, token: '', trustedSources: ['127.0.0.1'], stateDir, workers},
        {listeners: [ear.listen]},
      ),
    );
  });
  afterAll(() => scope[Symbol.asyncDispose]());

  /** Each test has networks of its own. */
  const newName = () => `n${++count}`;

  async function agent(token = all): Promise<MemberAgent> {
    const {url, caFile} = relay;
    const stateDir = await scope.tempDir('agent');
    return MemberAgent.open(scope, {relay: url, ...(caFile && {caFile}), token, stateDir});
  }

  /** Two members of a new network, at different workers if there are several. */
  async function two() {
    const network = newName();
    const [a, b] = [await agent(), await agent()];
    const trainer = await a.join({network, name: 'trainer'});
    const worker = await b.join({network, name: 'worker'});
    return {network, a, b, trainer, worker};
  }

  /** The code with which this was refused or reset. */
  const codeOf = (what: Promise<unknown>) => what.then(() => 'accepted', streamCodeOf);
  const over = async ({over}: TestMember) => (await over).code;

  test('members see each other, and reach each other by name', async () => {
    const network = newName();
    const [a, b] = [await agent(), await agent()];
    const keys = {trainer: newMemberKey(), worker: newMemberKey()};
    const trainer = await a.join({network, name: 'trainer', key: keys.trainer});
    const worker = await b.join({network, name: 'worker', key: keys.worker, accepts: false});
    const lab = {scope: 'net', network} as const;
    await trainer.until(() => trainer.members.length === 2);
    expect(trainer.members).toEqual([
      {
        ...{name: 'trainer', serial: 1, accepts: true, state: {}},
        address: memberAddress(DOMAIN, lab, keys.trainer.raw),
        key: keys.trainer.raw.toString('base64url'),
      },
      expect.objectContaining({name: 'worker', serial: 2, accepts: false}),
    ]);
    expect(worker.joined).toEqual({
      prefix: networkPrefix(DOMAIN, lab),
      address: memberAddress(DOMAIN, lab, keys.worker.raw),
      serial: 2,
    });
    worker.send({state: {at: 'home'}});
    await trainer.until(() => trainer.members[1]?.state.at === 'home');

    const out = await b.connect('worker', 'trainer', {network, port: 29_500});
    const {offer, duplex} = await a.offered();
    expect(offer).toEqual({
      ...lab,
      to: 'trainer',
      from: {name: 'worker', address: worker.joined?.address},
      port: 29_500,
    });
    const answer = text(out);
    // Each direction ends by itself.
    out.end('ping');
    expect(await text(duplex)).toBe('ping');
    duplex.end('pong');
    expect(await answer).toBe('pong');

    await expect(a.connect('trainer', 'worker', {network})).rejects.toSatisfy(
      (error) => streamCodeOf(error) === 'UPSTREAM_REFUSED',
    );
    trainer.leave();
    await worker.until(() => worker.members.length === 1);
  });

  test('a stream that is accepted and reset at once is refused', async () => {
    const {network, a, b} = await two();
    a.accepts = false;
    const opening = b.connect('worker', 'trainer', {network});
    const {stream} = await a.offered();
    stream.accept();
    stream.reset('UPSTREAM_RESET');
    expect(await codeOf(opening)).toBe('UPSTREAM_RESET');
  });

  test('a key is proved for this relay, network, name and challenge, and nothing else', async () => {
    const network = newName();
    const a = await agent();
    const key = newMemberKey();
    const right = {relay: DOMAIN, scope: 'net', network, name: 'a'} as const;
    const wrong = {
      'another relay': (challenge: string) => memberText({...right, relay: 'r2.localhost', challenge}),
      'another network': (challenge: string) => memberText({...right, network: 'other', challenge}),
      'another scope': (challenge: string) => memberText({...right, scope: 'cluster', challenge}),
      'another name': (challenge: string) => memberText({...right, name: 'b', challenge}),
      'another challenge': () => memberText({...right, challenge: '0'.repeat(64)}),
    };
    for (const [what, text] of Object.entries(wrong)) {
      const forged = await a.ask({network, name: 'a', key, text});
      expect([what, await over(forged)]).toEqual([what, 'MEMBER_UNPROVEN']);
      expect(forged.ended?.code).toBe('MEMBER_UNPROVEN');
      expect(forged.joined).toBeUndefined();
    }
    // Somebody else's public key, signed by another one.
    const foreign = await a.ask({network, name: 'a', key: {...newMemberKey(), raw: key.raw}});
    expect(await over(foreign)).toBe('MEMBER_UNPROVEN');
    // Bytes that are no key.
    const none = await a.ask({network, name: 'a', key: {...key, raw: Buffer.alloc(32, 0xff)}});
    expect(await over(none)).toBe('MEMBER_UNPROVEN');
    expect((await a.join({network, name: 'a', key})).names()).toEqual(['a']);
  });

  test('a name belongs to the key that has it, and the same key takes over', async () => {
    const {network, a, b, trainer} = await two();
    expect(await over(await b.ask({network, name: 'trainer'}))).toBe('MEMBER_NAME_USED');
    const key = newMemberKey();
    const first = await a.join({network, name: 'third', key});
    expect(await over(await b.ask({network, name: 'fourth', key}))).toBe('MEMBER_NAME_USED');
    const open = await b.connect('worker', 'third', {network});
    const broken = new Promise((resolve) => open.once('close', () => resolve(streamCodeOf(open.errored))));
    const second = await b.join({network, name: 'third', key});
    expect([await over(first), first.ended?.code]).toEqual(['MEMBER_REPLACED', 'MEMBER_REPLACED']);
    expect(second.joined).toEqual(first.joined);
    expect(await broken).toBe('MEMBER_REPLACED');
    await trainer.until(() => trainer.members.length === 3);
    expect(trainer.names()).toEqual(['trainer', 'worker', 'third']);
    // Its agent has both members now, and reaches one from the other through the relay.
    await b.connect('worker', 'third', {network});
    expect((await b.offered()).offer.from.name).toBe('worker');
  });

  test('of two joins with one key in one turn the later one stays', async () => {
    const network = newName();
    const a = await agent();
    const both = {network, name: 'twice', key: newMemberKey()};
    const [first, second] = await Promise.all([a.ask(both), a.ask(both)]);
    expect([await over(first), first.ended?.code]).toEqual(['MEMBER_REPLACED', 'MEMBER_REPLACED']);
    const other = await a.join({network, name: 'other'});
    await second.until(() => second.members.length === 2);
    expect(other.names()).toEqual(['twice', 'other']);
    expect(second.ended).toBeUndefined();
  });

  test('only members of a network reach its members', async () => {
    const {network, a, b} = await two();
    const stranger = await agent();
    const other = newName();
    await stranger.join({network: other, name: 'worker'});
    const asked = {
      'no membership': () => stranger.connect('worker', 'trainer', {network}),
      'the name of another member': () => b.connect('trainer', 'worker', {network}),
      'another network': () => stranger.connect('worker', 'trainer', {network: other}),
      'another scope': () => b.connect('worker', 'trainer', {network, scope: 'cluster'}),
      'no such member': () => b.connect('worker', 'nobody', {network}),
    };
    for (const [what, connected] of Object.entries(asked))
      expect([what, await codeOf(connected())]).toEqual([what, 'MEMBER_UNKNOWN']);
    expect(await codeOf(b.connect('worker', 'worker', {network}))).toBe('NOT_ALLOWED');
    // A stream before the proof.
    await stranger.ask({network, name: 'late', signs: false});
    expect(await codeOf(stranger.connect('late', 'trainer', {network}))).toBe('MEMBER_UNKNOWN');
    expect([a.waiting, b.waiting]).toEqual([0, 0]);
  });

  test('a member that leaves is reached no more, and its streams end', async () => {
    const {network, a, b, trainer, worker} = await two();
    const out = await b.connect('worker', 'trainer', {network});
    const {duplex} = await a.offered();
    const ends = [out, duplex].map((each) => new Promise((resolve) => each.once('close', resolve)));
    trainer.leave();
    await Promise.all(ends);
    await worker.until(() => worker.members.length === 1);
    expect(await codeOf(b.connect('worker', 'trainer', {network}))).toBe('MEMBER_UNKNOWN');
    // The end of a session is the end of its members.
    await b.link.close();
    const watcher = await a.watch(network);
    await watcher.until(() => watcher.rosters > 0 && watcher.members.length === 0);
  });

  test('a watcher sees the members, and is none', async () => {
    const {network, a, b, trainer} = await two();
    const watchers = [await a.watch(network), await a.watch(network)];
    for (const watcher of watchers) {
      await watcher.until(() => watcher.members.length === 2);
      expect(watcher.joined).toEqual({prefix: trainer.joined?.prefix});
    }
    trainer.send({state: {ready: true}});
    for (const watcher of watchers) await watcher.until(() => watcher.members[0]?.state.ready === true);
    expect(await codeOf(b.connect('worker', 'nobody', {network}))).toBe('MEMBER_UNKNOWN');
    const empty = await b.watch(newName());
    await empty.until(() => empty.rosters === 1);
    expect(empty.members).toEqual([]);
  });

  test('the scope of a token makes a member, and without it all ends within 5 s', async () => {
    const {network, a} = await two();
    const wished = [`net:${network}`, `cluster:${network}`, 'net:other', 'name:*'];
    const made = await Promise.all(
      wished.map((each, at) => tokens.create({name: `${network}-${at}`, scopes: [each]})),
    );
    const [right, ...wrong] = await Promise.all(made.map(({token}) => agent(token)));
    for (const each of wrong) {
      expect(await over(await each.ask({network, name: 'x'}))).toBe('NOT_ALLOWED');
      expect(await over(await each.watch(network))).toBe('NOT_ALLOWED');
    }
    const member = await (right as MemberAgent).join({network, name: 'x'});
    const watcher = await (right as MemberAgent).watch(network);
    const out = await (right as MemberAgent).connect('x', 'trainer', {network});
    const {duplex} = await a.offered();
    out.write('before');
    expect(String((await once(duplex, 'data'))[0])).toBe('before');
    const broken = new Promise((resolve) =>
      duplex.once('close', () => resolve(streamCodeOf(duplex.errored))),
    );
    const from = performance.now();
    await tokens.set(`${network}-0`, {scopes: ['net:other']});
    expect([await over(member), await over(watcher), await broken]).toEqual(Array(3).fill('NOT_ALLOWED'));
    expect(member.ended?.code).toBe('NOT_ALLOWED');
    expect(atMost('a member without rights leaves', 'ms', performance.now() - from, 5_000)).toBe(true);
    expect(ear.all('member-left').at(-1)).toMatchObject({
      network: `net:${network}`,
      name: 'x',
      code: 'NOT_ALLOWED',
    });
    expect(ear.all('member-refused')).toContainEqual(
      expect.objectContaining({network: `net:${network}`, name: 'x', code: 'NOT_ALLOWED'}),
    );
  });

  test('10,000 streams to a member that never accepts cost the opener its own, and nobody else', async () => {
    const {network, a, b} = await two();
    a.accepts = false;
    const codes = new Map<string, number>();
    let answered = 0;
    const done = Promise.withResolvers<void>();
    const streams: Stream[] = [];
    for (let i = 0; i < 10_000; i += 1) {
      await b.link.open(
        KIND.member,
        {scope: 'net', network, from: 'worker', to: 'trainer', port: 1},
        {
          onOpen: (stream) => {
            streams.push(stream);
            stream.sink = {
              onData: () => {},
              onEnd: () => {},
              onWritable: () => {},
              onReset: (code) => {
                codes.set(code, (codes.get(code) ?? 0) + 1);
                answered += 1;
                if (answered === 10_000 - 256) done.resolve();
              },
            };
          },
        },
      );
    }
    await done.promise;
    expect([...codes]).toEqual([['TOO_MANY_STREAMS', 10_000 - 256]]);
    // Others still reach what they want, and the member itself when it answers again.
    for (const stream of streams) stream.reset('CANCELLED');
    const third = await agent();
    await third.join({network, name: 'third'});
    a.accepts = true;
    const out = await third.connect('third', 'trainer', {network});
    out.destroy();
  });

  test('a member that floods its state delays itself alone', async () => {
    const {network, b, trainer, worker} = await two();
    for (let i = 0; i < 5_000; i += 1) trainer.send({state: {i}});
    await worker.until(() => Number(worker.members[0]?.state.i) > 50);
    expect(Number(worker.members[0]?.state.i)).toBeLessThan(1_000);
    worker.send({state: {fine: true}});
    await worker.until(() => worker.members[1]?.state.fine === true);
    trainer.leave();
    await b.connect('worker', 'trainer', {network}).catch(() => {});
  });

  test.each([
    ['a state of more than 1 KiB', JSON.stringify({state: {a: 'x'.repeat(1_024)}})],
    ['a line without an end', 'x'.repeat(5_000)],
    ['no JSON', 'hello\n'],
    ['a state that is a list', '{"state":[]}'],
  ])('%s ends the membership', async (_, line) => {
    const a = await agent();
    const member = await a.join({network: newName(), name: 'a'});
    member.stream?.write(Buffer.from(`${line}\n`));
    expect([await over(member), member.ended?.code]).toEqual(['CANCELLED', 'CANCELLED']);
  });
});
