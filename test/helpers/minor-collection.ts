// Measures how much memory remains after a minor collection of the garbage collector when members are added and removed.

import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';

/** The garbage collector of this process, to be called. */
export function collector(): (options?: {type: 'minor'}) => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as (options?: {type: 'minor'}) => void;
}

/** Adds and removes 20,000 objects of 2 KB, twenty at a time. Returns the bytes that remain after a minor collection. */
export function leftOf(add: (member: object, index: number) => () => void): number {
  const collect = collector();
  // After three major collections the collection under test is in the old generation.
  for (let i = 0; i < 3; i += 1) collect();
  const before = process.memoryUsage().heapUsed;
  // An array of fixed length: when an array grows and shrinks, its backing store is also replaced.
  const open: (() => void)[] = Array.from({length: 20}, () => () => {});
  for (let i = 0; i < 20_000; i += 1) {
    open[i % 20]?.();
    open[i % 20] = add({filling: new Array(250).fill(i)}, i);
  }
  collect({type: 'minor'});
  return process.memoryUsage().heapUsed - before;
}
