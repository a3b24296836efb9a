// Reads addresses and ports that a person gives to the relay.

export {relayOrigin} from '../carrier/relay-url.js';
export {listenAddress, portRange} from '../protocol/targets.js';
