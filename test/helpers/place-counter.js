// `place-counter.js`: three servers that keep their connections. Over IPC it sends its ports, and for each message the number of
// connections by the address that they come from and the port that they come to.
import {createServer} from 'node:net';

const counts = new Map();
const servers = Array.from({length: 3}, () =>
  createServer((socket) => {
    const key = `${socket.remoteAddress} ${socket.localPort}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    socket.on('error', () => {});
    socket.resume();
  }),
);
let left = servers.length;
for (const server of servers)
  server.listen({port: 0, host: '127.0.0.1', backlog: 4096}, () => {
    left -= 1;
    if (left === 0) process.send(servers.map((each) => each.address().port));
  });
process.on('message', () => process.send([...counts]));
process.on('disconnect', () => process.exit(0));
