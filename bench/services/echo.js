// A WebSocket service that sends each message back. Plain and with TLS.
//
//   node echo.js CERT KEY   prints the plain port, and then the port for TLS
import {createServer} from 'node:http';
import {createServer as createHttps} from 'node:https';
import {WebSocketServer} from 'ws';
import {certificate, listen} from './listen.js';

const refuse = (_request, response) => response.writeHead(426).end();
const servers = [createServer(refuse), createHttps(certificate(), refuse)];
for (const server of servers) {
  new WebSocketServer({server, perMessageDeflate: false}).on('connection', (socket, request) => {
    request.socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('message', (data, isBinary) => socket.send(data, {binary: isBinary}));
  });
}
await listen(...servers);
