// A pool that knows what is out, and spoils what comes back: whoever still reads a returned block sees it at once.
import {type Block, BlockPool} from '../../src/lib/mux/blocks.js';

const SPOILED = 0xee;

export class CountingPool extends BlockPool {
  /** Blocks that were taken and not given back. */
  out = 0;
  /** The most that ever were out at once. */
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
