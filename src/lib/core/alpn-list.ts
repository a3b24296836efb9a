// The list of protocols for ALPN, in a form that costs little memory.

/**
 * The protocols as on the wire (RFC 7301 §3.1), each with its length in front, for `ALPNProtocols`. Node writes an array of texts
 * into a piece of its buffer pool, and the socket keeps it: a quiet connection keeps 64 KiB for some ten bytes. Of a DataView
 * Node makes a copy of its own.
 *
 * @param protocols each has 1 to 255 characters of ASCII.
 */
export function alpnList(protocols: readonly string[]): DataView {
  const pieces = protocols.flatMap((protocol) => [protocol.length, ...Buffer.from(protocol, 'latin1')]);
  return new DataView(Uint8Array.from(pieces).buffer);
}
