// Packets of IPv4 and IPv6 with UDP inside, as a TUN device carries them: read from programs, and built for them. Pure.

/** One flow as the program sees it: its own end, and the destination. Addresses have 4 or 16 bytes. */
export interface FlowEnds {
  readonly source: Buffer;
  readonly sourcePort: number;
  readonly destination: Buffer;
  readonly destinationPort: number;
}

export interface UdpPacket extends FlowEnds {
  readonly payload: Buffer;
}

/** `port`: nobody listens there. `forbidden`: somebody on the way does not let it pass. `host`: there is no way to it. */
export type Unreachable = 'port' | 'forbidden' | 'host';

/** The largest packet of the device. */
export const MAX_PACKET = 65_535;

const UDP = 17;
const ICMP = 1;
const ICMP6 = 58;
const HOPS = 64;
const HEADER4 = 20;
const HEADER6 = 40;
const UDP_HEADER = 8;
const ICMP_HEADER = 8;
const ECHO_REQUEST6 = 128;
const ECHO_REPLY6 = 129;
/** In place of the port of a question of `ping`. No datagram goes there. */
export const ECHO_PORT = 0;

/** Type and code. */
const UNREACHABLE4: Readonly<Record<Unreachable, readonly [number, number]>> = {
  port: [3, 3],
  forbidden: [3, 13],
  host: [3, 1],
};
const UNREACHABLE6: Readonly<Record<Unreachable, readonly [number, number]>> = {
  port: [1, 4],
  forbidden: [1, 1],
  host: [1, 3],
};

/**
 * Undefined: it is no whole datagram, or another protocol. Its parts are views of the packet. Fragments do not come: the device takes
 * the largest packet that there is.
 */
export function readUdpPacket(packet: Buffer): UdpPacket | undefined {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 4) return readPacket4(packet);
  return version === 6 ? readPacket6(packet) : undefined;
}

function readPacket4(packet: Buffer): UdpPacket | undefined {
  if (packet.length < HEADER4) return undefined;
  const headerBytes = ((packet[0] as number) & 15) * 4;
  const length = packet.readUInt16BE(2);
  const fragment = packet.readUInt16BE(6) & 0x3fff;
  if (headerBytes < HEADER4 || length > packet.length || fragment !== 0 || packet[9] !== UDP)
    return undefined;
  return readUdp(packet.subarray(headerBytes, length), packet.subarray(12, 16), packet.subarray(16, 20));
}

function readPacket6(packet: Buffer): UdpPacket | undefined {
  if (packet.length < HEADER6) return undefined;
  const length = packet.readUInt16BE(4);
  if (HEADER6 + length > packet.length || packet[6] !== UDP) return undefined;
  const udp = packet.subarray(HEADER6, HEADER6 + length);
  return readUdp(udp, packet.subarray(8, 24), packet.subarray(24, 40));
}

function readUdp(udp: Buffer, source: Buffer, destination: Buffer): UdpPacket | undefined {
  if (udp.length < UDP_HEADER) return undefined;
  const length = udp.readUInt16BE(4);
  if (length < UDP_HEADER || length > udp.length) return undefined;
  return {
    source,
    sourcePort: udp.readUInt16BE(0),
    destination,
    destinationPort: udp.readUInt16BE(2),
    payload: udp.subarray(UDP_HEADER, length),
  };
}

/**
 * The flow of the datagram for which the kernel says, in IPv6, that nobody listens at its destination. Undefined: the packet is no
 * such message. Its parts are views of the packet.
 */
export function readRefusedFlow(packet: Buffer): FlowEnds | undefined {
  if (packet.length < HEADER6 + ICMP_HEADER || (packet[0] as number) >> 4 !== 6) return undefined;
  const [type, code] = UNREACHABLE6.port;
  if (packet[6] !== ICMP6 || packet[HEADER6] !== type || packet[HEADER6 + 1] !== code) return undefined;
  const quoted = packet.subarray(HEADER6 + ICMP_HEADER);
  // Long datagrams are quoted in part.
  if (quoted.length < HEADER6 + UDP_HEADER || quoted[6] !== UDP) return undefined;
  return {
    source: quoted.subarray(8, 24),
    sourcePort: quoted.readUInt16BE(HEADER6),
    destination: quoted.subarray(24, 40),
    destinationPort: quoted.readUInt16BE(HEADER6 + 2),
  };
}

/** An answer of the destination, for the program. Undefined: it is too long for a packet. */
export function answerPacket(ends: FlowEnds, payload: Buffer): Buffer | undefined {
  return udpPacket(reversed(ends), payload);
}

/** The packet that carries a datagram from `source` to `destination`. Undefined: it is too long. */
export function udpPacket(ends: FlowEnds, payload: Buffer): Buffer | undefined {
  const headerBytes = ends.source.length === 4 ? HEADER4 : HEADER6;
  const length = UDP_HEADER + payload.length;
  if (headerBytes + length > MAX_PACKET) return undefined;
  const packet = Buffer.allocUnsafe(headerBytes + length);
  writeHeader(packet, ends, UDP);
  packet.writeUInt16BE(ends.sourcePort, headerBytes);
  packet.writeUInt16BE(ends.destinationPort, headerBytes + 2);
  packet.writeUInt16BE(length, headerBytes + 4);
  packet.writeUInt16BE(0, headerBytes + 6);
  payload.copy(packet, headerBytes + UDP_HEADER);
  // Zero would mean that there is none.
  packet.writeUInt16BE(
    checksum(packet.subarray(headerBytes), pseudoSum(ends, UDP, length)) || 0xffff,
    headerBytes + 6,
  );
  return packet;
}

/**
 * A question of `ping` in IPv6, as if it were a datagram: its identifier is the source port, the destination's is 0, and the payload is
 * what follows the identifier. Undefined: it is none.
 */
export function readEcho(packet: Buffer): UdpPacket | undefined {
  if (packet.length < HEADER6 + ICMP_HEADER || (packet[0] as number) >> 4 !== 6) return undefined;
  const length = packet.readUInt16BE(4);
  if (HEADER6 + length > packet.length || length < ICMP_HEADER) return undefined;
  if (packet[6] !== ICMP6 || packet[HEADER6] !== ECHO_REQUEST6 || packet[HEADER6 + 1] !== 0) return undefined;
  return {
    source: packet.subarray(8, 24),
    sourcePort: packet.readUInt16BE(HEADER6 + 4),
    destination: packet.subarray(24, 40),
    destinationPort: ECHO_PORT,
    payload: packet.subarray(HEADER6 + 6, HEADER6 + length),
  };
}

/** The answer to such a question, with the same payload. Undefined: it is too short or too long. */
export function echoAnswer(ends: FlowEnds, payload: Buffer): Buffer | undefined {
  const length = ICMP_HEADER - 2 + payload.length;
  if (payload.length < 2 || HEADER6 + length > MAX_PACKET) return undefined;
  const packet = Buffer.alloc(HEADER6 + length);
  const back = reversed(ends);
  writeHeader(packet, back, ICMP6);
  packet[HEADER6] = ECHO_REPLY6;
  packet.writeUInt16BE(ends.sourcePort, HEADER6 + 4);
  payload.copy(packet, HEADER6 + 6);
  const icmp = packet.subarray(HEADER6);
  icmp.writeUInt16BE(checksum(icmp, pseudoSum(back, ICMP6, length)), 2);
  return packet;
}

/** The news for the program that its datagram was not delivered. It quotes the beginning of that one. */
export function unreachablePacket(ends: FlowEnds, why: Unreachable): Buffer {
  const isFour = ends.source.length === 4;
  const headerBytes = isFour ? HEADER4 : HEADER6;
  const quoted = udpPacket(ends, Buffer.alloc(0)) as Buffer;
  const packet = Buffer.alloc(headerBytes + ICMP_HEADER + quoted.length);
  const back = reversed(ends);
  const protocol = isFour ? ICMP : ICMP6;
  writeHeader(packet, back, protocol);
  const [type, code] = (isFour ? UNREACHABLE4 : UNREACHABLE6)[why];
  packet[headerBytes] = type;
  packet[headerBytes + 1] = code;
  quoted.copy(packet, headerBytes + ICMP_HEADER);
  const icmp = packet.subarray(headerBytes);
  const start = isFour ? 0 : pseudoSum(back, ICMP6, icmp.length);
  icmp.writeUInt16BE(checksum(icmp, start), 2);
  return packet;
}

/** The ends of the answers. */
export function reversed({source, sourcePort, destination, destinationPort}: FlowEnds): FlowEnds {
  return {
    source: destination,
    sourcePort: destinationPort,
    destination: source,
    destinationPort: sourcePort,
  };
}

function writeHeader(packet: Buffer, {source, destination}: FlowEnds, protocol: number): void {
  if (source.length === 4) {
    packet.fill(0, 0, HEADER4);
    packet[0] = 0x45;
    packet.writeUInt16BE(packet.length, 2);
    // Not to be cut.
    packet[6] = 0x40;
    packet[8] = HOPS;
    packet[9] = protocol;
    source.copy(packet, 12);
    destination.copy(packet, 16);
    packet.writeUInt16BE(checksum(packet.subarray(0, HEADER4), 0), 10);
    return;
  }
  packet.fill(0, 0, HEADER6);
  packet[0] = 0x60;
  packet.writeUInt16BE(packet.length - HEADER6, 4);
  packet[6] = protocol;
  packet[7] = HOPS;
  source.copy(packet, 8);
  destination.copy(packet, 24);
}

function pseudoSum({source, destination}: FlowEnds, protocol: number, length: number): number {
  return sumOf(source, sumOf(destination, protocol + length));
}

/** The checksum of RFC 1071, over the bytes and a sum from before. */
function checksum(bytes: Buffer, start: number): number {
  let sum = sumOf(bytes, start);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** At most 65,535 bytes, so it stays far below 2^53, and above 2^32 never. */
function sumOf(bytes: Buffer, start: number): number {
  let sum = start;
  const even = bytes.length & ~1;
  for (let at = 0; at < even; at += 2) sum += ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  return even === bytes.length ? sum : sum + ((bytes[even] as number) << 8);
}

/** The same text for packets of one flow, and for no others. */
export function flowKey({source, sourcePort, destination, destinationPort}: FlowEnds): string {
  return `${source.toString('latin1')}${destination.toString('latin1')}${sourcePort} ${destinationPort}`;
}

/** A copy, for the time after the packet. */
export function keptEnds({source, sourcePort, destination, destinationPort}: FlowEnds): FlowEnds {
  return {source: Buffer.from(source), sourcePort, destination: Buffer.from(destination), destinationPort};
}
