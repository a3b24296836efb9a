// Clocks that jump: a process that was stopped, and a wall clock that was changed.
import {rename, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe} from 'vitest';
import {until} from '../helpers/launching.js';
import {atLeast, atMost} from '../helpers/metric.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream, record} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import {inspect, sized, sleep, startRig} from './rig.js';
import {startWitness} from './witness.js';

/** A new visitor gets its echo. */
async function serve(scope: Scope, port: number): Promise<void> {
  const visitor = record(await tcpVisitor(scope, port));
  visitor.socket.write('hello');
  await visitor.received(5);
}

/** A wall clock that a test sets for a process. Timers use the monotonic clock, which cannot be set. */
async function wallClock(scope: Scope) {
  const file = join(await scope.tempDir('clock'), 'offset');
  // In one write: the processes read it each time they ask for the time.
  const setOffset = async (ms: number) => {
    await writeFile(`${file}.next`, `${ms < 0 ? '' : '+'}${ms / 1000}\n`);
    await rename(`${file}.next`, file);
  };
  await setOffset(0);
  const env = {
    LD_PRELOAD: '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1',
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
  return {env, setOffset};
}

describe.concurrent('time', () => {
  // Shorter and longer than the silence that ends a link.
  test.for([5, sized(20, 60)])(
    'an agent stopped for %d s serves again at once',
    async (seconds, {scope, expect}) => {
      const rig = await startRig(scope);
      const {cli, ready} = await rig.expose(await echoUpstream(scope), {flags: ['--tcp']});
      const port = ready.tcp?.port ?? 0;
      const old = record(await tcpVisitor(scope, port));
      old.socket.write('before');
      await old.received(6);
      cli.signal('SIGSTOP');
      old.socket.write('during');
      await sleep(seconds * 1000);
      cli.signal('SIGCONT');
      const since = performance.now();
      await serve(scope, port);
      const servedMs = performance.now() - since;
      const name = `stopped for ${seconds} s`;
      expect.soft(atMost(name, 'ms until a new visitor is served', servedMs, 3_000)).toBe(true);
      await old.received(12);
      expect(old.data().toString()).toBe('beforeduring');
      const lost = cli.events.flatMap((event) => (event.type === 'resumed' ? [event.lost] : []));
      expect(lost.every((count) => count === 0)).toBe(true);
      expect(cli.events.filter(({type}) => type === 'ready').length).toBe(1);
    },
  );

  test('a relay stopped for 5 s serves again at once', async ({scope, expect}) => {
    const rig = await startRig(scope);
    const {ready} = await rig.expose(await echoUpstream(scope), {flags: ['--tcp']});
    rig.relay.cli.signal('SIGSTOP');
    await sleep(5_000);
    rig.relay.cli.signal('SIGCONT');
    const since = performance.now();
    await serve(scope, ready.tcp?.port ?? 0);
    expect(atMost('relay stopped', 'ms until a visitor is served', performance.now() - since, 3_000)).toBe(
      true,
    );
  });

  test('a sleep in which the network forgot the link is noticed at the wake', async ({scope, expect}) => {
    const {env, setOffset} = await wallClock(scope);
    const rig = await startRig(scope);
    const {cli, ready} = await rig.expose(await echoUpstream(scope), {flags: ['--tcp'], env});
    const old = record(await tcpVisitor(scope, ready.tcp?.port ?? 0));
    old.socket.write('before');
    await old.received(6);
    // A sleep stops the monotonic clock: for a process only the time of day has moved.
    await setOffset(3_600_000);
    rig.proxy.halfOpen('far');
    const since = performance.now();
    await cli.event('resumed', ({resumed, lost}) => resumed === 1 && lost === 0);
    expect.soft(atMost('wake', 'ms until the link is back', performance.now() - since, 5_000)).toBe(true);
    old.socket.write('after');
    await old.received(11);
  });

  test('the wall clock is set forward and back by a day: nothing happens', async ({scope, expect}) => {
    const {env, setOffset} = await wallClock(scope);
    const rig = await startRig(scope, {env});
    rig.env = {...rig.env, ...env};
    const witness = await startWitness(scope, rig);
    const day = 86_400_000;
    for (const offset of [day, 0, -day, day]) {
      await setOffset(offset);
      const before = witness.rounds;
      await sleep(2_500);
      await until(() => witness.rounds - before > 50);
      const {now} = await inspect(rig.relay.cli);
      expect(Math.abs(now - Date.now() - offset)).toBeLessThan(10_000);
    }
    expect(atLeast('wall clock', 'rounds without an event', witness.rounds, 200)).toBe(true);
    await witness.undisturbed();
  });
});
