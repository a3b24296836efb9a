// `count-server.js`: an upstream that reads each connection to its end and answers with the number of bytes. It prints its
// port.
import {createServer} from 'node:net';

const server = createServer({noDelay: true, allowHalfOpen: true}, (socket) => {
  let bytes = 0;
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    bytes += chunk.length;
  });
  socket.on('end', () => socket.end(String(bytes)));
});
server.listen({port: 0, host: '127.0.0.1', backlog: 4096}, () => console.log(server.address().port));
process.once('SIGTERM', () => process.exit(0));
