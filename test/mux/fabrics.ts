// The carriers that a session can run over. The same suite runs with each of them.
import {once} from 'node:events';
import tls, {type TLSSocket} from 'node:tls';
import {WebSocketCarrier} from '../../src/lib/carrier/ws-carrier.js';
import type {Carrier} from '../../src/lib/mux/carrier.js';
import {createPipe} from '../../src/lib/mux/pipe.js';
import {StreamCarrier} from '../../src/lib/mux/stream-carrier.js';
import {KIND} from '../../src/lib/protocol/wire.js';
import {testIdentity} from '../helpers/carriers.js';
import type {ManualClock} from '../helpers/manual-clock.js';
import type {Scope} from '../helpers/scope.js';
import {CuttingCarrier} from './cutting-carrier.js';
import {type Carriers, Peers} from './peers.js';
import {createSlowPipe, type SlowPipe} from './slow-pipe.js';

export interface Cuttable {
  agent: CuttingCarrier;
  relay: CuttingCarrier;
}

/** Makes pairs of carriers, one after the other. */
export interface Wires {
  connect(): Promise<Cuttable>;
  /** Moves up to so many bytes each way, for carriers where nothing moves by itself. */
  flow?(bytes: number): void;
  /** Breaks the layer below the carriers, if there is one: they must not notice. */
  disturb?(): Promise<void>;
}

export interface Fabric {
  name: string;
  /** The number of random runs for this one, relative to the others. */
  share: number;
  /** The bytes leave the process, so a turn of the event loop may bring nothing. */
  kernel?: true;
  weave(scope: Scope, clock: ManualClock, highWaterBytes?: number): Promise<Wires>;
}

const cuttable = ({agent, relay}: Carriers): Cuttable => ({
  agent: new CuttingCarrier(agent),
  relay: new CuttingCarrier(relay),
});

const tuning = (highWaterBytes: number | undefined) => (highWaterBytes === undefined ? {} : {highWaterBytes});

export const SLOW: Fabric = {
  name: 'a pipe that moves byte by byte',
  share: 1,
  async weave(_scope, _clock, highWaterBytes) {
    // An old link may still exist beside the new one.
    let pipes: SlowPipe[] = [];
    return {
      async connect() {
        const pipe = createSlowPipe(highWaterBytes);
        pipes = [...pipes.filter(({agent, relay}) => !agent.closed || !relay.closed), pipe];
        return cuttable(pipe);
      },
      flow(bytes) {
        const ends = pipes.flatMap(({agent, relay}) => [agent, relay]);
        for (const end of ends) end.take(bytes);
        for (const end of ends) end.deliver(bytes);
      },
    };
  },
};

export const MEMORY: Fabric = {
  name: 'the pipe in memory',
  share: 0.3,
  async weave(_scope, _clock, highWaterBytes) {
    return {
      async connect() {
        const [agent, relay] = createPipe(tuning(highWaterBytes));
        return cuttable({agent, relay});
      },
    };
  },
};

export const WEB_SOCKETS: Fabric = {
  name: 'WebSockets over TLS on loopback',
  share: 0.4,
  kernel: true,
  async weave(scope, clock, highWaterBytes) {
    const {ca, key, cert} = await testIdentity();
    const server = tls.createServer({key, cert});
    // As with an http server: the peer's FIN does not end our side automatically.
    Object.assign(server, {allowHalfOpen: true});
    const port = await scope.listen(server);
    return {
      async connect() {
        const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
        const socket = tls.connect({host: '127.0.0.1', port, ca});
        scope.onEnd(() => void socket.destroy());
        await once(socket, 'secureConnect');
        const [other] = await accepted;
        const options = {clock, ...tuning(highWaterBytes)};
        return cuttable({
          agent: new WebSocketCarrier({...options, socket, role: 'agent'}),
          relay: new WebSocketCarrier({...options, socket: other, role: 'relay'}),
        });
      },
    };
  },
};

const nested: Fabric = {
  name: 'a stream of another session',
  share: 0.3,
  async weave(_scope, clock, highWaterBytes) {
    const options = {clock, ...tuning(highWaterBytes)};
    let onOffered: ((carrier: Carrier) => void) | undefined;
    const outer = new Peers({
      clock,
      onOpen(_side, stream) {
        stream.accept();
        onOffered?.(new StreamCarrier(stream, options));
      },
    });
    let below = createPipe();
    const join = () => outer.connect({agent: below[0], relay: below[1]});
    await join();
    return {
      async connect() {
        const offered = new Promise<Carrier>((resolve) => {
          onOffered = resolve;
        });
        const stream = outer.session('agent').open(KIND.carrier, {});
        if (stream === undefined) throw new Error('the outer session takes no more streams');
        return cuttable({agent: new StreamCarrier(stream, options), relay: await offered});
      },
      async disturb() {
        below[1].destroy();
        below = createPipe();
        await join();
      },
    };
  },
};

export const FABRICS: readonly Fabric[] = [SLOW, MEMORY, WEB_SOCKETS, nested];
