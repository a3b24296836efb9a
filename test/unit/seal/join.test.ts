// A connection of a sealed program, joined with its outside.
import {createHash, randomBytes} from 'node:crypto';
import {connect, createServer, type Socket} from 'node:net';
import {expect} from 'vitest';
import {join} from '../../../src/lib/seal/join.js';
import {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

interface Joined {
  /** The program's end, and the destination's. */
  program: Socket;
  destination: Socket;
  cut: () => void;
  done: Promise<void>;
}

async function pair(scope: Scope): Promise<[Socket, Socket]> {
  const server = createServer({allowHalfOpen: true});
  const port = await scope.listen(server);
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const socket = connect({port, host: '127.0.0.1', allowHalfOpen: true});
  socket.on('error', () => {});
  const other = await accepted;
  other.on('error', () => {});
  scope.onEnd(() => void socket.destroy());
  return [socket, other];
}

async function joined(scope: Scope): Promise<Joined> {
  const [program, inside] = await pair(scope);
  const [outside, destination] = await pair(scope);
  let cut = () => {};
  const done = new Promise<void>((resolve) => {
    cut = join(inside, outside, {onDone: resolve});
  });
  return {program, destination, cut, done};
}

/** `end`, or the code of the error, after all bytes. */
const ending = (socket: Socket): Promise<{how: string; bytes: Buffer}> =>
  new Promise((resolve) => {
    const pieces: Buffer[] = [];
    socket.on('data', (piece: Buffer) => pieces.push(piece));
    socket.once('end', () => resolve({how: 'end', bytes: Buffer.concat(pieces)}));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      resolve({how: error.code ?? 'error', bytes: Buffer.concat(pieces)}),
    );
  });

const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

test('many bytes pass both ways, and each direction ends for itself', async ({scope}) => {
  const {program, destination, done} = await joined(scope);
  const [up, down] = [randomBytes(3_000_000), randomBytes(2_000_000)];
  const atDestination = ending(destination);
  program.end(up);
  expect(hash((await atDestination).bytes)).toBe(hash(up));
  const atProgram = ending(program);
  destination.end(down);
  const {how, bytes} = await atProgram;
  expect(how).toBe('end');
  expect(hash(bytes)).toBe(hash(down));
  await done;
});

test.each<['program' | 'destination', 'program' | 'destination']>([
  ['program', 'destination'],
  ['destination', 'program'],
])('a reset by the %s reaches the %s, after the bytes before it', async (from, to) => {
  await using scope = new Scope();
  const all = await joined(scope);
  const other = ending(all[to]);
  const arrived = new Promise((resolve) => all[to].once('data', resolve));
  all[from].write('before');
  await arrived;
  all[from].resetAndDestroy();
  expect(await other).toEqual({how: 'ECONNRESET', bytes: Buffer.from('before')});
  await all.done;
});

test('an answer arrives although the destination takes no more bytes', async ({scope}) => {
  const {program, destination, done} = await joined(scope);
  const answer = ending(program);
  // It never reads, so the kernel resets the connection when it closes.
  destination.pause();
  const piece = Buffer.alloc(64 * 1024);
  const write = () => {
    while (!program.destroyed && program.writable && program.write(piece));
  };
  program.on('drain', write);
  write();
  destination.write('too large', () => setImmediate(() => destination.destroy()));
  expect((await answer).bytes.toString()).toBe('too large');
  program.destroy();
  await done;
});

test('a cut resets both', async ({scope}) => {
  const {program, destination, cut, done} = await joined(scope);
  const ends = Promise.all([ending(program), ending(destination)]);
  cut();
  expect((await ends).map(({how}) => how)).toEqual(['ECONNRESET', 'ECONNRESET']);
  await done;
});
