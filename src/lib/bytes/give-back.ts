// Frees memory that strangers caused as soon as it is no longer needed, before the next garbage collection.

/**
 * Empties the buffer. Buffers are external memory: after two small collections they stay until a full one,
 * which under a flood of short connections comes hundreds of megabytes later. A buffer that shares its
 * memory with others stays unchanged.
 */
export function giveBack(buffer: Buffer): void {
  const memory = buffer.buffer;
  if (memory instanceof ArrayBuffer && memory.byteLength === buffer.length && !memory.detached)
    memory.transfer(0);
}
