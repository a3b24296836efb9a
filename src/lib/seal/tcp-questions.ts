// Questions to the resolver over TCP: each has its length before it (RFC 7766).

import type {Socket} from 'node:net';
import type {Answers} from './resolver-answers.js';

const MAX_QUESTION = 4_096;
const IDLE_MS = 10_000;

/** One question at a time: the next is read when the answer to this one has been written. */
export function serveDnsOverTcp(socket: Socket, answers: Answers): void {
  let waiting = Buffer.alloc(0);
  let isBusy = false;
  let isOver = false;
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  const next = async (): Promise<void> => {
    if (isBusy) return;
    isBusy = true;
    for (;;) {
      const size = waiting.length < 2 ? 0 : waiting.readUInt16BE(0);
      if (size > MAX_QUESTION) {
        socket.destroy();
        return;
      }
      if (waiting.length < 2 || waiting.length < 2 + size) break;
      const question = waiting.subarray(2, 2 + size);
      waiting = waiting.subarray(2 + size);
      const answer = await answers.to(question);
      if (answer === undefined || socket.destroyed) {
        socket.destroy();
        return;
      }
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.write(Buffer.concat([length, answer]));
    }
    isBusy = false;
    if (isOver) socket.end();
    else socket.resume();
  };
  socket.on('data', (piece: Buffer) => {
    socket.pause();
    waiting = Buffer.concat([waiting, piece]);
    void next();
  });
  socket.once('end', () => {
    isOver = true;
    void next();
  });
  socket.resume();
}
