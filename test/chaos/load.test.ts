// More visitors than the link can carry, and visitors that leave at once: agent and relay continue, with bounded memory.
import {createConnection} from 'node:net';
import type {ExpectStatic} from 'vitest';
import {Child} from '../helpers/child.js';
import {projectRoot} from '../helpers/cli.js';
import {until} from '../helpers/launching.js';
import {atLeast, atMost} from '../helpers/metric.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {tcpUpstream} from '../helpers/upstreams.js';
import {long, sized, startRig} from './rig.js';

const MB = 1_000_000;
/** The page and its HTTP head are just below 16 KiB, the size of a first read. */
const pageBytes = 16_000;
const page = Buffer.from(Array.from({length: pageBytes}, (_, i) => i % 251));

/** One visit for the page. Resolves with how it ended. */
function fetchPage(scope: Scope, port: number): Promise<'whole' | 'cut' | 'wrong' | string> {
  return new Promise((resolve) => {
    const socket = createConnection({port, host: '127.0.0.1'});
    const leave = () => void socket.destroy();
    scope.signal.addEventListener('abort', leave, {once: true});
    let head = '';
    let at = -1;
    let right = true;
    socket.write('GET /page HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    socket.on('data', (chunk: Buffer) => {
      let body = chunk;
      if (at < 0) {
        head += chunk.toString('latin1');
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        at = 0;
        body = Buffer.from(head.slice(end + 4), 'latin1');
      }
      if (!body.equals(page.subarray(at, at + body.length))) right = false;
      at += body.length;
    });
    let code: string | undefined;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code;
    });
    socket.on('close', () => {
      scope.signal.removeEventListener('abort', leave);
      if (code !== undefined) resolve(code);
      else if (!right) resolve('wrong');
      else resolve(at === pageBytes ? 'whole' : 'cut');
    });
  });
}

const crowd = 500;

/**
 * The total number of visits. The system lets 4,096 connections wait for a listener and drops more silently, so at most two
 * crowds come at a time: `upstream` prints how many have reached it.
 */
async function comeInCrowds(
  {upstream, agent}: {upstream: Child; agent: Child},
  count: number,
  visit: () => Promise<string>,
): Promise<Promise<string>[]> {
  const visits: Promise<string>[] = [];
  const reached = (number: number) =>
    Promise.race([upstream.line((line) => line === String(number)), agent.exited]);
  while (visits.length < count) {
    for (let i = 0; i < crowd; i += 1) visits.push(visit());
    await reached(visits.length - crowd);
  }
  await reached(count);
  return visits;
}

/** Nobody was cut off, and both processes run, with bounded memory. */
function judge(
  {name, ends, processes}: {name: string; ends: readonly string[]; processes: {relay: Child; agent: Child}},
  expect: ExpectStatic,
): void {
  process.stdout.write(`${JSON.stringify({test: name, ends: counted(ends)})}\n`);
  const whole = ends.filter((end) => end === 'whole').length;
  expect.soft(atLeast(name, 'visitors served', whole, ends.length)).toBe(true);
  for (const [which, child] of Object.entries(processes)) {
    expect(child.exit, `the ${which} has ended: ${child.stderr.slice(-500)}`).toBeUndefined();
    expect.soft(atMost(name, `peak RSS of the ${which}, MB`, child.peakRssBytes() / MB, 200)).toBe(true);
  }
}

test('visitors of a page, far more than the link can carry: all are served', async ({scope, expect}) => {
  const visitors = sized(4_000, 10_000);
  const rig = await startRig(scope);
  const words = [`${projectRoot}test/helpers/page-server.js`, String(pageBytes)];
  const upstream = Child.start(scope, process.execPath, words, {name: 'page server'});
  const {cli: agent, ready} = await rig.expose(Number(await upstream.line()), {flags: ['--tcp']});
  const port = ready.tcp?.port ?? 0;
  // In the short form the link carries almost nothing until all visitors have come: all wait at the same time.
  if (long) rig.proxy.setRate('both', 2 * MB);
  else rig.proxy.setRate('up', 0.1 * MB);
  const visits = await comeInCrowds({upstream, agent}, visitors, () => fetchPage(scope, port));
  if (!long) rig.proxy.setRate('up', 10 * MB);
  const processes = {relay: rig.relay.cli, agent};
  judge({name: `${visitors} visitors of 16 KB`, ends: await Promise.all(visits), processes}, expect);
  expect(agent.events.filter(({type}) => type === 'reconnecting' || type === 'error')).toEqual([]);
  expect(await fetchPage(scope, port)).toBe('whole');
});

/** A visit that sends 16 KB and waits for the answer with their number. Resolves with how it ended. */
function upload(scope: Scope, port: number): Promise<'whole' | 'cut' | string> {
  return new Promise((resolve) => {
    const socket = createConnection({port, host: '127.0.0.1', allowHalfOpen: true});
    const leave = () => void socket.destroy();
    scope.signal.addEventListener('abort', leave, {once: true});
    let answer = '';
    let code: string | undefined;
    socket.end(page);
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
    });
    socket.on('end', leave);
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code;
    });
    socket.on('close', () => {
      scope.signal.removeEventListener('abort', leave);
      resolve(code ?? (answer === String(pageBytes) ? 'whole' : 'cut'));
    });
  });
}

test('visitors that send, far more than the link can carry, and a cut: all are served', async ({
  scope,
  expect,
}) => {
  const visitors = 3_500;
  const rig = await startRig(scope);
  const words = [`${projectRoot}test/helpers/count-server.js`];
  const upstream = Child.start(scope, process.execPath, words, {name: 'count server'});
  const {cli: agent, ready} = await rig.expose(Number(await upstream.line()), {flags: ['--tcp']});
  const port = ready.tcp?.port ?? 0;
  rig.proxy.setRate('down', 0.5 * MB);
  const visits = Array.from({length: visitors}, () => upload(scope, port));
  await Promise.race([rig.proxy.passed('down', 3 * MB), Promise.all(visits)]);
  rig.proxy.reset();
  await agent.event('resumed');
  rig.proxy.setRate('down', sized(10, 2) * MB);
  const processes = {relay: rig.relay.cli, agent};
  judge({name: `${visitors} uploads of 16 KB`, ends: await Promise.all(visits), processes}, expect);
  const lost = agent.events.flatMap((event) => (event.type === 'resumed' ? [event.lost] : []));
  expect(lost.every((count) => count === 0)).toBe(true);
});

function counted(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

const piece = Buffer.alloc(64 * 1024, 1);

/** A visit that writes 64 KiB and is reset 30 ms later. */
function visitAndReset(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = createConnection({port, host: '127.0.0.1'});
    socket.on('connect', () => {
      socket.write(piece);
      setTimeout(() => socket.resetAndDestroy(), 30);
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve());
  });
}

/** Visits, `together` at a time, until `more` returns false. Resolves with their number. */
async function flood(port: number, together: number, more: () => boolean): Promise<number> {
  let visits = 0;
  const one = async () => {
    while (more()) {
      visits += 1;
      await visitAndReset(port);
    }
  };
  await Promise.all(Array.from({length: together}, one));
  return visits;
}

/** Reports the relay's peak memory, and waits up to 60 s for it to shrink. */
async function memoryAfter(relay: Child, startBytes: number, expect: (ok: boolean) => void, name: string) {
  const peak = relay.peakRssBytes();
  const since = performance.now();
  const grown = () => (relay.rssBytes() - startBytes) / MB;
  let least = grown();
  while (least > 60 && performance.now() - since < 60_000) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    least = Math.min(least, grown());
  }
  const seconds = Math.round((performance.now() - since) / 100) / 10;
  process.stdout.write(
    `${JSON.stringify({test: name, startMb: startBytes / MB, peakMb: peak / MB, seconds})}\n`,
  );
  expect(atMost(name, 'relay RSS above its start within 60 s, MB', least, 60));
  expect(atMost(name, 'relay RSS at its peak above its start, MB', (peak - startBytes) / MB, 150));
}

test('no link: the bytes of visitors who left are dropped', async ({scope, expect}) => {
  const visits = sized(3_000, 12_000);
  const rig = await startRig(scope);
  const upstream = await tcpUpstream(scope, (socket) => void socket.resume());
  const {cli: agent, ready} = await rig.expose(upstream, {flags: ['--tcp']});
  const port = ready.tcp?.port ?? 0;
  await rig.proxy.refuse();
  rig.proxy.reset();
  await rig.relay.cli.saidOnStderr(/link lost/);
  const start = rig.relay.cli.rssBytes();
  let left = visits;
  await flood(port, 100, () => left-- > 0);
  const ok = (value: boolean) => expect.soft(value).toBe(true);
  await memoryAfter(rig.relay.cli, start, ok, `${visits} visits of 64 KiB, reset, without a link`);
  await rig.proxy.accept();
  await agent.event('resumed');
});

test('a slow link: the bytes of visitors who left are dropped', async ({scope, expect}) => {
  const seconds = sized(6, 26);
  const rig = await startRig(scope);
  let served = 0;
  const upstream = await tcpUpstream(scope, (socket) => {
    socket.resume();
    served += 1;
  });
  const {cli: agent, ready} = await rig.expose(upstream, {flags: ['--tcp']});
  rig.proxy.setRate('both', 2 * MB);
  const start = rig.relay.cli.rssBytes();
  const end = performance.now() + seconds * 1000;
  const visits = await flood(ready.tcp?.port ?? 0, 80, () => performance.now() < end);
  const ok = (value: boolean) => expect.soft(value).toBe(true);
  const name = `80 at a time of 64 KiB, reset, for ${seconds} s through 2 MB/s`;
  process.stdout.write(`${JSON.stringify({test: name, visits, served})}\n`);
  await memoryAfter(rig.relay.cli, start, ok, name);
  const before = served;
  const visitor = createConnection({port: ready.tcp?.port ?? 0, host: '127.0.0.1'});
  scope.onEnd(() => void visitor.destroy());
  visitor.write('served?');
  await until(() => served > before);
  expect(agent.exit).toBeUndefined();
});
