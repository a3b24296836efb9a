// New connections by egress a second: one bound for an owner, also when its agents are at several workers.

import {createServer} from 'node:net';
import {performance} from 'node:perf_hooks';
import {expect} from 'vitest';
import {openLink} from '../../../../src/lib/open-link.js';
import {KIND} from '../../../../src/lib/protocol/wire.js';
import {NewConnections, RemoteNewConnections} from '../../../../src/lib/relay/egress/new-connections.js';
import {startRunningRelay} from '../../../../src/lib/relay/start.js';
import {EgressRig} from '../../../helpers/egress.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {test} from '../../../helpers/test.js';

const token = 'a-token-of-16-or-more';

test('ten times the rate at once, then the rate, and a reload applies at once', () => {
  const clock = new ManualClock();
  const all = new NewConnections({settings: {egressPerSecondPerOwner: 1}, clock});
  const took = (owner: string, count: number) =>
    Array.from({length: count}, () => all.take(owner)).filter((waitMs) => waitMs === 0).length;
  expect([took('ana', 12), took('bob', 1)]).toEqual([10, 1]);
  expect(all.take('ana')).toBe(1_000);
  clock.advance(2_000);
  expect(took('ana', 5)).toBe(2);
  all.reload({egressPerSecondPerOwner: 2});
  expect(took('ana', 20)).toBe(10);
});

test('a worker does not ask for an owner that was told to wait', async () => {
  const clock = new ManualClock();
  const asked: string[] = [];
  let waitMs = 500;
  const ask = async (owner: string) => {
    asked.push(owner);
    return waitMs;
  };
  const remote = new RemoteNewConnections({ask, clock});
  expect(await remote.take('ana')).toBe(500);
  expect(remote.take('ana')).toBe(500);
  expect(await remote.take('bob')).toBe(500);
  clock.advance(499);
  expect([remote.take('ana'), asked]).toEqual([1, ['ana', 'bob']]);
  clock.advance(1);
  waitMs = 0;
  expect(await remote.take('ana')).toBe(0);
  expect(await remote.take('ana')).toBe(0);
  for (let i = 0; i < 5_000; i += 1) await remote.take(`owner ${i}`);
  expect(asked).toHaveLength(5_004);
});

test('a connection waits for its turn, is refused without one, and may leave meanwhile', async ({scope}) => {
  const port = await scope.listen(createServer((socket) => void socket.on('error', () => {})));
  const turns: PromiseWithResolvers<number>[] = [];
  const take = () => {
    const turn = Promise.withResolvers<number>();
    turns.push(turn);
    return turn.promise;
  };
  const rig = await EgressRig.start(scope, {newConnections: {take}});
  const opened = rig.open({port});
  await expect.poll(() => turns.length).toBe(1);
  expect(rig.lookedUp).toEqual([]);
  turns[0]?.resolve(0);
  const stream = await opened;
  const refused = rig.open({port});
  await expect.poll(() => turns.length).toBe(2);
  turns[1]?.resolve(2_500);
  await expect(refused).rejects.toMatchObject({
    code: 'TOO_MANY_STREAMS',
    message: expect.stringMatching(/next in 3 s/),
  });
  const failed = rig.open({port});
  await expect.poll(() => turns.length).toBe(3);
  turns[2]?.reject(new Error('the first process is gone'));
  await expect(failed).rejects.toMatchObject({code: 'UNREACHABLE'});
  stream.destroy();
  await expect.poll(() => rig.egress.open).toBe(0);
  expect(rig.limits).toEqual(['new-egress owner ana']);
  // A refusal for its rate is no event of its own: there may be very many.
  expect(rig.of('egress-refused').map(({code}) => code)).toEqual(['UNREACHABLE']);
});

test('agents at two workers have one bound together', async ({scope}) => {
  const port = await scope.listen(createServer((socket) => void socket.on('error', () => {})));
  const stateDir = await scope.tempDir('relay');
  const limits = {egressPerSecondPerOwner: 1, egressAllowPrivate: ['127.0.0.0/8']};
  const relay = scope.own(
    await startRunningRelay({
      ...{domain: 'r1.localhost', token, stateDir, workers: 2, trustedSources: ['127.0.0.1']},
      ...{egress: ['my-proxy=127.0.0.2'], ...limits},
    }),
  );
  const {url, caFile} = relay;
  const links = [];
  for (let i = 0; i < 2; i += 1) {
    const link = await openLink({
      ...{relay: url, token, stateDir: await scope.tempDir('agent')},
      ...(caFile !== undefined && {caFile}),
    });
    scope.onEnd(() => link.close());
    links.push(link);
  }
  const began = performance.now();
  const about = {egress: 'my-proxy', host: '127.0.0.1', port};
  const outcomes = links.flatMap((link) =>
    Array.from({length: 20}, async () => {
      try {
        (await link.connect(KIND.egress, about)).destroy();
        return 'opened';
      } catch {
        return 'refused';
      }
    }),
  );
  const opened = (await Promise.all(outcomes)).filter((outcome) => outcome === 'opened').length;
  const most = 10 + Math.ceil((performance.now() - began) / 1_000);
  expect(opened).toBeGreaterThanOrEqual(10);
  expect(opened).toBeLessThanOrEqual(Math.min(most, 19));
});
