// Takes PUT requests of a known length as fast as Node reads, drops the bytes, and answers each one.
import {createServer} from 'node:net';

const endOfHead = Buffer.from('\r\n\r\n');

const server = createServer({noDelay: true}, (socket) => {
  let head = Buffer.alloc(0);
  let left = 0;
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    let body = chunk;
    if (left === 0) {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(endOfHead);
      if (end < 0) return;
      left = Number(/^content-length: *(\d+)/im.exec(head.toString('latin1', 0, end))?.[1] ?? 0);
      body = head.subarray(end + endOfHead.length);
      head = Buffer.alloc(0);
    }
    left -= body.length;
    if (left <= 0) {
      left = 0;
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.once('SIGTERM', () => process.exit(0));
