// A worker as the first process sees it: its end, and what was on its way to it.

import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {createServer, type Socket} from 'node:net';
import {setImmediate} from 'node:timers/promises';
import {expect} from 'vitest';
import {type MemberAsked, NetworkDesk} from '../../../../src/lib/relay/networks/network-desk.js';
import type {FromWorker, HandedOver} from '../../../../src/lib/relay/workers/messages.js';
import {WorkerProcess} from '../../../../src/lib/relay/workers/worker-process.js';
import {FakeChild} from '../../../helpers/fake-child.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {portOf, type Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';
import {tcpVisitor} from '../../../helpers/visitors.js';

const message: HandedOver = {type: 'socket', to: 'port', port: 1, peer: undefined, ageMs: 0, head: ''};

type Options = ConstructorParameters<typeof WorkerProcess>[0];

function workerOf(
  child: Options['child'],
  answersFor: Options['answersFor'] = () => ({}) as ReturnType<Options['answersFor']>,
): {worker: WorkerProcess; heard: FromWorker[]} {
  const heard: FromWorker[] = [];
  const worker = new WorkerProcess({
    ...{number: 1, child},
    onMessage: (message) => heard.push(message),
    answersFor,
    onGone: () => {},
  });
  return {worker, heard};
}

/** A visitor, and the relay's socket of it. */
async function connection(scope: Scope): Promise<{visitor: Socket; accepted: Socket}> {
  const server = createServer({pauseOnConnect: true}).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepting = once(server, 'connection') as Promise<[Socket]>;
  const visitor = await tcpVisitor(scope, portOf(server));
  visitor.on('error', () => {});
  visitor.on('end', () => visitor.end()).resume();
  const [accepted] = await accepting;
  server.close();
  accepted.on('error', () => {});
  (accepted as {server?: unknown}).server = null;
  return {visitor, accepted};
}

test('a worker that hangs and is killed: sockets on their way close, and questions fail', async ({scope}) => {
  const script = `process.on('message', () => {}); process.send({type: 'ready'})`;
  const child = spawn(process.execPath, ['-e', script], {stdio: ['ignore', 'ignore', 'inherit', 'ipc']});
  scope.onEnd(() => void child.kill('SIGKILL'));
  const {worker} = workerOf(child);
  await worker.ready;
  child.kill('SIGSTOP');
  const connections = [await connection(scope), await connection(scope), await connection(scope)];
  const taken = connections.map(
    ({accepted}) =>
      new Promise<boolean>((resolve) => {
        worker.take(message, accepted, (isTaken) => {
          accepted.destroy();
          resolve(isTaken);
        });
      }),
  );
  // The first one waits for the worker in the channel; Node keeps the others until that one is confirmed.
  expect(await taken[0]).toBe(true);
  const question = worker.ask('stats', {});
  const closed = connections.map(async ({visitor}) => await once(visitor, 'close'));
  worker.kill();
  await expect(question).rejects.toThrow('gone');
  expect(await Promise.all(taken)).toEqual([true, false, false]);
  await Promise.all(closed);
});

test('a worker has ended when its last messages have come', async () => {
  const child = new FakeChild();
  const {worker, heard} = workerOf(child.asChild);
  const ended = worker.end(0).then(() => heard.length);
  child.emit('exit', 0, null);
  await setImmediate();
  child.says({type: 'event', event: {type: 'agent-gone', session: '3f2a1b9c', code: undefined}});
  child.emit('close', 0, null);
  expect(await ended).toBe(1);
});

test('of messages that come after the end of their process, only lines of the log count', async () => {
  const child = new FakeChild();
  const {worker, heard} = workerOf(child.asChild);
  child.says({type: 'sessions', owner: 'ann', count: 1});
  child.ends();
  const log: FromWorker = {type: 'log', record: {level: 'error', message: 'late', fields: {}} as never};
  for (const late of [{type: 'ready'}, {type: 'sessions', owner: 'ann', count: 2}, log] as FromWorker[])
    child.says(late);
  expect(heard).toEqual([{type: 'sessions', owner: 'ann', count: 1}, log]);
  expect(worker.isUp).toBe(false);
  await expect(worker.ready).rejects.toMatchObject({code: 'RELAY_LOST'});
});

test('a join that comes after the end of its process leaves no member', async () => {
  const child = new FakeChild();
  const networks = new NetworkDesk<WorkerProcess>(new ManualClock());
  const {worker} = workerOf(
    child.asChild,
    (holder) =>
      ({joinMember: async (asked) => networks.join(holder, asked)}) as ReturnType<Options['answersFor']>,
  );
  const join = (name: string) => {
    const about: MemberAsked = {
      ...{network: 'net:lab', name, key: name, address: 'fd00::1', accepts: true},
      ...{owner: 'ann', session: '3f2a1b9c'},
    };
    child.says({ask: 1, question: 'joinMember', about} as never);
  };
  child.says({type: 'ready'});
  join('early');
  await setImmediate();
  expect(networks.counts.members).toBe(1);
  child.ends();
  networks.left(worker);
  join('late');
  await setImmediate();
  expect(networks.counts).toEqual({networks: 0, members: 0});
});
