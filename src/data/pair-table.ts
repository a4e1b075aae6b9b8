/** @file Pairs of neighbours in the BPE trainer: how often each occurs, and in which words, over flat memory. */
import { hashPair } from './bpe-merge.ts'
import { resized } from './word-table.ts'

/** Pairs of token ids, numbered in the order of arrival. */
export interface PairTable {
  size(): number
  left(pair: number): number
  right(pair: number): number
  count(pair: number): number
  add(pair: number, change: number): void
  /** The number of the pair, which is added with count 0 when it is new. */
  intern(left: number, right: number): number
  /** Notes that the pair occurs in the word. Twice in a row is noted once. */
  remember(pair: number, word: number): void
  /** Visits the words of a pair and forgets them. A word may come more than once. */
  drain(pair: number, visit: (word: number) => void): void
}

/** An empty table. The words of a pair are a linked list; entries that are free again are used again. */
export function createPairTable(): PairTable {
  let slots = new Int32Array(1 << 16).fill(-1)
  let lefts = new Int32Array(1 << 14)
  let rights = new Int32Array(1 << 14)
  let counts = new Float64Array(1 << 14)
  let heads = new Int32Array(1 << 14) // first entry of the pair's list of words, or -1
  let entryWords = new Int32Array(1 << 16)
  let entryNext = new Int32Array(1 << 16)
  let size = 0
  let entries = 0
  let free = -1

  function find(left: number, right: number): number {
    const mask = slots.length - 1
    let slot = hashPair(left, right) & mask
    for (let pair = slots[slot]!; pair !== -1; pair = slots[slot]!) {
      if (lefts[pair] === left && rights[pair] === right) break
      slot = (slot + 1) & mask
    }
    return slot
  }

  return {
    size: () => size,
    left: (pair: number) => lefts[pair]!,
    right: (pair: number) => rights[pair]!,
    count: (pair: number) => counts[pair]!,
    add(pair: number, change: number): void {
      counts[pair] = counts[pair]! + change
    },
    intern(left: number, right: number): number {
      let slot = find(left, right)
      if (slots[slot] !== -1) return slots[slot]!
      if (size === lefts.length) {
        lefts = resized(lefts, Int32Array, size * 2)
        rights = resized(rights, Int32Array, size * 2)
        counts = resized(counts, Float64Array, size * 2)
        heads = resized(heads, Int32Array, size * 2)
        slots = new Int32Array(size * 8).fill(-1)
        for (let pair = 0; pair < size; pair++) slots[find(lefts[pair]!, rights[pair]!)] = pair
        slot = find(left, right)
      }
      lefts[size] = left
      rights[size] = right
      counts[size] = 0
      heads[size] = -1
      slots[slot] = size
      return size++
    },
    remember(pair: number, word: number): void {
      const head = heads[pair]!
      if (head !== -1 && entryWords[head] === word) return
      let entry = free
      if (entry !== -1) free = entryNext[entry]!
      else {
        if (entries === entryWords.length) {
          entryWords = resized(entryWords, Int32Array, entries * 2)
          entryNext = resized(entryNext, Int32Array, entries * 2)
        }
        entry = entries++
      }
      entryWords[entry] = word
      entryNext[entry] = head
      heads[pair] = entry
    },
    drain(pair: number, visit: (word: number) => void): void {
      let entry = heads[pair]!
      heads[pair] = -1
      while (entry !== -1) {
        const next = entryNext[entry]!
        const word = entryWords[entry]!
        entryNext[entry] = free
        free = entry
        visit(word)
        entry = next
      }
    },
  }
}
