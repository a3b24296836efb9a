// `page-server.js BYTES`: an upstream that sends one page of BYTES bytes on each connection and ends it. Byte N of the page
// is N modulo 251. It prints its port, and then the number of requests: 0, 500, 1000, …
import {createServer} from 'node:net';

const page = Buffer.from(Array.from({length: Number(process.argv[2])}, (_, i) => i % 251));
const head = `HTTP/1.1 200 OK\r\ncontent-length: ${page.length}\r\nconnection: close\r\n\r\n`;

let asked = 0;
const server = createServer({noDelay: true}, (socket) => {
  socket.on('error', () => {});
  socket.once('data', () => {
    socket.end(Buffer.concat([Buffer.from(head), page]));
    if (++asked % 500 === 0) console.log(asked);
  });
});
server.listen({port: 0, host: '127.0.0.1', backlog: 4096}, () => console.log(`${server.address().port}\n0`));
process.once('SIGTERM', () => process.exit(0));
