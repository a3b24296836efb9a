// A pool that counts blocks in use and overwrites returned blocks, so that a reader of a returned block fails at once.
import {type Block, BlockPool} from '../../src/lib/mux/blocks.js';

const SPOILED = 0xee;

export class CountingPool extends BlockPool {
  /** Blocks in use. */
  out = 0;
  /** The most blocks that were in use at once. */
  peak = 0;

  override take(): Block {
    this.out += 1;
    this.peak = Math.max(this.peak, this.out);
    return super.take();
  }

  override give(block: Block): void {
    this.out -= 1;
    block.buffer.fill(SPOILED);
    super.give(block);
  }
}
