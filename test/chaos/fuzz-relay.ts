// A relay that greets an agent, grants its bind, sends random frames, and resets the link. It is honest until `begin` and after
// `calm`.
import {createServer as createHttps} from 'node:https';
import type {Socket} from 'node:net';
import {type WebSocket, WebSocketServer} from 'ws';
import {AGENT_PATH, KIND} from '../../src/lib/protocol/wire.js';
import {count8, frame, frameBytes, record, recordBytes} from '../helpers/raw-agent.js';
import type {Scope} from '../helpers/scope.js';
import type {Random} from '../mux/fuzz.js';
import {anyFrame, anyRecord, linkMessage} from './fuzz-bytes.js';
import {domain} from './rig.js';

/** Type and length of OPENED, and the first bytes of its stream's id. */
const openedHead = Buffer.from([frame.opened, 0, 0, 0, 0, 0]);

export interface FuzzRelay {
  port: number;
  readonly counts: {links: number; greeted: number; visitors: number};
  /** From now on it sends random frames and cuts links. */
  begin(): void;
  /** From now on it is honest again. Resolves when the agent has taken a visitor. */
  calm(): Promise<void>;
}

export async function startFuzzRelay(
  scope: Scope,
  random: Random,
  identity: {cert: string; key: string},
): Promise<FuzzRelay> {
  const counts = {links: 0, greeted: 0, visitors: 0};
  const links = new Set<Socket>();
  let wild = false;
  let served = () => {};
  const server = createHttps(identity);
  server.on('tlsClientError', () => {});
  const sockets = new WebSocketServer({server, path: AGENT_PATH, handleProtocols: () => 'tunl.v1'});
  const hex = (bytes: number) =>
    Buffer.from(Array.from({length: bytes}, () => random.below(256))).toString('hex');
  const message = (fields: object) => recordBytes(record.message, Buffer.from(JSON.stringify(fields)));

  sockets.on('connection', (socket: WebSocket, request) => {
    const raw = request.socket as Socket;
    links.add(raw);
    raw.once('close', () => links.delete(raw));
    socket.on('error', () => {});
    counts.links += 1;
    if (wild && random.oneIn(4)) {
      socket.send(linkMessage(random));
      setTimeout(() => raw.destroy(), random.below(100));
      return;
    }
    socket.send(message({type: 'challenge', protocol: 1, software: 'fuzz', nonce: hex(16)}));
    let id = -1;
    const nextId = () => {
      id += 2 * (1 + random.below(2));
      return id;
    };
    const segment = (...parts: readonly Buffer[]) =>
      socket.send(recordBytes(record.segment, Buffer.concat(parts)));
    const visitor = () => {
      const about = JSON.stringify({tunnel: 1, via: 'tls', address: '192.0.2.1', port: 1});
      counts.visitors += 1;
      return frameBytes(
        frame.open,
        nextId(),
        Buffer.concat([Buffer.from([KIND.visitor]), Buffer.from(about)]),
      );
    };
    const grant = (number: number) => {
      const host = `fuzz.${domain}`;
      const bound = {type: 'bound', request: number, tunnel: 1, epoch: 1, host, port: 443};
      return frameBytes(frame.control, 0, JSON.stringify(bound));
    };
    let received = 0;
    const take = (type: number, payload: Buffer) => {
      if (type === record.ping) socket.send(recordBytes(record.pong, payload));
      if (type === record.message && payload.includes('"hello"')) {
        counts.greeted += 1;
        const session = {id: hex(16), epoch: 1, received: 0, resumeWindowMs: 2_000, secret: hex(32)};
        const refusal = {type: 'refused', code: 'SESSION_UNKNOWN', message: ''};
        socket.send(message(payload.includes('"resume"') ? refusal : {type: 'welcome', ...session}));
        if (wild) setTimeout(() => raw.destroy(), random.below(400));
      }
      if (type !== record.segment) return;
      received += payload.length;
      if (!wild) socket.send(recordBytes(record.ack, count8(received)));
      const bind = /"type":"bind","request":(\d+)/.exec(payload.toString('latin1'));
      if (bind !== null && !(wild && random.oneIn(5))) segment(grant(Number(bind[1])), visitor());
      if (!wild && payload.includes(openedHead)) served();
      if (!wild) return;
      const parts = Array.from({length: 1 + random.below(4)}, () =>
        random.oneIn(3) ? visitor() : anyFrame(random, nextId),
      );
      segment(...parts);
      if (random.oneIn(3)) socket.send(anyRecord(random, received));
    };
    let bytes = Buffer.alloc(0);
    socket.on('message', (data: Buffer) => {
      bytes = Buffer.concat([bytes, data]);
      while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUIntBE(1, 3)) {
        const end = 4 + bytes.readUIntBE(1, 3);
        if (socket.readyState === socket.OPEN) take(bytes[0] ?? 0, bytes.subarray(4, end));
        bytes = bytes.subarray(end);
      }
    });
  });
  return {
    port: await scope.listen(server),
    counts,
    begin: () => {
      wild = true;
      for (const link of links) link.destroy();
    },
    calm: () =>
      new Promise((resolve) => {
        served = resolve;
        wild = false;
        for (const link of links) link.destroy();
      }),
  };
}
