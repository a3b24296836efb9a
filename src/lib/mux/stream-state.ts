// The states of a stream as a pure table: which frames may be sent and received in which state, and the next state.

/**
 * `opening`: this side sent OPEN and has no answer yet; it may already send data.
 * `offered`: the peer's OPEN came and is not answered yet.
 * `open`, `localEnded` (this side sent FIN), `remoteEnded` (the peer sent FIN), `closed` (both, or refused, or reset).
 * `openingLocalEnded` and `offeredRemoteEnded`: the FIN came before the answer.
 */
export type StreamState =
  | 'opening'
  | 'openingLocalEnded'
  | 'offered'
  | 'offeredRemoteEnded'
  | 'open'
  | 'localEnded'
  | 'remoteEnded'
  | 'closed';

export type StreamEvent =
  | 'sendOpened'
  | 'sendRefused'
  | 'sendData'
  | 'sendFin'
  | 'sendReset'
  | 'receiveOpened'
  | 'receiveRefused'
  | 'receiveData'
  | 'receiveFin'
  | 'receiveReset';

/** The next state, or undefined when the event is not allowed in this state: our bug when sending, a violation when receiving. */
export function nextState(state: StreamState, event: StreamEvent): StreamState | undefined {
  switch (event) {
    case 'sendReset':
    case 'receiveReset':
      return state === 'closed' ? undefined : 'closed';
    case 'sendOpened':
      if (state === 'offered') return 'open';
      if (state === 'offeredRemoteEnded') return 'remoteEnded';
      return undefined;
    case 'sendRefused':
      return state === 'offered' || state === 'offeredRemoteEnded' ? 'closed' : undefined;
    case 'receiveOpened':
      if (state === 'opening') return 'open';
      if (state === 'openingLocalEnded') return 'localEnded';
      return undefined;
    case 'receiveRefused':
      return state === 'opening' || state === 'openingLocalEnded' ? 'closed' : undefined;
    case 'sendData':
      return state === 'opening' || state === 'open' || state === 'remoteEnded' ? state : undefined;
    case 'receiveData':
      return state === 'offered' || state === 'open' || state === 'localEnded' ? state : undefined;
    case 'sendFin':
      if (state === 'opening') return 'openingLocalEnded';
      if (state === 'open') return 'localEnded';
      if (state === 'remoteEnded') return 'closed';
      return undefined;
    case 'receiveFin':
      if (state === 'offered') return 'offeredRemoteEnded';
      if (state === 'open') return 'remoteEnded';
      if (state === 'localEnded') return 'closed';
      return undefined;
  }
}
