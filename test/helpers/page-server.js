// An upstream in a process of its own: one page of so many bytes for each connection, which then ends. Prints its port.
// `page-server.js BYTES COUNT` prints `all` when so many have asked. The page's byte at place N is N modulo 251.
import {createServer} from 'node:net';

const page = Buffer.from(Array.from({length: Number(process.argv[2])}, (_, i) => i % 251));
const head = `HTTP/1.1 200 OK\r\ncontent-length: ${page.length}\r\nconnection: close\r\n\r\n`;

let asked = 0;
const server = createServer({noDelay: true}, (socket) => {
  socket.on('error', () => {});
  socket.once('data', () => {
    socket.end(Buffer.concat([Buffer.from(head), page]));
    if (++asked === Number(process.argv[3])) console.log('all');
  });
});
server.listen({port: 0, host: '127.0.0.1', backlog: 4096}, () => console.log(server.address().port));
process.once('SIGTERM', () => process.exit(0));
