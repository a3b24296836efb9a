// Groups members by their source and finds the heaviest group. It is called often, so it avoids long searches.

import type {Clock} from '../../core/clock.js';
import {LinkedList, type ListNode} from '../../core/linked-list.js';

/** The least time between two searches of all groups, ms. */
const SEARCH_EVERY_MS = 100;

export interface Group<T> {
  weight: number;
  /** The members in the order of their arrival. */
  readonly members: LinkedList<T>;
}

export class BySource<T> {
  readonly #clock: Clock;
  readonly #groups = new Map<string, Group<T>>();
  #heaviest: Group<T> | undefined;
  /** The highest weight since the last search; other groups may still have it. */
  #peak = 0;
  #searchedAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(source: string): Group<T> | undefined {
    return this.#groups.get(source);
  }

  *members(): Generator<T> {
    for (const {members} of this.#groups.values()) yield* members;
  }

  /** Returns the handle for `delete`. */
  add(source: string, member: T, weight: number): ListNode<T> {
    let group = this.#groups.get(source);
    if (group === undefined) {
      group = {weight: 0, members: new LinkedList<T>()};
      this.#groups.set(source, group);
    }
    this.#weigh(group, weight);
    return group.members.push(member);
  }

  resize(source: string, more: number): void {
    const group = this.#groups.get(source);
    if (group !== undefined) this.#weigh(group, more);
  }

  delete(source: string, member: ListNode<T>, weight: number): void {
    const group = this.#groups.get(source);
    if (group === undefined || !member.isIn) return;
    group.members.delete(member);
    this.#weigh(group, -weight);
    if (group.members.size > 0) return;
    this.#groups.delete(source);
    if (group === this.#heaviest) this.#heaviest = undefined;
  }

  /** The heaviest group, or one that is nearly as heavy; undefined without any members. */
  heaviest(): Group<T> | undefined {
    const known = this.#heaviest;
    if (known !== undefined && known.weight * 2 >= this.#peak) return known;
    if (this.#clock.now() - this.#searchedAt >= SEARCH_EVERY_MS) this.#search();
    const [oldest] = this.#groups.values();
    return this.#heaviest ?? oldest;
  }

  #weigh(group: Group<T>, more: number): void {
    group.weight += more;
    // Growth is noticed at once; a search is only needed after the heaviest group has shrunk.
    if (group.weight > (this.#heaviest?.weight ?? this.#peak)) {
      this.#heaviest = group;
      this.#peak = Math.max(this.#peak, group.weight);
    }
  }

  #search(): void {
    this.#searchedAt = this.#clock.now();
    this.#heaviest = undefined;
    this.#peak = 0;
    for (const group of this.#groups.values()) {
      if (group.weight <= this.#peak) continue;
      this.#heaviest = group;
      this.#peak = group.weight;
    }
  }
}
