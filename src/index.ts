// The library: a tunnel for a local port, and a relay, without the command line.

// First, because modules are evaluated in this order.
import './lib/core/node-version.js';

export type * from './lib/agent/events.js';
export type {ForwardOptions, SocketAddress, Tunnel} from './lib/agent/options.js';
export type {LinkFacts, LinkOptions} from './lib/agent/upstreams/gated/links.js';
export type {SharedLink} from './lib/agent/upstreams/gated/tunnel-gates.js';
export {ERRORS, type ErrorCode, type ErrorRow, EXIT, isErrorCode, TunlError} from './lib/core/errors.js';
export type {LogLevel, LogRecord, LogSink} from './lib/core/logger.js';
export {forward} from './lib/forward.js';
export type {Relay, RelayOptions, RelayReload, RelayStats} from './lib/relay/options.js';
export {startRelay} from './lib/relay/start.js';
