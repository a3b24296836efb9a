// Ctrl+C and SIGTERM for a command that waits for somebody: it gives up in order.

export interface StopSignal extends Disposable {
  readonly signal: AbortSignal;
}

/** Listens until disposed. */
export function stopSignal(): StopSignal {
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return {
    signal: stop.signal,
    [Symbol.dispose]: () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal),
  };
}
