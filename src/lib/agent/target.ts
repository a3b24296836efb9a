// What a person may write for hosts and ports: the agent's door to the reader of targets.

export {checkHost, checkPort, type HostPort, isLoopbackHost, parseTarget} from '../protocol/targets.js';
