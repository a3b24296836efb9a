// What a person may write for the relay's addresses and ports: the relay's door to their reader.

export {relayOrigin} from '../carrier/relay-url.js';
export {listenAddress, portRange} from '../protocol/targets.js';
