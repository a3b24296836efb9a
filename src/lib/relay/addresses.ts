// Reads addresses and ports from the operator.

export {relayOrigin} from '../carrier/relay-url.js';
export {listenAddress, portRange} from '../protocol/targets.js';
