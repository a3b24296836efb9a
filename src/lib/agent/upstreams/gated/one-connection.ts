// Node's HTTP client over one connection to the upstream, which is dialled with the first request.

import type {Agent, AgentOptions, ClientRequest} from 'node:http';
import {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {request} from '../../../core/node-http.js';
import type {UpstreamConnection, UpstreamDial} from '../upstream.js';
import type {UpstreamLine} from './upstream-line.js';

/** Headers of an answer; those of some applications are long. */
const MAX_HEAD_BYTES = 256 * 1024;

export class OneConnection {
  readonly #line: UpstreamLine;
  readonly #dial: UpstreamDial;
  readonly #onEnd: () => void;
  readonly #agent: Agent;
  readonly #connections = new Set<UpstreamConnection>();
  #stopDial: () => void = () => {};

  /** @param onEnd the upstream has ended the connection, in order or not */
  constructor({line, dial}: {line: UpstreamLine; dial: UpstreamDial}, onEnd: () => void) {
    this.#line = line;
    this.#dial = dial;
    this.#onEnd = onEnd;
    this.#agent = makeAgent((done) => this.#connect(done));
  }

  /** @param headers names and values in turn, with everything that is sent */
  request(method: string, path: string, headers: readonly string[]): ClientRequest {
    const out = request({
      agent: this.#agent,
      method,
      path,
      headers,
      setHost: false,
      insecureHTTPParser: false,
      maxHeaderSize: MAX_HEAD_BYTES,
    });
    out.maxHeadersCount = 0;
    return out;
  }

  destroy(): void {
    this.#stopDial();
    this.#agent.destroy();
  }

  /** The upstream sees a reset. */
  reset(): void {
    for (const connection of [...this.#connections]) connection.reset();
    this.destroy();
  }

  #connect(done: Done): void {
    this.#stopDial = this.#line.dial(this.#dial, (error, connection) => {
      if (connection === undefined) return done(error ?? new Error('no connection'));
      const {socket} = connection;
      this.#connections.add(connection);
      socket.once('end', this.#onEnd);
      socket.once('close', () => {
        this.#connections.delete(connection);
        this.#onEnd();
      });
      done(null, socket);
    });
  }
}

type Done = (error: Error | null, socket?: Duplex) => void;
type Connect = (done: Done) => void;

function makeAgent(connect: Connect): Agent {
  const {Agent: Base} = process.getBuiltinModule('node:http');
  const options: AgentOptions = {keepAlive: true, maxSockets: 1};
  class UpstreamAgent extends Base {
    override createConnection(
      _options: object,
      done?: (error: Error | null, socket: Duplex) => void,
    ): undefined {
      connect((error, socket) => done?.(error, socket as Duplex));
    }

    // Node's own methods call what only a socket of the kernel has. A port of a sandbox or of a member is a stream of a session.

    override keepSocketAlive(stream: Duplex): boolean {
      return stream instanceof Socket ? (super.keepSocketAlive(stream) as unknown as boolean) : true;
    }

    override reuseSocket(stream: Duplex, out: ClientRequest): void {
      if (stream instanceof Socket) super.reuseSocket(stream, out);
      else out.reusedSocket = true;
    }
  }
  return new UpstreamAgent(options);
}
