// Questions to the resolver over TCP.
import {connect, createServer, type Socket} from 'node:net';
import {expect} from 'vitest';
import type {Answers} from '../../../src/lib/seal/resolver-answers.js';
import {serveDnsOverTcp} from '../../../src/lib/seal/tcp-questions.js';
import {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

/** Answers a question with its own bytes, and none that begins with a zero byte. */
const answers = {
  to: async (message: Buffer) => (message[0] === 0 ? undefined : Buffer.from(message)),
} as unknown as Answers;

async function asking(scope: Scope): Promise<Socket> {
  const server = createServer({allowHalfOpen: true}, (socket) => {
    socket.on('error', () => {});
    serveDnsOverTcp(socket, answers);
  });
  const socket = connect({
    port: await scope.listen(server),
    host: '127.0.0.1',
    allowHalfOpen: true,
    noDelay: true,
  });
  socket.on('error', () => {});
  return socket;
}

const framed = (text: string) => {
  const bytes = Buffer.from(`00${text}`);
  bytes.writeUInt16BE(text.length);
  return bytes;
};

const all = async (socket: Socket) => Buffer.concat(await socket.toArray()).toString('latin1');

test('several in one piece are answered in order, then the end', async ({scope}) => {
  const socket = await asking(scope);
  const questions = Buffer.concat(['first', 'second', 'third'].map(framed));
  socket.end(questions);
  expect(await all(socket)).toBe(questions.toString('latin1'));
});

test('one in pieces of one byte is answered', async ({scope}) => {
  const socket = await asking(scope);
  const question = framed('a question');
  for (const byte of question) {
    socket.write(Buffer.from([byte]));
    await new Promise(setImmediate);
  }
  socket.end();
  expect(await all(socket)).toBe(question.toString('latin1'));
});

test.each([
  ['a length that no question has', Buffer.from([0xff, 0xff, 1])],
  ['a question that gets no answer', Buffer.from([0, 2, 0, 1])],
  ['the end within one', Buffer.from([0, 9, 1])],
])('%s ends the connection', async (_, bytes) => {
  await using scope = new Scope();
  const socket = await asking(scope);
  socket.end(bytes);
  expect(await all(socket)).toBe('');
});
