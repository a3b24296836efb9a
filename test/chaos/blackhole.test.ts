// The link is silent for a while. Within the resume window nobody loses anything. After it both ends are told, and the tunnel
// goes on.
import {randomFillSync} from 'node:crypto';
import {once} from 'node:events';
import {readFile, writeFile} from 'node:fs/promises';
import {createConnection} from 'node:net';
import {join} from 'node:path';
import {connect as connectTls} from 'node:tls';
import {describe} from 'vitest';
import {MiB} from '../helpers/bytes.js';
import {Child} from '../helpers/child.js';
import {atLeast, atMost} from '../helpers/metric.js';
import type {Scope} from '../helpers/scope.js';
import {startSshd} from '../helpers/sshd.js';
import {test} from '../helpers/test.js';
import {echoUpstream, record, recordingUpstream} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import {long, sized, sleep, startRig} from './rig.js';

/** After this silence the link is dead; a constant of the link, not a setting. */
const deadAfterMs = 15_000;

const holes = long ? [3, 8, 30, 55] : [3, 8];

/** An ssh session with constant traffic. */
function talk(scope: Scope, words: readonly string[]) {
  const [command = '', ...args] = words;
  const session = Child.start(
    scope,
    command,
    [...args, 'while read word; do echo "heard $word"; done; exit 7'],
    {
      stdin: true,
    },
  );
  let said = 0;
  const talking = setInterval(() => session.stdin.write(`${said++}\n`), 100);
  scope.onEnd(() => clearInterval(talking));
  return {
    session,
    hang: async () => {
      clearInterval(talking);
      session.stdin.end();
      const {code, stdout} = await session.finished();
      const expected = Array.from({length: said}, (_, i) => `heard ${i}\n`).join('');
      return {code, whole: stdout === expected, said};
    },
  };
}

describe.concurrent('a blackhole', () => {
  test.for(holes)('of %d s: an ssh session and an rsync go on', async (seconds, {scope, expect}) => {
    const rig = await startRig(scope);
    const sshd = await startSshd(scope);
    const {cli, ready} = await rig.expose(sshd.port, {flags: ['--tcp']});
    const words = sshd.ssh('127.0.0.1', ready.tcp?.port ?? 0);
    const login = talk(scope, words);
    await login.session.line();

    const folder = await scope.tempDir('rsync');
    const bytes = randomFillSync(Buffer.alloc(48 * MiB));
    await writeFile(join(folder, 'from'), bytes);
    const [target = '', ...ssh] = [...words].reverse();
    const before = rig.proxy.counters.up + rig.proxy.counters.down;
    const copy = Child.start(scope, 'rsync', [
      ...['--bwlimit=8m', '--inplace', '--no-whole-file', '-e', ssh.reverse().join(' ')],
      ...[join(folder, 'from'), `${target}:${join(folder, 'to')}`],
    ]);
    await rig.proxy.passed('down', before + 8 * MiB);
    rig.proxy.blackhole('hold');
    await sleep(seconds * 1000);
    const answered = login.session.lines.length;
    rig.proxy.restore();
    const since = performance.now();
    await login.session.line(() => login.session.lines.length > answered);
    const name = `blackhole of ${seconds} s`;
    // A dial that was under way answers at once; otherwise the next one comes within the cap of the back-off.
    expect.soft(atMost(name, 'ms until the login answers', performance.now() - since, 21_000)).toBe(true);

    expect(await copy.finished()).toMatchObject({code: 0, stderr: ''});
    expect((await readFile(join(folder, 'to'))).equals(bytes)).toBe(true);
    expect(await login.hang()).toMatchObject({code: 7, whole: true});
    const resumed = cli.events.filter((event) => event.type === 'resumed');
    const lost = resumed.reduce((sum, event) => sum + event.lost, 0);
    expect(atMost(name, 'connections lost', lost, 0)).toBe(true);
    expect(resumed.length).toBe(seconds * 1000 > deadAfterMs ? 1 : 0);
  });

  test('longer than the window: both ends are told within 2 s, and new visitors are served', async ({
    scope,
    expect,
  }) => {
    const windowMs = long ? 60_000 : 3_000;
    const rig = await startRig(scope, {flags: ['--resume-window', `${windowMs}ms`]});
    const upstream = await recordingUpstream(scope);
    const {cli, ready} = await rig.expose(upstream.port, {flags: ['--tcp']});
    const port = ready.tcp?.port ?? 0;
    const visitor = await tcpVisitor(scope, port);
    const atVisitor = record(visitor);
    const atUpstream = await upstream.connection(0);
    visitor.write('a');
    await atUpstream.received(1);
    atUpstream.socket.write('b');
    await atVisitor.received(1);
    rig.proxy.blackhole('drop');
    const since = performance.now();
    const closed = async (what: Promise<string | undefined>) => ({
      code: await what,
      lateMs: performance.now() - since - deadAfterMs - windowMs,
    });
    // A visitor who comes when the relay knows that there is no link waits, at most as long as the others.
    const late = rig.relay.cli
      .saidOnStderr(/link lost/)
      .then(() => tcpVisitor(scope, port))
      .then((socket) => closed(record(socket).closed));
    const [there, here, waited] = await Promise.all([
      closed(atVisitor.closed),
      closed(atUpstream.closed),
      late,
    ]);
    const name = 'blackhole past the window';
    expect.soft(there.code).toBe('ECONNRESET');
    expect.soft(here.code).toBe('ECONNRESET');
    expect.soft(waited.code).toBe('ECONNRESET');
    expect.soft(atMost(name, 'ms until who waited is reset', waited.lateMs, 2_000)).toBe(true);
    expect.soft(atMost(name, 'ms until the visitor is reset', there.lateMs, 2_000)).toBe(true);
    expect.soft(atMost(name, 'ms until the upstream is reset', here.lateMs, 2_000)).toBe(true);

    rig.proxy.restore();
    const back = performance.now();
    await cli.event('resumed', ({lost, resumed}) => lost === 1 && resumed === 0);
    await servedBy(scope, port, upstream);
    expect.soft(atMost(name, 'ms until new visitors are served', performance.now() - back, 5_000)).toBe(true);
  });

  test('a window of ten minutes keeps visitors for longer than the usual one', async ({scope, expect}) => {
    const rig = await startRig(scope, {flags: ['--resume-window', '10m']});
    const {cli, ready} = await rig.expose(await echoUpstream(scope), {flags: ['--tcp']});
    const visitor = record(await tcpVisitor(scope, ready.tcp?.port ?? 0));
    visitor.socket.write('before');
    await visitor.received(6);
    const silentMs = sized(16_000, 90_000);
    rig.proxy.blackhole('drop');
    visitor.socket.write('during');
    await sleep(silentMs);
    rig.proxy.restore();
    const since = performance.now();
    const name = `blackhole of ${silentMs / 1000} s, window of 10 min`;
    await visitor.received(12);
    expect
      .soft(atMost(name, 'ms until the visitor is answered', performance.now() - since, 5_000))
      .toBe(true);
    expect(await cli.event('reconnecting')).toMatchObject({connections: 1, keptForMs: 600_000});
    expect(await cli.event('resumed')).toMatchObject({resumed: 1, lost: 0});
  });

  test('visitors who come while the link is lost wait for it, up to the limit', async ({scope, expect}) => {
    const rig = await startRig(scope);
    const {cli, ready} = await rig.expose(await echoUpstream(scope), {flags: ['--tcp']});
    // These visitors are connected already: they do not count among those that wait.
    const settled: ReturnType<typeof record>[] = [];
    for (let i = 0; i < 256; i += 1) {
      const visitor = record(await tcpVisitor(scope, ready.tcp?.port ?? 0));
      visitor.socket.write('first');
      settled.push(visitor);
    }
    await Promise.all(settled.map((each) => each.received(5)));
    await rig.proxy.refuse();
    rig.proxy.reset();
    await rig.relay.cli.saidOnStderr(/link lost/);
    const ca = await readFile(rig.caFile);
    const {host = '', port = 0} = ready.tls ?? {};
    const crowd = Array.from({length: 300}, (_, i) => {
      const socket =
        i % 3 === 0
          ? connectTls({host: '127.0.0.1', port, servername: host, ca})
          : createConnection({host: '127.0.0.1', port: ready.tcp?.port ?? 0});
      scope.onEnd(() => void socket.destroy());
      socket.write('hello');
      return record(socket);
    });
    // When so many were refused, the relay has handled all of them: the others are accepted before the link comes back.
    const tooMany = crowd.length - 256;
    let turnedAway = 0;
    const full = new Promise<void>((resolve) => {
      for (const {closed} of crowd) void closed.then(() => ++turnedAway === tooMany && resolve());
    });
    await full;
    await rig.proxy.accept();
    await cli.event('resumed');
    const served = await Promise.allSettled(crowd.map((each) => each.received(5)));
    const count = served.filter(({status}) => status === 'fulfilled').length;
    expect(atLeast('link down', 'visitors who waited and were served', count, 256)).toBe(true);
    expect(count).toBe(256);
    for (const {socket} of settled) socket.write('again');
    await Promise.all(settled.map((each) => each.received(10)));
  });
});

/** A new visitor reaches the upstream, at the latest with the bind that follows the link. */
async function servedBy(
  scope: Scope,
  port: number,
  upstream: Awaited<ReturnType<typeof recordingUpstream>>,
): Promise<void> {
  const before = upstream.recorded.length;
  for (;;) {
    try {
      const visitor = await tcpVisitor(scope, port);
      visitor.on('error', () => {});
      await Promise.race([upstream.connection(before), once(visitor, 'close')]);
      if (upstream.recorded.length > before) return;
    } catch {
      // Nothing listens there yet.
    }
    await sleep(20);
  }
}
