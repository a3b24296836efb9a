// The upstream of the fault bench. The first line of a connection says what it is for: `download SEED BYTES_PER_SECOND`
// gives the seed's pattern at that rate without end, `echo` gives back what follows, `after-end` answers with 100,000 bytes
// when the visitor has ended. Prints its port.
import {createServer} from 'node:net';
import {pattern} from './pattern.js';

const TICK_MS = 50;
const AFTER_END_BYTES = 100_000;

/** What may wait in a socket whose reader stands still. */
const MOST_WAITING = 256 * 1024;

function download(socket, seed, rate) {
  const next = pattern(seed);
  const timer = setInterval(() => {
    if (socket.writableLength < MOST_WAITING) socket.write(next(Math.round((rate * TICK_MS) / 1000)));
  }, TICK_MS);
  socket.on('end', () => socket.destroy());
  socket.on('close', () => clearInterval(timer));
  socket.resume();
}

const server = createServer({noDelay: true, allowHalfOpen: true}, (socket) => {
  let head = Buffer.alloc(0);
  socket.on('error', () => {});
  const readHead = (chunk) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\n');
    if (end < 0) return;
    socket.off('data', readHead);
    const [word, seed, rate] = head.toString('latin1', 0, end).split(' ');
    if (word === 'download') return download(socket, seed, Number(rate));
    if (word === 'after-end') {
      socket.on('end', () => socket.end(Buffer.alloc(AFTER_END_BYTES)));
      return socket.resume();
    }
    socket.write(head.subarray(end + 1));
    socket.pipe(socket);
  };
  socket.on('data', readHead);
});
server.listen(0, '0.0.0.0', () => console.log(server.address().port));
process.once('SIGTERM', () => process.exit(0));
