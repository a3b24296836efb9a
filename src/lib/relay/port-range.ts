// What a person may write for the ports of TCP tunnels: the relay's door to the reader of port ranges.

export {portRange} from '../protocol/targets.js';
