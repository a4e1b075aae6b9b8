/** @file The heap of the BPE trainer: the pair with the highest count on top, of equal ones the smallest ids. */

/** A binary heap of pairs, each with the count it had when it was pushed. */
export interface PairHeap {
  size(): number
  /** The count that the top was pushed with. */
  topCount(): number
  push(count: number, pair: number): void
  /** Takes the top off. */
  pop(): number
}

/** An empty heap. `left` and `right` give the ids of a pair, which break ties. */
export function createPairHeap(left: (pair: number) => number, right: (pair: number) => number): PairHeap {
  const counts: number[] = []
  const pairs: number[] = []

  function before(count: number, pair: number, i: number): boolean {
    if (count !== counts[i]) return count > counts[i]!
    const other = pairs[i]!
    const difference = left(pair) - left(other)
    return difference !== 0 ? difference < 0 : right(pair) < right(other)
  }

  return {
    size: () => pairs.length,
    topCount: () => counts[0]!,
    push(count, pair) {
      let i = pairs.length
      counts.push(count)
      pairs.push(pair)
      while (i > 0) {
        const parent = (i - 1) >> 1
        if (!before(count, pair, parent)) break
        counts[i] = counts[parent]!
        pairs[i] = pairs[parent]!
        i = parent
      }
      counts[i] = count
      pairs[i] = pair
    },
    pop() {
      const top = pairs[0]!
      const count = counts.pop()!
      const pair = pairs.pop()!
      const size = pairs.length
      if (size === 0) return top
      let i = 0
      for (;;) {
        let child = i * 2 + 1
        if (child >= size) break
        if (child + 1 < size && before(counts[child + 1]!, pairs[child + 1]!, child)) child++
        if (before(count, pair, child)) break
        counts[i] = counts[child]!
        pairs[i] = pairs[child]!
        i = child
      }
      counts[i] = count
      pairs[i] = pair
      return top
    },
  }
}
