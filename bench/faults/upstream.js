// The upstream of the fault bench. It prints its port. The first line of a connection is a request:
//   download SEED BYTES_PER_SECOND   sends the seed's pattern at that rate until the visitor leaves
//   echo                             returns the bytes that follow
//   after-end                        sends 100,000 bytes after the visitor has ended its direction
import {createServer} from 'node:net';
import {pattern} from './pattern.js';

const TICK_MS = 50;
const AFTER_END_BYTES = 100_000;

/** Nothing more is written while this many bytes wait in the socket. */
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
