// Passes TCP connections on, and breaks all of them off each time when so many more bytes came back.
// `node cutting-proxy.js PORT BYTES CUTS`; it says its own port, and each cut.
import {connect, createServer} from 'node:net';

const [port = 0, bytes = 0, cuts = 0] = process.argv.slice(2).map(Number);
const sockets = new Set();
let passed = 0;
let done = 0;

const server = createServer((near) => {
  const far = connect(port, '127.0.0.1');
  for (const socket of [near, far]) {
    sockets.add(socket);
    socket
      .on('error', () => {})
      .on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
  }
  near.pipe(far);
  far.pipe(near);
  far.on('data', (piece) => {
    passed += piece.length;
    if (done >= cuts || passed < bytes * (done + 1)) return;
    done += 1;
    console.log(`cut ${done}`);
    for (const socket of sockets) socket.resetAndDestroy();
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
