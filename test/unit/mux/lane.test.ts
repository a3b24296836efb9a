import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {BLOCK_BYTES} from '../../../src/lib/mux/blocks.js';
import {HEADER_ROOM, Lane} from '../../../src/lib/mux/lane.js';
import {
  FRAME,
  FRAME_HEADER,
  readFrameLength,
  readStreamId,
  writeFrameHeader,
} from '../../../src/lib/protocol/wire.js';
import {CountingPool} from '../../mux/counting-pool.js';

interface Frame {
  id: number;
  type: typeof FRAME.data | typeof FRAME.open | typeof FRAME.reset;
  length: number;
  adopted: boolean;
}

const frames = fc.array(
  fc.record({
    id: fc.integer({min: 1, max: 8}),
    type: fc.constantFrom(FRAME.data, FRAME.open, FRAME.reset),
    length: fc.oneof(
      fc.integer({min: 0, max: 300}),
      fc.integer({min: 0, max: BLOCK_BYTES - HEADER_ROOM - FRAME_HEADER}),
    ),
    adopted: fc.boolean(),
  }),
  {maxLength: 40},
);

function write(lane: Lane, pool: CountingPool, {id, type, length, adopted}: Frame): void {
  if (adopted) {
    const block = pool.take();
    writeFrameHeader(block.buffer, HEADER_ROOM, type, id, length);
    block.buffer.fill(id, HEADER_ROOM + FRAME_HEADER, HEADER_ROOM + FRAME_HEADER + length);
    lane.adopt(block, HEADER_ROOM + FRAME_HEADER + length);
    return;
  }
  const place = lane.claim(FRAME_HEADER + length);
  writeFrameHeader(place.buffer, place.at, type, id, length);
  place.buffer.fill(id, place.at + FRAME_HEADER, place.at + place.length);
}

/** Takes segment after segment; `onTaken` gets the frames of each. */
function takeAll(lane: Lane, onTaken: (ids: number[]) => void = () => {}): Omit<Frame, 'adopted'>[] {
  const all: Omit<Frame, 'adopted'>[] = [];
  for (let segment = lane.take(); segment !== undefined; segment = lane.take()) {
    const {buffer} = segment.block;
    const ids: number[] = [];
    for (let at = segment.start; at < segment.end; ) {
      const length = readFrameLength(buffer, at);
      const id = readStreamId(buffer, at);
      const payload = buffer.subarray(at + FRAME_HEADER, at + FRAME_HEADER + length);
      expect(payload.every((byte) => byte === id)).toBe(true);
      all.push({id, type: buffer[at] as Frame['type'], length});
      ids.push(id);
      at += FRAME_HEADER + length;
    }
    segment.block.release();
    onTaken(ids);
  }
  return all;
}

describe('a lane that is rewritten', () => {
  test('keeps the right frames, in order, in few blocks, and knows whether a stream’s frames still wait', () => {
    fc.assert(
      fc.property(frames, frames, fc.uniqueArray(fc.integer({min: 1, max: 8})), (first, second, dead) => {
        const pool = new CountingPool();
        const lane = new Lane(pool);
        const marks = new Map<number, number>();
        const put = (frame: Frame) => {
          write(lane, pool, frame);
          marks.set(frame.id, lane.mark);
        };
        for (const frame of first) put(frame);
        lane.rewrite(
          (_type, id) => !dead.includes(id),
          (id, mark) => marks.set(id, mark),
        );
        // Two neighbours would not fit into one block.
        const capacity = BLOCK_BYTES - HEADER_ROOM;
        expect(pool.out).toBeLessThanOrEqual(Math.ceil((2 * lane.bytes) / capacity) + 1);
        const alive = ({id}: {id: number}) => !dead.includes(id);
        for (const frame of second.filter(alive)) put(frame);
        const due = [...first, ...second].filter(alive).map(({id, type, length}) => ({id, type, length}));
        expect(lane.bytes).toBe(due.reduce((sum, {length}) => sum + FRAME_HEADER + length, 0));
        const left = new Map<number, number>();
        for (const {id} of due) left.set(id, (left.get(id) ?? 0) + 1);
        const taken = takeAll(lane, (ids) => {
          for (const id of ids) left.set(id, (left.get(id) ?? 0) - 1);
          for (const [id, count] of left) {
            if (count > 0) expect(lane.isWaiting(marks.get(id) ?? 0)).toBe(true);
          }
        });
        expect(taken).toEqual(due);
        for (const {id} of due) expect(lane.isWaiting(marks.get(id) ?? 0)).toBe(false);
        lane.giveBack();
        expect(pool.out).toBe(0);
      }),
      {numRuns: 500},
    );
  });
});
