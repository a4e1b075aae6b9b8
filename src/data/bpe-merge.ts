/** @file Merges the symbols of one word by rank: the core of byte-pair encoding, over flat memory. */

/** Which two tokens merge into which, and with what priority. Four numbers a slot: left, right, rank, merged. */
export interface MergeTable {
  readonly slots: Int32Array
  readonly mask: number
}

/** The table of `merges` in the order of their rank, each as left id, right id and merged id in a row. */
export function createMergeTable(merges: Int32Array): MergeTable {
  const count = merges.length / 3
  let capacity = 16
  while (capacity < count * 2) capacity *= 2
  const slots = new Int32Array(capacity * 4).fill(-1)
  const mask = capacity - 1
  for (let rank = 0; rank < count; rank++) {
    const left = merges[rank * 3]!
    const right = merges[rank * 3 + 1]!
    let slot = hashPair(left, right) & mask
    while (slots[slot * 4] !== -1) slot = (slot + 1) & mask
    slots.set([left, right, rank, merges[rank * 3 + 2]!], slot * 4)
  }
  return { slots, mask }
}

/** A hash of two ids, 32 bits. */
export function hashPair(left: number, right: number): number {
  let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)
  hash ^= hash >>> 15
  return Math.imul(hash, 0x2c1b3c6d) ^ (hash >>> 13)
}

/** Offset of the pair's slot in `table.slots`, or -1 when the pair does not merge. */
function findPair(table: MergeTable, left: number, right: number): number {
  const { slots, mask } = table
  let slot = hashPair(left, right) & mask
  for (;;) {
    const found = slots[slot * 4]!
    if (found === left && slots[slot * 4 + 1] === right) return slot * 4
    if (found === -1) return -1
    slot = (slot + 1) & mask
  }
}

const NO_RANK = 0x7fffffff
/** Longest word, in symbols, for which scanning for the best pair beats keeping a heap. */
const SCAN_LIMIT = 160

/** Merges a word in place and returns the number of symbols that are left. */
export type WordMerger = (symbols: Int32Array, count: number) => number

/** A merger with scratch memory of its own. The lowest rank goes first; of equal ones the leftmost. */
export function createWordMerger(table: MergeTable): WordMerger {
  const { slots } = table
  const ranks = new Int32Array(SCAN_LIMIT)
  const merged = new Int32Array(SCAN_LIMIT)

  /** Sets rank and result of the pair at `i`. */
  function look(i: number, left: number, right: number): void {
    const slot = findPair(table, left, right)
    ranks[i] = slot < 0 ? NO_RANK : slots[slot + 2]!
    merged[i] = slot < 0 ? -1 : slots[slot + 3]!
  }

  function mergeShort(symbols: Int32Array, count: number): number {
    let pairs = count - 1 // pair i is symbols i and i + 1
    for (let i = 0; i < pairs; i++) look(i, symbols[i]!, symbols[i + 1]!)
    for (;;) {
      let best = NO_RANK
      let at = -1
      for (let i = 0; i < pairs; i++) {
        const rank = ranks[i]!
        if (rank < best) {
          best = rank
          at = i
        }
      }
      if (at < 0) return pairs + 1
      symbols[at] = merged[at]!
      pairs--
      for (let i = at + 1; i <= pairs; i++) symbols[i] = symbols[i + 1]!
      for (let i = at + 1; i < pairs; i++) {
        ranks[i] = ranks[i + 1]!
        merged[i] = merged[i + 1]!
      }
      if (at > 0) look(at - 1, symbols[at - 1]!, symbols[at]!)
      if (at < pairs) look(at, symbols[at]!, symbols[at + 1]!)
    }
  }

  return (symbols, count) => {
    if (count < 2) return count
    return count <= SCAN_LIMIT ? mergeShort(symbols, count) : mergeLong(table, symbols, count)
  }
}

/** As the scan, in n log n: a heap of pairs by rank and place, over a linked list of symbols. */
function mergeLong(table: MergeTable, symbols: Int32Array, count: number): number {
  const { slots } = table
  const next = Int32Array.from({ length: count }, (_, i) => i + 1)
  const previous = Int32Array.from({ length: count }, (_, i) => i - 1)
  // A key is rank * count + place, below 2^53. A key is stale when the pair now at its place has another rank.
  const heap = new Float64Array(count * 3)
  let size = 0

  function push(at: number): void {
    const right = next[at]!
    if (right >= count) return
    const slot = findPair(table, symbols[at]!, symbols[right]!)
    if (slot < 0) return
    const key = slots[slot + 2]! * count + at
    let i = size++
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (heap[parent]! <= key) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = key
  }

  function pop(): number {
    const top = heap[0]!
    const last = heap[--size]!
    let i = 0
    for (;;) {
      let child = i * 2 + 1
      if (child >= size) break
      if (child + 1 < size && heap[child + 1]! < heap[child]!) child++
      if (heap[child]! >= last) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
    return top
  }

  for (let i = 0; i + 1 < count; i++) push(i)
  while (size > 0) {
    const key = pop()
    const at = key % count
    const right = symbols[at] === -1 ? count : next[at]!
    if (right >= count) continue
    const slot = findPair(table, symbols[at]!, symbols[right]!)
    if (slot < 0 || slots[slot + 2] !== (key - at) / count) continue
    symbols[at] = slots[slot + 3]!
    symbols[right] = -1
    const after = next[right]!
    next[at] = after
    if (after < count) previous[after] = at
    if (previous[at]! >= 0) push(previous[at]!)
    push(at)
  }
  let length = 0
  for (let i = 0; i < count; i = next[i]!) symbols[length++] = symbols[i]!
  return length
}
