// Frees memory of strangers as soon as it is no longer needed, instead of at the next garbage collection.

/**
 * The buffer is empty afterwards. Buffers are external memory: once they have lived through two small collections they stay
 * until a full one, which under a flood of short connections comes hundreds of megabytes later. A buffer that shares its
 * memory with others is left alone.
 */
export function giveBack(buffer: Buffer): void {
  const memory = buffer.buffer;
  if (memory instanceof ArrayBuffer && memory.byteLength === buffer.length && !memory.detached)
    memory.transfer(0);
}
