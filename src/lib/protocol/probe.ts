// A probe on the wire: a visitor's connection that shows whether visitors reach a tunnel's agent. The agent answers it itself,
// and its upstream gets no byte.

/**
 * The only protocol that the ALPN of a probe offers. A relay that knows probes gives a connection to a TCP port the same name
 * in its OPEN when it has made the connection itself.
 */
export const PROBE_PROTOCOL = 'tunl-probe';

/** The first bytes of a probe: hex digits that nobody can guess, valid once. They are inside TLS. */
export const PROBE_SECRET_DIGITS = 64;

/** All bytes of the answer. */
export const PROBE_ANSWER: Buffer = Buffer.from('tunl-probe\n');

/** The relay makes a probe when an agent asks for it: a stream of kind `service`. */
export const PROBE_SERVICE = 'probe';
