// Sends WebSocket messages of 64 bytes, one at a time on each connection, and waits for each to come back.
//
//   node echo.js ADDRESS PORT CONNECTIONS SECONDS
import {once} from 'node:events';
import {WebSocket} from 'ws';
import {measure} from './answers.js';

const [address, port, count, seconds] = process.argv.slice(2);
const message = Buffer.alloc(64, 'm');
const sockets = await Promise.all(
  Array.from({length: Number(count)}, async () => {
    const socket = new WebSocket(`ws://${address}:${port}/`, {perMessageDeflate: false});
    socket.on('upgrade', (response) => response.socket.setNoDelay(true));
    await once(socket, 'open');
    return socket;
  }),
);
const closed = new Error('the connection has ended');
const waiting = sockets.map((socket, index) => {
  socket.on('message', () => waiting[index].resolve());
  socket.on('close', () => waiting[index].reject(closed));
  socket.on('error', () => {});
  return Promise.withResolvers();
});
await measure({count: Number(count), seconds: Number(seconds)}, (index) => {
  if (sockets[index].readyState !== WebSocket.OPEN) throw closed;
  waiting[index] = Promise.withResolvers();
  sockets[index].send(message);
  return waiting[index].promise;
});
