// Takes PUT requests of a known length as fast as Node reads, drops the bytes, and answers each one. Plain and with TLS.
//
//   node sink.js CERT KEY   prints the plain port, and then the port for TLS
import {createServer} from 'node:net';
import {createServer as createTlsServer} from 'node:tls';
import {certificate, listen} from './listen.js';

const endOfHead = Buffer.from('\r\n\r\n');

const take = (socket) => {
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
};
await listen(createServer({noDelay: true}, take), createTlsServer({...certificate(), noDelay: true}, take));
