// Waits no longer than its caller.

/** @throws the signal's reason */
export async function orAborted(what: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  const aborted = Promise.withResolvers<void>();
  const abort = () => aborted.reject(signal?.reason);
  signal?.addEventListener('abort', abort, {once: true});
  try {
    signal?.throwIfAborted();
    await Promise.race([what, aborted.promise]);
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}
