// The simplest tunnel that works under load, to show the value of tunl's own parts: one WebSocket over TLS by
// `ws`, a message for each chunk, sockets and messages spliced directly, a window of 1 MiB for each stream. No resume, no TLS
// for visitors, no names.
//
//   node simplest.js relay CERT KEY             prints the port for agents
//   node simplest.js agent RELAY NAME CA PORT   exposes PORT of this machine; prints the public port
import {readFileSync} from 'node:fs';
import {createServer as createHttps} from 'node:https';
import {connect, createServer} from 'node:net';
import {WebSocket, WebSocketServer} from 'ws';

const HOST = '127.0.0.1';
const WINDOW = 1024 * 1024;
const [OPEN, DATA, END, RESET, CREDIT, PORT] = [0, 1, 2, 3, 4, 5];

/** Streams of one WebSocket. `onOpen` gets the socket of a stream that the peer opened; `onPort` gets the public port. */
function multiplex(ws, {onOpen, onPort}) {
  const streams = new Map();
  const send = (type, id, payload = Buffer.alloc(0)) => {
    const message = Buffer.allocUnsafe(5 + payload.length);
    message[0] = type;
    message.writeUInt32BE(id, 1);
    payload.copy(message, 5);
    ws.send(message, {binary: true});
  };
  const number = (value) => {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(value);
    return payload;
  };
  const add = (id, socket) => {
    const stream = {socket, window: WINDOW, taken: 0};
    streams.set(id, stream);
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      send(DATA, id, chunk);
      stream.window -= chunk.length;
      if (stream.window <= 0) socket.pause();
    });
    socket.on('end', () => send(END, id));
    socket.on('error', () => send(RESET, id));
    socket.on('close', () => streams.delete(id));
  };
  ws.on('message', (message) => {
    const id = message.readUInt32BE(1);
    const payload = message.subarray(5);
    if (message[0] === OPEN) return add(id, onOpen());
    if (message[0] === PORT) return onPort(id);
    const stream = streams.get(id);
    if (stream === undefined) return;
    if (message[0] === DATA) {
      stream.socket.write(payload, () => {
        stream.taken += payload.length;
        if (stream.taken < WINDOW / 2) return;
        send(CREDIT, id, number(stream.taken));
        stream.taken = 0;
      });
    } else if (message[0] === END) stream.socket.end();
    else if (message[0] === RESET) stream.socket.destroy();
    else {
      stream.window += payload.readUInt32BE();
      if (stream.window > 0) stream.socket.resume();
    }
  });
  return {send, add};
}

function relay(certFile, keyFile) {
  const https = createHttps({cert: readFileSync(certFile), key: readFileSync(keyFile)});
  const server = new WebSocketServer({server: https, perMessageDeflate: false});
  server.on('connection', (ws, {socket}) => {
    socket.setNoDelay(true);
    let next = 1;
    const mux = multiplex(ws, {});
    const visitors = createServer({allowHalfOpen: true}, (visitor) => {
      const id = next++;
      mux.send(OPEN, id);
      mux.add(id, visitor);
    });
    visitors.listen(0, HOST, () => mux.send(PORT, visitors.address().port));
    ws.on('close', () => visitors.close());
  });
  https.listen(0, HOST, () => console.log(https.address().port));
}

function agent(relayPort, servername, caFile, port) {
  const ca = readFileSync(caFile);
  const ws = new WebSocket(`wss://${HOST}:${relayPort}`, {ca, servername, perMessageDeflate: false});
  ws.on('upgrade', ({socket}) => socket.setNoDelay(true));
  multiplex(ws, {
    onOpen: () => connect({host: HOST, port: Number(port), allowHalfOpen: true}),
    onPort: (publicPort) => console.log(publicPort),
  });
}

const [role, ...words] = process.argv.slice(2);
({relay, agent})[role](...words);
