// A transfer between two members on two machines, whose link to the relay is dead for 10 s in the middle: nothing is lost.
import {setTimeout as wait} from 'node:timers/promises';
import {expect} from 'vitest';
import {NetMachines} from '../helpers/net-machines.js';
import {test} from '../helpers/test.js';

const MIB = 48;

const ECHO = `
import socket
server = socket.socket(socket.AF_INET6)
server.bind(('::', 8000))
server.listen()
print('up', flush=True)
peer, _ = server.accept()
while True:
  piece = peer.recv(65536)
  if not piece: break
  peer.sendall(piece)
peer.shutdown(socket.SHUT_WR)
peer.recv(1)`;

/** Sends bytes that never repeat, and compares what comes back. */
const CLIENT = `
import hashlib, random, socket, threading
peer = socket.create_connection(('trainer', 8000))
sent = hashlib.sha256()
def send():
  source = random.Random(7)
  for _ in range(${MIB}):
    piece = source.randbytes(1 << 20)
    sent.update(piece)
    peer.sendall(piece)
  peer.shutdown(socket.SHUT_WR)
thread = threading.Thread(target=send)
thread.start()
got, count, told = hashlib.sha256(), 0, False
while True:
  piece = peer.recv(65536)
  if not piece: break
  got.update(piece)
  count += len(piece)
  if count > ${MIB / 3} << 20 and not told:
    told = True
    print('middle', flush=True)
thread.join()
print(count >> 20, got.hexdigest() == sent.hexdigest(), flush=True)`;

test('10 s without a link in the middle of a transfer lose nothing', async ({scope}) => {
  const machines = await NetMachines.start(scope);
  const server = await machines.member(scope, 'two', ['python3', '-c', ECHO], {name: 'trainer'});
  await server.child.line((line) => line === 'up');
  const {child} = await machines.member(scope, 'one', ['python3', '-c', CLIENT]);
  await child.line((line) => line === 'middle');
  await machines.wire.cut();
  await wait(10_000);
  // Nothing passes: the transfer has not ended without the link.
  expect(child.lines).toEqual(['middle']);
  await machines.wire.mend();
  expect(await child.finished()).toMatchObject({code: 0, stdout: `middle\n${MIB} True\n`});
  expect((await server.child.finished()).code).toBe(0);
});
