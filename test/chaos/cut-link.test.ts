// A link that is cut every five seconds: a visitor's stream moves nearly all the time.
import {atLeast, atMost} from '../helpers/metric.js';
import {test} from '../helpers/test.js';
import {tcpUpstream} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import {sized, sleep, startRig} from './rig.js';

const everyMs = 5_000;
const pieceMs = 20;
/** A silence without a cut counts only from this length on: shorter ones are pauses of the machine. */
const pauseMs = 250;

test('a link cut every 5 s: a stream stands still for less than 5 % of the time', async ({scope, expect}) => {
  const cuts = sized(5, 24);
  // The wait before an attempt is random, so the share varies with few cuts.
  const limit = sized(0.08, 0.05);
  const rig = await startRig(scope);
  const upstream = await tcpUpstream(scope, (socket) => {
    let count = 0;
    const timer = setInterval(() => {
      const piece = Buffer.alloc(4_000);
      piece.writeUInt32BE(count++);
      socket.write(piece);
    }, pieceMs);
    socket.on('close', () => clearInterval(timer));
  });
  const {cli, ready} = await rig.expose(upstream, {flags: ['--tcp']});
  const visitor = await tcpVisitor(scope, ready.tcp?.port ?? 0);
  let closed = false;
  visitor.on('error', () => {});
  visitor.on('close', () => {
    closed = true;
  });
  let [bytes, still, longest, lastAt, cutAt] = [0, 0, 0, performance.now(), 0];
  const counts: number[] = [];
  visitor.on('data', (chunk: Buffer) => {
    const gap = performance.now() - lastAt;
    lastAt += gap;
    longest = Math.max(longest, gap);
    if (gap > pauseMs || cutAt > lastAt - gap) still += gap;
    // Every 4,000 bytes begin with the number of the piece.
    for (let at = (4_000 - (bytes % 4_000)) % 4_000; at + 4 <= chunk.length; at += 4_000) {
      counts.push(chunk.readUInt32BE(at));
    }
    bytes += chunk.length;
  });
  await sleep(1_000);
  const since = performance.now();
  still = 0;
  for (let cut = 0; cut < cuts; cut += 1) {
    cutAt = performance.now();
    rig.proxy.reset();
    await sleep(everyMs);
  }
  const seconds = (performance.now() - since) / 1000;
  const name = `a link cut every 5 s, ${cuts} times`;
  const share = still / 1000 / seconds;
  process.stdout.write(`${JSON.stringify({test: name, seconds, longestMs: longest, bytes})}\n`);
  expect(closed).toBe(false);
  expect.soft(atMost(name, 'share of the time in which a stream stands still', share, limit)).toBe(true);
  expect(atLeast(name, 'pieces in order', counts.length, (seconds * 1000) / pieceMs / 2)).toBe(true);
  expect(counts.every((count, i) => count === i)).toBe(true);
  const lost = cli.events.flatMap((event) => (event.type === 'resumed' ? [event.lost] : []));
  expect(lost.length).toBeGreaterThanOrEqual(cuts);
  expect(lost.every((count) => count === 0)).toBe(true);
  // Every loss counts as a first one: the waits do not grow.
  expect(cli.events.filter((event) => event.type === 'reconnecting' && event.attempt > 1)).toEqual([]);
});
