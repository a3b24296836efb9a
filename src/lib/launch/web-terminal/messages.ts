// The text messages between page and server. Bytes of the shell are binary messages in both directions.
import type {Size} from './screen.js';

/**
 * From the page. `ack`: this many bytes of output are on the screen. `size`: the size that fits into the window; absent while
 * it is hidden.
 */
export type PageMessage = {type: 'ack'; bytes: number} | {type: 'size'; size: Size | undefined};

/**
 * To the page. `size` comes first and after each change; later output is for a terminal of that size. `taken`: there is room
 * for this many bytes of its input; a page has at most MOST_INPUT bytes under way.
 */
export type ServerMessage =
  | ({type: 'size'; readOnly: boolean} & Size)
  | {type: 'taken'; bytes: number}
  | {type: 'end'; code: number | null; signal: string | null};

/** The page uses at most half of it. */
export const MOST_INPUT = 128 * 1_024;

const SMALLEST: Size = {cols: 20, rows: 5};
const LARGEST: Size = {cols: 500, rows: 200};

/** Undefined for a message that our page never sends. */
export function readPageMessage(text: string): PageMessage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const {type, bytes, cols, rows} = value as Record<string, unknown>;
  if (type === 'ack') return isCount(bytes) ? {type, bytes} : undefined;
  if (type !== 'size') return undefined;
  if (cols === undefined && rows === undefined) return {type, size: undefined};
  if (!isCount(cols) || !isCount(rows)) return undefined;
  return {type, size: bounded({cols, rows})};
}

function bounded({cols, rows}: Size): Size {
  return {
    cols: Math.min(Math.max(cols, SMALLEST.cols), LARGEST.cols),
    rows: Math.min(Math.max(rows, SMALLEST.rows), LARGEST.rows),
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
