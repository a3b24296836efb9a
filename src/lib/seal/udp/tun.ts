// The program that opens the device for UDP in a sealed network. It passes packets between the device and the process that
// holds the seal, and looks at none of them. It ends with its pipe, and the device with it.
//
// The kernel has no way to wait for a device like this one in Node's event loop, so one thread of Node's pool waits for each
// packet. The command inherits nothing from this process.

import {createSocket} from 'node:dgram';
import {openSync, read, writeSync} from 'node:fs';
import {Socket} from 'node:net';
import {DatagramReader, encodeDatagram} from '../../protocol/datagrams.js';
import {MARK_PORT, MARK4, PACKETS_DESCRIPTOR, UDP_DEVICE} from './device.js';
import {MAX_PACKET} from './packets.js';

/** Packets that the other process has not taken. Then the device is not read, and the kernel drops what does not fit there. */
const MOST_UNREAD_BYTES = 1024 * 1024;

/** IFF_TUN, and packets without four bytes before them. */
const FLAGS = 0x1001;
/** MIPS and PowerPC number requests in another way. */
const TUNSETIFF = /^(mips|ppc)/.test(process.arch) ? 0x800454ca : 0x400454ca;

/** The part of koffi that is used here. */
interface Koffi {
  load(library: null): {func(declaration: string): (...values: unknown[]) => number};
  errno(): number;
}

async function openDevice(): Promise<number> {
  const name = `@koromix/koffi-linux-${process.arch}`;
  const {default: koffi} = (await import(name).catch((error: Error) => {
    throw Object.assign(new Error(error.message), {code: 'NO_KOFFI'});
  })) as {default: Koffi};
  const file = openSync('/dev/net/tun', 'r+');
  const ioctl = koffi.load(null).func('int ioctl(int fd, unsigned long request, void *value)');
  const request = Buffer.alloc(40);
  request.write(UDP_DEVICE, 0, 'latin1');
  request.writeUInt16LE(FLAGS, 16);
  if (ioctl(file, TUNSETIFF, request) !== 0) {
    const number = koffi.errno();
    throw Object.assign(new Error(`ioctl: ${number}`), {code: `errno ${number}`});
  }
  return file;
}

/** Node would wait for the thread that reads the device. The holder takes this signal for an end in order, and others for a loss. */
const end = (): void => void process.kill(process.pid, 'SIGTERM');
const fail = (): void => void process.kill(process.pid, 'SIGKILL');

function passOut(file: number, pipe: Socket): void {
  const packet = Buffer.alloc(MAX_PACKET);
  const next = () => {
    read(file, packet, 0, packet.length, null, (error, bytes) => {
      if (error !== null && error.code !== 'EAGAIN' && error.code !== 'EINTR') return fail();
      if (error === null) pipe.write(encodeDatagram(packet.subarray(0, bytes)));
      if (pipe.writableLength > MOST_UNREAD_BYTES) pipe.once('drain', next);
      else next();
    });
  };
  next();
}

function passIn(file: number, pipe: Socket): void {
  const reader = new DatagramReader(MAX_PACKET);
  const marker = createSocket('udp4');
  marker.on('error', () => {});
  pipe.on('data', (piece: Buffer) => {
    reader.push(piece);
    for (let packet = reader.next(); packet !== undefined; packet = reader.next()) {
      if (packet.length === 0) marker.send('', MARK_PORT, MARK4, () => {});
      else put(file, packet);
    }
  });
}

/** A device that has no room, or does not like a packet, loses it. */
function put(file: number, packet: Buffer): void {
  try {
    writeSync(file, packet);
  } catch {}
}

async function main(): Promise<void> {
  const pipe = new Socket({fd: PACKETS_DESCRIPTOR, readable: true, writable: true});
  pipe.on('error', end);
  pipe.on('close', end);
  pipe.on('end', end);
  try {
    const file = await openDevice();
    pipe.write(encodeDatagram(Buffer.from('ready')));
    passOut(file, pipe);
    passIn(file, pipe);
  } catch (error) {
    const {code = '', message} = error as NodeJS.ErrnoException;
    // Nothing waits for the device yet, so this process ends by itself.
    pipe
      .off('close', end)
      .off('end', end)
      .end(encodeDatagram(Buffer.from(`${code || message}`.slice(0, 200))), () => pipe.destroy());
  }
}

if (process.argv[2] === UDP_DEVICE) await main();
