// One side sends its last bytes and closes while the other still sends: the last bytes arrive, whatever happens to the rest.
import type {Socket} from 'node:net';
import {expect} from 'vitest';
import {outliveFailedWrites} from '../../src/lib/bytes/failed-writes.js';
import {atMost} from '../helpers/metric.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {record, tcpUpstream} from '../helpers/upstreams.js';
import {tcpVisitor, tlsVisitor} from '../helpers/visitors.js';
import {sized, startRig} from './rig.js';

const visits = sized(300, 1_500);
const words = Buffer.alloc(50, 'G');

/** Answers the first bytes and closes at once: the kernel answers later bytes with a reset. */
function speak(socket: Socket): void {
  socket.on('error', () => {});
  socket.once('data', () => {
    socket.pause();
    socket.write(words, () => socket.destroy());
  });
}

/** Sends piece after piece, a few turns apart, and resolves with the bytes that it got until the connection closed. */
async function talk(socket: Socket): Promise<Buffer> {
  outliveFailedWrites(socket, () => {});
  const heard = record(socket);
  const over = Promise.race([heard.ended, heard.closed]);
  for (const bytes of [5_000, 6_000, 7_000, 8_000]) {
    socket.write(Buffer.alloc(bytes, 'x'));
    for (let turn = 0; turn < 4; turn += 1) await new Promise(setImmediate);
  }
  await over;
  socket.destroy();
  return heard.data();
}

interface Ears {
  port: number;
  /** What the next connection received, or one that is waiting already. */
  heard(): Promise<Buffer>;
}

async function talkingUpstream(scope: Scope): Promise<Ears> {
  const told: Promise<Buffer>[] = [];
  const asking: ((what: Promise<Buffer>) => void)[] = [];
  const port = await tcpUpstream(scope, (socket) => {
    const what = talk(socket);
    const next = asking.shift();
    if (next) next(what);
    else told.push(what);
  });
  return {port, heard: async () => told.shift() ?? new Promise((resolve) => void asking.push(resolve))};
}

for (const kind of ['TCP', 'TLS'] as const) {
  for (const cut of ['', 'and the link is cut in between'] as const) {
    for (const speaker of ['upstream', 'visitor'] as const) {
      test(`the ${speaker} speaks last, ${kind} ${cut}`, async ({scope}) => {
        const rig = await startRig(scope, {quickRetry: true});
        const ears = await talkingUpstream(scope);
        const port = speaker === 'upstream' ? await tcpUpstream(scope, speak) : ears.port;
        const {ready} = await rig.expose(port, {flags: kind === 'TCP' ? ['--tcp'] : []});
        const place = ready.tls ?? {host: '', port: 0};
        let lost = 0;
        for (let visit = 0; visit < visits; visit += 1) {
          const visitor =
            kind === 'TCP'
              ? await tcpVisitor(scope, ready.tcp?.port ?? 0)
              : await tlsVisitor(scope, place, {caFile: rig.caFile});
          const heard = speaker === 'upstream' ? talk(visitor) : ears.heard();
          if (speaker === 'visitor') speak(visitor);
          if (cut !== '' && visit % 10 === 0) rig.proxy.reset();
          if (!(await heard).equals(words)) lost += 1;
        }
        expect(atMost(`the ${speaker} speaks last, ${kind} ${cut}`, 'answers lost', lost, 0)).toBe(true);
      });
    }
  }
}
