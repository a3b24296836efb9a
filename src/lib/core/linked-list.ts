// An ordered collection for members that come and go often.
//
// V8 replaces the table of a Map or Set after every few dozen deletions. The discarded tables still point to their old
// members, and once one of them is in V8's old generation, all of them are: thousands of deleted members survive
// each minor garbage collection. A deleted node of this list points to nothing else.

export class ListNode<T> {
  readonly value: T;
  /** @internal */
  before: ListNode<T> | undefined;
  /** @internal */
  after: ListNode<T> | undefined;
  /** @internal */
  isIn = true;

  constructor(value: T) {
    this.value = value;
  }
}

export class LinkedList<T> {
  #first: ListNode<T> | undefined;
  #last: ListNode<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The oldest member. */
  get first(): T | undefined {
    return this.#first?.value;
  }

  /** Returns the handle for `delete` and `moveToEnd`. */
  push(value: T): ListNode<T> {
    const node = new ListNode(value);
    this.#append(node);
    return node;
  }

  /** The new member is the oldest one. */
  pushFirst(value: T): ListNode<T> {
    const node = new ListNode(value);
    const first = this.#first;
    node.after = first;
    if (first === undefined) this.#last = node;
    else first.before = node;
    this.#first = node;
    this.#size += 1;
    return node;
  }

  /** Idempotent. */
  delete(node: ListNode<T>): void {
    if (!node.isIn) return;
    node.isIn = false;
    this.#detach(node);
  }

  /** Deletes the oldest member and returns it. */
  shift(): T | undefined {
    const node = this.#first;
    if (node === undefined) return undefined;
    this.delete(node);
    return node.value;
  }

  /** Deletes all members. */
  clear(): void {
    for (let node = this.#first; node !== undefined; node = this.#first) this.delete(node);
  }

  moveToEnd(node: ListNode<T>): void {
    if (!node.isIn || node === this.#last) return;
    this.#detach(node);
    this.#append(node);
  }

  /** In order. A loop that deletes or moves members needs a copy: `[...list]`. */
  *[Symbol.iterator](): Generator<T> {
    for (let node = this.#first; node !== undefined; node = node.after) yield node.value;
  }

  #append(node: ListNode<T>): void {
    const last = this.#last;
    node.before = last;
    if (last === undefined) this.#first = node;
    else last.after = node;
    this.#last = node;
    this.#size += 1;
  }

  #detach(node: ListNode<T>): void {
    const {before, after} = node;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    node.before = undefined;
    node.after = undefined;
    this.#size -= 1;
  }
}
